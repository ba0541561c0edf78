//! From the Job to its outcome: no outcome lost or guessed, no line lost or doubled.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use unique_k8s_job::{
    error::Error,
    job::{outcome::State, run::Run},
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
    let attempt = tokio::spawn(follow(Run::start(world.cluster(), order(1))));
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
    assert_eq!(ended.outcome().state, State::Succeeded);
    assert_eq!(ended.log, lines(40));
}

#[tokio::test(start_paused = true)]
async fn watch_that_is_answered_410_lists_anew() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("watch jobs", Fault::answer(410, "Expired", "too old resource version"), 2);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, State::Succeeded);
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
            (State::Succeeded, &["afterwards".to_owned()][..]),
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
    assert_eq!(ended.outcome().state, State::Vanished);
    assert!(ended.outcome().summary.contains("its outcome is unknown"), "{}", ended.outcome().summary);
    assert!(ended.log.contains(&"half-way".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn job_gone_unseen_has_succeeded_only_if_its_pods_prove_it() {
    for (exit_code, state) in [(Some(0), State::Succeeded), (Some(3), State::Vanished), (None, State::Vanished)] {
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
    assert_eq!(attempt.await.unwrap().outcome().state, State::Succeeded);
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
    assert_eq!(attempt.await.unwrap().outcome().state, State::Succeeded);
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
    assert_eq!(attempt.await.unwrap().outcome().state, State::Succeeded);
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
    assert_eq!((ended.outcome().state, ended.outcome().reason.as_deref()), (State::Failed, Some("DeadlineExceeded")));
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
    let attempt = tokio::spawn(follow(Run::start(world.cluster(), order_with(1, suspended))));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(!attempt.is_finished());
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["spec"]["suspend"] = json!(false));
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, State::Succeeded);
    assert!(ended.messages.iter().any(|said| said.starts_with("suspended")), "{:?}", ended.messages);
    assert!(ended.messages.iter().any(|said| said.starts_with("resumed")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_jobs_the_job_is_asked_for_and_the_verb_is_named() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("watch jobs", Fault::answer(403, "Forbidden", "cannot watch"), usize::MAX);
    let ended = run(&world.cluster(), order(1)).await;
    assert_eq!(ended.outcome().state, State::Succeeded);
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
    assert_eq!(ended.outcome().state, State::Succeeded);
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
    assert_eq!(attempt.await.unwrap().outcome().state, State::Succeeded);
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
        assert_eq!(ended.outcome().state, State::Succeeded, "{name}");
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
    assert_eq!(ended.outcome().state, State::Succeeded);
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
