//! From the Job to its outcome: no outcome lost or guessed, no line lost or doubled.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use unique_k8s_job::{
    error::Error,
    model::{job_result::JobResult, outcome::OutcomeState},
    session::Session,
};

use crate::{
    faults::Fault,
    world::{Course, World, follow, order, order_with, run},
};

fn lines(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

/// A Job that is there, followed, and run by hand.
async fn begun(world: &Arc<World>) -> (tokio::task::JoinHandle<crate::world::Ended>, String) {
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order(1))));
    while world.jobs_made().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    (attempt, world.jobs_made()[0].clone())
}

#[tokio::test(start_paused = true)]
async fn log_is_whole_wherever_the_stream_is_cut_or_ends() {
    let faults: [fn(usize) -> Fault; 2] = [Fault::CutBodyAfter, Fault::EndBodyAfter];
    for fault in faults {
        for bytes in [0, 1, 20, 39, 40, 41, 200, 1_000] {
            let world = World::new();
            world.runs_jobs(Course { lines: 40, runs: Duration::from_secs(20), ..Course::default() });
            world.fault("log", fault(bytes), 4);
            let ended = run(&world.cluster(), order(1)).await;
            assert_eq!(ended.log, lines(40), "{:?}", fault(bytes));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_of_the_api_server_loses_neither_the_outcome_nor_a_line() {
    let world = World::new();
    world.runs_jobs(Course { lines: 40, runs: Duration::from_secs(20), ..Course::default() });
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(4)).await;
            for kind in ["watch jobs", "watch pods", "list jobs", "list pods", "log"] {
                helper.fault(kind, Fault::LoseRequest, 3);
            }
            helper.restart();
        }
    });
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(ended.log, lines(40));
}

#[tokio::test(start_paused = true)]
async fn watch_that_is_answered_410_lists_anew() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("watch jobs", Fault::answer(410, "Expired", "too old resource version"), 2);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(world.asked("list jobs") >= 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_that_last_a_minute_in_mid_run_lose_neither_the_outcome_nor_the_pods() {
    for (code, reason) in [(401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound")] {
        let world = World::new();
        let (attempt, name) = begun(&world).await;
        for kind in ["watch jobs", "list jobs", "watch pods", "list pods"] {
            world.fault(kind, Fault::answer(code, reason, "no"), 6);
        }
        world.restart();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The first change after a restart: streams are cut until then.
        world.update_job(&name, |job| job["metadata"]["annotations"]["changed"] = json!("yes"));
        tokio::time::sleep(Duration::from_secs(90)).await;
        let pod = world.start_pod(&name);
        world.print(&pod, "afterwards");
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.end_pod(&pod, 0);
        world.end_job(&name, true);
        let ended = attempt.await.unwrap();
        assert_eq!(
            (ended.outcome().state, &ended.log[..]),
            (OutcomeState::Succeeded, &["afterwards".to_owned()][..]),
            "{code}"
        );
        assert!(!ended.messages.iter().any(|said| said.contains("not-visible") || said.contains("not-watchable")));
    }
}

#[tokio::test(start_paused = true)]
async fn job_deleted_in_mid_run_vanishes_and_fails_with_what_its_pods_said() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    let pod = world.start_pod(&name);
    world.print(&pod, "half-way");
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.vanish(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Vanished);
    assert!(ended.outcome().summary.contains("its outcome is unknown"), "{}", ended.outcome().summary);
    assert!(ended.log.contains(&"half-way".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn job_gone_unseen_has_succeeded_only_if_its_pods_prove_it() {
    for (exit_code, state) in
        [(Some(0), OutcomeState::Succeeded), (Some(3), OutcomeState::Vanished), (None, OutcomeState::Vanished)]
    {
        let world = World::new();
        let (attempt, name) = begun(&world).await;
        let pod = world.start_pod(&name);
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Some(exit_code) = exit_code {
            world.end_pod(&pod, exit_code);
        }
        world.vanish(&name, false);
        if exit_code.is_none() {
            world.end_pod(&pod, 0);
            // It ended after its Job was gone: nobody counted it.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let ended = attempt.await.unwrap();
        if exit_code.is_some() {
            assert_eq!(ended.outcome().state, state, "{exit_code:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outcome_in_the_last_state_of_a_deleted_job_is_not_lost() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    world.vanish(&name, true);
    assert_eq!(attempt.await.unwrap().outcome().state, OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn job_whose_label_is_taken_away_is_followed_all_the_same() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    world.update_job(&name, |job| job["metadata"]["labels"] = json!({}));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    assert_eq!(attempt.await.unwrap().outcome().state, OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn unknown_and_untrue_conditions_end_nothing() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    world.condition(&name, "example.com/Blessed", "Always");
    world.update_job(&name, |job| {
        let untrue = json!({"type": "Failed", "status": "False"});
        job["status"]["conditions"].as_array_mut().unwrap().push(untrue);
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!attempt.is_finished());
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    assert_eq!(attempt.await.unwrap().outcome().state, OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn outcome_decided_but_never_ended_is_reported_after_a_minute_with_a_warning() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    world.start_pod(&name);
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.condition(&name, "FailureTarget", "DeadlineExceeded");
    let begin = tokio::time::Instant::now();
    let ended = attempt.await.unwrap();
    assert_eq!(
        (ended.outcome().state, ended.outcome().reason.as_deref()),
        (OutcomeState::Failed, Some("DeadlineExceeded"))
    );
    assert!(begin.elapsed() >= Duration::from_secs(60));
    assert!(ended.messages.iter().any(|said| said.starts_with("end-not-confirmed")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn job_that_gets_no_pod_is_given_up_at_the_startup_timeout() {
    let world = World::new();
    let begin = tokio::time::Instant::now();
    let ended = run(&world.cluster(), order_with(1, json!({"startup_timeout_seconds": 40}))).await;
    assert!(matches!(ended.error(), Error::JobStartup(_)), "{}", ended.error());
    assert!(begin.elapsed() >= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn suspended_job_is_waited_for_without_a_timer() {
    let world = World::new();
    let suspended = json!({"startup_timeout_seconds": 40, "arguments": {"suspend": true}});
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order_with(1, suspended))));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!attempt.is_finished());
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["spec"]["suspend"] = json!(false));
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(ended.messages.iter().any(|said| said.starts_with("suspended")), "{:?}", ended.messages);
    assert!(ended.messages.iter().any(|said| said.starts_with("resumed")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_jobs_the_job_is_asked_for_and_the_verb_is_named() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("watch jobs", Fault::answer(403, "Forbidden", "cannot watch"), usize::MAX);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(ended.messages.iter().any(|said| said.contains("verb `watch` on `jobs.batch`")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_see_pods_the_job_alone_is_followed() {
    let world = World::new();
    world.runs_jobs(Course::default());
    for kind in ["list pods", "watch pods"] {
        world.fault(kind, Fault::answer(403, "Forbidden", "cannot list"), usize::MAX);
    }
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(ended.messages.iter().filter(|said| said.starts_with("pods-not-visible")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_see_pods_a_job_that_runs_for_long_is_not_given_up() {
    let world = World::new();
    for kind in ["list pods", "watch pods"] {
        world.fault(kind, Fault::answer(403, "Forbidden", "cannot list"), usize::MAX);
    }
    let (attempt, name) = begun(&world).await;
    world.update_job(&name, |job| job["status"] = json!({"active": 1, "ready": 1}));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    world.update_job(&name, |job| job["status"] = json!({"succeeded": 1}));
    for kind in ["SuccessCriteriaMet", "Complete"] {
        world.condition(&name, kind, "CompletionsReached");
    }
    assert_eq!(attempt.await.unwrap().outcome().state, OutcomeState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn pods_that_only_a_list_at_the_end_can_show_are_asked_for_until_they_come_or_it_is_said_that_they_may_be_missing()
 {
    let cases = [
        ("a token that is being renewed", Fault::answer(401, "Unauthorized", "no"), 20, true),
        ("a token that is not renewed", Fault::answer(401, "Unauthorized", "no"), usize::MAX, false),
        ("an outage", Fault::LoseRequest, 40, true),
        ("an outage without end", Fault::LoseRequest, usize::MAX, false),
    ];
    for (name, fault, times, whole) in cases {
        let world = World::new();
        let (attempt, job) = begun(&world).await;
        world.fault("watch pods", fault.clone(), usize::MAX);
        world.restart();
        world.update_job(&job, |job| job["metadata"]["annotations"]["changed"] = json!("yes"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.fault("list pods", fault, times);
        let pod = world.start_pod(&job);
        world.print(&pod, "at last");
        world.end_pod(&pod, 0);
        world.end_job(&job, true);
        let begin = tokio::time::Instant::now();
        let ended = attempt.await.unwrap();
        assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{name}");
        assert_eq!(ended.log == ["at last"], whole, "{name}: {:?}", ended.log);
        let said = ended.messages.iter().any(|said| said.starts_with("pods-incomplete"));
        assert_eq!(said, !whole, "{name}: {:?}", ended.messages);
        assert!(begin.elapsed() < Duration::from_secs(620), "{name}: {:?}", begin.elapsed());
        assert!(world.asked("list pods") < 200, "{name}: {} lists", world.asked("list pods"));
    }
}

#[tokio::test(start_paused = true)]
async fn right_to_logs_that_is_missing_is_said_once_and_fails_nothing() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("log", Fault::answer(403, "Forbidden", "cannot get pods/log"), usize::MAX);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(ended.log.len(), 1);
    assert!(ended.log[0].contains("`pods/log`"), "{:?}", ended.log);
}

#[tokio::test(start_paused = true)]
async fn acknowledgement_writes_label_and_ttl_and_survives_a_lost_reply() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let ended =
        run(&world.cluster(), order_with(1, json!({"ttl": {"succeeded": {"kind": "seconds", "seconds": 60}}}))).await;
    assert_eq!(world.jobs()[0]["spec"]["ttlSecondsAfterFinished"], 604_800, "safe until then");
    world.fault("patch jobs", Fault::LoseReply, 2);
    assert_eq!(ended.run.acknowledge().await.unwrap(), []);
    assert_eq!(world.jobs()[0]["spec"]["ttlSecondsAfterFinished"], 60);
    assert_eq!(world.jobs()[0]["metadata"]["labels"]["unique-k8s-job/acknowledged"], "true");
}

#[tokio::test(start_paused = true)]
async fn same_world_twice_asks_the_same_requests() {
    let counts = async || {
        let world = World::new();
        world.runs_jobs(Course { lines: 20, ..Course::default() });
        world.fault("log", Fault::CutBodyAfter(300), 2);
        world.fault("create jobs", Fault::answer(503, "ServiceUnavailable", ""), 2);
        let ended = run(&world.cluster(), order(1)).await;
        let kinds =
            ["create jobs", "get jobs", "watch jobs", "list pods", "watch pods", "log", "get pods", "list events"];
        (ended.log, ended.messages, kinds.map(|kind| world.asked(kind)))
    };
    assert_eq!(counts().await, counts().await);
}

/// The line that an exception begins with.
fn head(ended: &crate::world::Ended) -> String {
    ended.outcome().summary.lines().next().expect("a line").to_owned()
}

#[tokio::test(start_paused = true)]
async fn job_of_parallelism_0_is_waited_for_without_a_timer_and_said_once() {
    let world = World::new();
    let paused = json!({"startup_timeout_seconds": 40, "manifest": {"spec": {"parallelism": 0}}});
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order_with(1, paused))));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!attempt.is_finished());
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["spec"]["parallelism"] = json!(1));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    let said = |code: &str| ended.messages.iter().filter(|said| said.starts_with(code)).count();
    assert_eq!((said("parallelism-zero"), said("resumed")), (1, 1), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn job_that_is_scaled_to_0_in_mid_run_is_waited_for_and_goes_on() {
    let world = World::new();
    let order = order_with(1, json!({"startup_timeout_seconds": 40}));
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let name = world.jobs_made()[0].clone();
    let pod = world.start_pod(&name);
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.update_job(&name, |job| job["spec"]["parallelism"] = json!(0));
    world.remove_pod(&pod);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!attempt.is_finished());
    world.update_job(&name, |job| job["spec"]["parallelism"] = json!(1));
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!(ended.messages.iter().any(|said| said.starts_with("parallelism-zero")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn pod_that_was_evicted_and_is_gone_when_its_job_fails_is_the_cause() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    let pod = world.start_pod(&name);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting"});
    world.update_pod(&pod, |pod| pod["status"]["conditions"].as_array_mut().unwrap().push(condition));
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.remove_pod(&pod);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.end_job(&name, false);
    let ended = attempt.await.unwrap();
    assert_eq!(
        head(&ended),
        format!(
            "Job `{name}` failed: its Pod was evicted through the API, as by a drain of node `node1` \
             (EvictionByEvictionAPI) [BackoffLimitExceeded]"
        )
    );
    let [end] = &ended.outcome().pods[..] else { panic!("one Pod, not {:?}", ended.outcome().pods) };
    assert_eq!(end.conditions[0].message.as_deref(), Some("Eviction API: evicting"));
    assert!(ended.messages.iter().any(|said| said.starts_with("pod-disrupted: Pod `")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn last_phase_of_a_pod_that_its_watch_has_not_told_is_asked_for_when_the_job_has_failed() {
    let world = World::new();
    let (attempt, name) = begun(&world).await;
    let pod = world.start_pod(&name);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Its containers have ended, and its phase says Running: what comes next, the watch does not tell.
    world.update_pod(&pod, |pod| {
        let end = json!({"exitCode": 137, "reason": "Error", "startedAt": "2026-01-01T00:00:02Z"});
        pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": end});
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.fault("watch pods", Fault::answer(503, "ServiceUnavailable", "no"), usize::MAX);
    world.fault("list pods", Fault::answer(503, "ServiceUnavailable", "no"), 3);
    world.restart();
    tokio::time::sleep(Duration::from_millis(10)).await;
    world.update_pod(&pod, |pod| {
        pod["status"]["phase"] = json!("Failed");
        pod["status"]["reason"] = json!("Evicted");
        pod["status"]["message"] = json!("The node was low on resource: memory. Threshold quantity: 1Mi");
    });
    world.end_log(&pod);
    world.end_job(&name, false);
    let ended = attempt.await.unwrap();
    let cause = "its Pod was evicted: node `node1` was low on memory (Evicted)";
    assert_eq!(ended.outcome().cause.as_deref(), Some(cause));
}

#[tokio::test(start_paused = true)]
async fn events_that_tell_who_killed_a_container_are_asked_for_and_change_no_outcome_where_they_are_refused() {
    let killed = "container `base` was killed: its liveness probe failed: db down (exit code 137)";
    let unknown = "container `base` was killed (SIGKILL), by whom is not known (exit code 137)";
    for (refused, cause) in [(false, killed), (true, unknown)] {
        let world = World::new();
        if refused {
            world.fault("list events", Fault::answer(403, "Forbidden", "no"), usize::MAX);
        }
        let (attempt, name) = begun(&world).await;
        let pod = world.start_pod(&name);
        world.event(&pod, "Unhealthy", "Liveness probe failed: db down\n");
        world.event(&pod, "Killing", "Container base failed liveness probe");
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.end_pod(&pod, 137);
        world.end_job(&name, false);
        let ended = attempt.await.unwrap();
        assert_eq!(ended.outcome().cause.as_deref(), Some(cause));
        assert!(world.asked("list events") <= 3, "{}", world.asked("list events"));
    }
}

#[tokio::test(start_paused = true)]
async fn end_of_the_log_of_a_program_that_failed_is_read_once_and_its_last_line_is_shown() {
    let plain = "container `base` ended with exit code 1";
    let read_only = "container `base` ended with exit code 1: read-only file system, says its log";
    let cases = [
        ("sh: can't create /x: Read-only file system", None, read_only),
        ("something else", None, plain),
        ("sh: can't create /x: Read-only file system", Some(Fault::answer(500, "InternalError", "no kubelet")), plain),
        ("sh: can't create /x: Read-only file system", Some(Fault::Delay(Duration::from_secs(3600))), plain),
    ];
    for (line, fault, cause) in cases {
        let fails = fault.is_some();
        let world = World::new();
        let (attempt, name) = begun(&world).await;
        let pod = world.start_pod(&name);
        world.print(&pod, line);
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.end_pod(&pod, 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.forget_requests();
        if let Some(fault) = fault {
            world.fault("log", fault, usize::MAX);
        }
        world.end_job(&name, false);
        let ended = attempt.await.unwrap();
        assert_eq!(ended.outcome().cause.as_deref(), Some(cause));
        assert_eq!(world.asked("log"), 1);
        let shown = format!("\n  seen: the last line of the log of Pod `{pod}`: {line}");
        assert_eq!(ended.outcome().summary.contains(&shown), !fails, "{}", ended.outcome().summary);
    }
}

#[tokio::test(start_paused = true)]
async fn job_that_goes_well_costs_six_requests_and_two_more_for_each_further_pod() {
    for pods in [1, 4] {
        let world = World::new();
        let (attempt, name) = begun(&world).await;
        let mut named = Vec::new();
        for _ in 0..pods {
            named.push(world.start_pod(&name));
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        for pod in &named {
            world.print(pod, "a line");
            tokio::time::sleep(Duration::from_millis(100)).await;
            world.end_pod(pod, 0);
        }
        world.end_job(&name, true);
        let ended = attempt.await.unwrap();
        assert_eq!((ended.outcome().state, ended.log.len()), (OutcomeState::Succeeded, pods));
        assert_eq!(ended.run.acknowledge().await.unwrap(), []);
        let expected = [("create jobs", 1), ("watch jobs", 1), ("patch jobs", 1), ("watch pods", 1), ("log", 2 * pods)];
        assert_eq!(world.all_asked(), BTreeMap::from(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_asked_for_once_something_has_not_started_for_two_seconds_and_when_the_job_failed() {
    let lists = async |pod_after: f64, exit_code: i32| {
        let world = World::new();
        let pod_after = Duration::from_secs_f64(pod_after);
        world.runs_jobs(Course { pod_after, exit_code, ..Course::default() });
        run(&world.cluster(), order(1)).await;
        world.asked("list events")
    };
    assert_eq!(lists(1.9, 0).await, 0);
    assert_eq!(lists(1.9, 1).await, 1, "the end is explained");
    assert_eq!(lists(3.0, 0).await, 2, "once while it did not start, once for when its image came");
}

/// A Job with two Pods, of which one has failed, that were there before whoever follows it began to watch.
async fn two_pods_before_the_watch(fault: Option<Fault>) -> (crate::world::Ended, Arc<World>) {
    let world = World::new();
    world.fault("create jobs", Fault::DelayReply(Duration::from_secs(4)), 1);
    if let Some(fault) = fault {
        world.fault("watch pods", fault, 1);
    }
    let (attempt, name) = begun(&world).await;
    for exit_code in [1, 0] {
        let pod = world.start_pod(&name);
        world.print(&pod, "a line");
        tokio::time::sleep(Duration::from_secs(if exit_code == 1 { 1 } else { 20 })).await;
        world.end_pod(&pod, exit_code);
    }
    world.end_job(&name, true);
    (attempt.await.unwrap(), world)
}

#[tokio::test(start_paused = true)]
async fn pods_that_were_there_before_their_watch_are_seen_without_a_list() {
    let (ended, world) = two_pods_before_the_watch(None).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(ended.log.len(), 2, "{:?}", ended.log);
    assert_eq!((world.asked("list pods"), world.asked("watch pods")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn pods_are_listed_where_their_watch_does_not_open_or_breaks_off_among_those_that_were_there() {
    let refused = [(403, "Forbidden"), (410, "Expired")].map(|(code, reason)| Fault::answer(code, reason, "no"));
    let cuts: [fn(usize) -> Fault; 2] = [Fault::CutBodyAfter, Fault::EndBodyAfter];
    let cut = (0..1_600).step_by(100).flat_map(|bytes| cuts.map(|fault| fault(bytes)));
    for fault in refused.into_iter().chain(cut) {
        let case = format!("{fault:?}");
        let (ended, world) = two_pods_before_the_watch(Some(fault)).await;
        assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{case}");
        assert_eq!(ended.log.len(), 2, "{case}: {:?}", ended.log);
        assert_eq!(world.asked("list pods"), 1, "{case}");
    }
}

/// An attempt whose Job runs, and the name of its Pod.
async fn with_sidecar(world: &Arc<World>) -> (tokio::task::JoinHandle<crate::world::Ended>, String) {
    world.runs_jobs(Course::default());
    let order = order_with(1, json!({"result": "sidecar"}));
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let job = world.jobs_made().remove(0);
    (attempt, format!("{job}-p0"))
}

#[tokio::test(start_paused = true)]
async fn result_that_a_sidecar_prints_is_waited_for_and_is_no_part_of_the_log() {
    let world = World::new();
    let (attempt, pod) = with_sidecar(&world).await;
    world.update_pod(&pod, |pod| {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:02Z"}});
        pod["status"]["initContainerStatuses"] = json!([{"name": "airflow-xcom-sidecar", "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": running}]);
    });
    world.sidecar_prints(&pod, "unique-k8s-job result begins: 6");
    world.sidecar_prints(&pod, "[1, 2]");
    // The Job has ended meanwhile.
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.sidecar_prints(&pod, "unique-k8s-job result ends");
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().result, Some(JobResult::Text(Some("[1, 2]".to_owned()))));
    assert_eq!(ended.log, lines(3), "no name of a source, and no line of the sidecar");
}

#[tokio::test(start_paused = true)]
async fn result_that_no_sidecar_has_printed_is_lost_after_a_while() {
    let world = World::new();
    let (attempt, _) = with_sidecar(&world).await;
    let ended = attempt.await.unwrap();
    let Some(JobResult::Unusable(why)) = &ended.outcome().result else { panic!("{:?}", ended.outcome()) };
    assert!(why.message.contains("is lost: the log of its sidecar cannot be read"), "{why}");
    assert!(why.seen[0].contains("container is waiting to start"), "{why}");
}
