//! Orders to delete: gone means gone, nothing of others is touched, and every Job costs a stated number of requests.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use unique_k8s_job::{
    delete::{DeleteRequest, DeletedJobs},
    diagnose::survey::survey,
    error::Error,
    resource::Namespaces,
    session::{Event, Work},
};

use crate::{
    faults::Fault,
    store::Key,
    world::{NAMESPACE, World},
};

/// A Job of others with the label `app=report`, and maybe its running Pod.
fn make_job(world: &Arc<World>, name: &str, running: bool) -> String {
    let key: Key = ("jobs".into(), NAMESPACE.into(), name.into());
    let job = json!({"metadata": {"labels": {"app": "report"}}, "spec": {"template": {}}});
    let uid = world.inner().store.create(key, job)["metadata"]["uid"].as_str().unwrap().to_owned();
    if running {
        world.start_pod(name);
    }
    uid
}

fn order(changes: &Value) -> DeleteRequest {
    let mut order = json!({"target": {"kind": "name", "name": "report"}, "namespace": NAMESPACE});
    json_patch::merge(&mut order, changes);
    DeleteRequest::read(&order).unwrap()
}

/// Carries an order out; what was said on the way, and its end.
async fn carry_out(world: &Arc<World>, order: DeleteRequest) -> (Vec<String>, Result<DeletedJobs, Error>) {
    let deletion = Work::delete_jobs(world.cluster(), order);
    let mut said = Vec::new();
    loop {
        match deletion.next().await.expect("an order ends with its end") {
            Ok(Event::Message(message)) => said.push(format!("{}: {}", message.code, message.text)),
            Ok(Event::Deleted { .. }) => {}
            Ok(Event::Ended(jobs)) => return (said, Ok(jobs)),
            Ok(other) => panic!("of an order that was never given: {other:?}"),
            Err(error) => return (said, Err(error)),
        }
    }
}

fn pods(world: &World) -> usize {
    world.inner().store.list("pods", NAMESPACE).count()
}

fn all_requests(world: &World) -> usize {
    let kinds = ["get jobs", "list jobs", "delete jobs", "watch jobs", "list pods", "delete pods", "watch pods"];
    kinds.iter().map(|kind| world.asked(kind)).sum()
}

fn hold(world: &World, finalizer: &str) {
    world.update_job("report", |job| {
        job["metadata"]["finalizers"] = json!([finalizer]);
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
}

#[tokio::test(start_paused = true)]
async fn finished_job_costs_four_requests_and_no_watch() {
    let world = World::new();
    make_job(&world, "report", false);
    let (_, end) = carry_out(&world, order(&json!({}))).await;
    assert_eq!(end.unwrap().deleted, ["report"]);
    assert_eq!(all_requests(&world), 4, "GET, DELETE, GET, list of Pods");
    assert_eq!(world.asked("watch jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_jobs_cost_two_requests_each_and_few_that_they_share() {
    let world = World::new();
    world.limit_a_minute(2_000);
    for number in 0..500 {
        make_job(&world, &format!("report-{number}"), number % 2 == 0);
    }
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        for kind in ["delete jobs", "get jobs", "list pods"] {
            helper.fault(kind, Fault::LoseReply, 3);
        }
        helper.restart();
    });
    let selector = order(&json!({"target": {"kind": "selector", "name": null, "labels": "app=report"}}));
    let (_, end) = carry_out(&world, selector).await;
    assert_eq!(end.unwrap().deleted.len(), 500);
    assert_eq!((world.jobs().len(), pods(&world)), (0, 0));
    let each = world.asked("delete jobs") + world.asked("get jobs");
    assert!(each <= 2 * 500 + 6, "{each}");
    assert!(world.asked("list pods") <= 60, "{}", world.asked("list pods"));
    assert!(world.asked("watch jobs") <= 1, "{}", world.asked("watch jobs"));
}

#[tokio::test(start_paused = true)]
async fn lost_reply_to_a_delete_is_settled_by_looking() {
    for fault in
        [Fault::LoseReply, Fault::LoseRequest, Fault::answer(504, "Timeout", "etcd"), Fault::answer(500, "", "")]
    {
        let world = World::new();
        make_job(&world, "report", true);
        world.fault("delete jobs", fault, 2);
        let (_, end) = carry_out(&world, order(&json!({}))).await;
        assert_eq!(end.unwrap().deleted, ["report"]);
        assert!(world.jobs().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn namesake_made_between_look_and_delete_is_never_touched() {
    let world = World::new();
    make_job(&world, "report", false);
    world.fault("delete jobs", Fault::Delay(Duration::from_secs(2)), 1);
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        helper.vanish("report", true);
        make_job(&helper, "report", true);
    });
    let (_, end) = carry_out(&world, order(&json!({}))).await;
    assert_eq!(end.unwrap().deleted, ["report"]);
    assert_eq!((world.jobs().len(), pods(&world)), (1, 1), "the namesake and its Pod are as they were");
}

#[tokio::test(start_paused = true)]
async fn job_of_another_uid_is_gone_already() {
    let world = World::new();
    make_job(&world, "report", true);
    let (said, end) = carry_out(&world, order(&json!({"target": {"uid": "uid-of-yesterday"}}))).await;
    assert!(end.unwrap().deleted.is_empty());
    assert!(said[0].contains("nothing to delete"), "{said:?}");
    assert_eq!((world.jobs().len(), pods(&world)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn foreign_finalizer_is_named_and_never_removed() {
    let world = World::new();
    make_job(&world, "report", false);
    world.update_job("report", |job| job["metadata"]["finalizers"] = json!(["example.com/backup"]));
    let asked = order(&json!({"release_stuck": "gc", "release_after_seconds": 5, "timeout_seconds": 60}));
    let (_, end) = carry_out(&world, asked).await;
    let error = end.unwrap_err();
    assert!(
        matches!(error, Error::DeletionUnconfirmed(_)) && error.to_string().contains("example.com/backup"),
        "{error}"
    );
    assert_eq!(world.jobs()[0]["metadata"]["finalizers"], json!(["example.com/backup"]));
    assert_eq!(world.asked("delete jobs"), 1);
}

#[tokio::test(start_paused = true)]
async fn job_that_somebody_else_orphaned_is_freed_only_by_explicit_order_and_then_its_pods_go_too() {
    let cases = [("never", false), ("ours", false), ("gc", true)];
    for (policy, freed) in cases {
        let world = World::new();
        make_job(&world, "report", true);
        hold(&world, "orphan");
        world.inner().collects_garbage = false;
        let helper = Arc::clone(&world);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(90)).await;
            helper.end_pod("report-p0", 143);
        });
        let asked = order(&json!({"release_stuck": policy, "release_after_seconds": 30, "timeout_seconds": 100}));
        let (said, end) = carry_out(&world, asked).await;
        assert_eq!(end.is_ok(), freed, "{policy}");
        assert_eq!(world.jobs().is_empty(), freed, "{policy}");
        assert_eq!(world.asked("delete pods"), usize::from(freed), "{policy}");
        assert_eq!(said.iter().any(|text| text.starts_with("job-released")), freed, "{policy}: {said:?}");
        if freed {
            assert_eq!(end.unwrap().released, ["report"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stuck_job_is_freed_when_it_is_due_however_late_the_order_comes() {
    // Seconds after the deletion: the order comes, something moves, the Job is freed.
    let cases = [(0, None, 60), (31, None, 60), (58, None, 60), (59, None, 60), (90, None, 91), (0, Some(58), 61)];
    for (comes, moves, freed) in cases {
        let world = World::new();
        make_job(&world, "report", false);
        hold(&world, "orphan");
        if let Some(seconds) = moves {
            let helper = Arc::clone(&world);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                helper.update_job("report", |job| job["metadata"]["annotations"] = json!({"seen": "yes"}));
            });
        }
        let begin = tokio::time::Instant::now();
        tokio::time::sleep(Duration::from_secs(comes)).await;
        let (said, end) = carry_out(&world, order(&json!({"release_stuck": "gc"}))).await;
        assert_eq!(end.unwrap().released, ["report"], "{comes}: {said:?}");
        let after = begin.elapsed().as_secs_f64() - f64::from(freed);
        assert!((-0.5..=1.5).contains(&after), "order at {comes} s, move at {moves:?}: freed {after} s late");
        assert!(world.asked("list pods") <= 5, "{} looks at its Pods", world.asked("list pods"));
    }
}

#[tokio::test(start_paused = true)]
async fn job_that_changes_in_the_moment_of_its_release_is_judged_anew() {
    let world = World::new();
    make_job(&world, "report", false);
    hold(&world, "orphan");
    tokio::time::sleep(Duration::from_secs(90)).await;
    let helper = Arc::clone(&world);
    // It changes while the Pods are listed for the second time, and the watch says nothing of it.
    world.fault("watch jobs", Fault::LoseRequest, usize::MAX);
    world.fault("list pods", Fault::Delay(Duration::from_secs(2)), 2);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        helper.update_job("report", |job| {
            job["metadata"]["finalizers"] = json!(["example.com/backup", "orphan"]);
        });
    });
    let (said, end) = carry_out(&world, order(&json!({"release_stuck": "gc", "timeout_seconds": 30}))).await;
    assert!(matches!(end, Err(Error::DeletionUnconfirmed(_))), "{end:?}");
    assert!(codes(&said, &["job-released"]).is_empty(), "{said:?}");
    assert_eq!(world.jobs()[0]["metadata"]["finalizers"], json!(["example.com/backup", "orphan"]));
}

#[tokio::test(start_paused = true)]
async fn own_foreground_deletion_that_nobody_finishes_is_freed() {
    let world = World::new();
    make_job(&world, "report", false);
    let (_, end) = carry_out(&world, order(&json!({"propagation_policy": "Foreground"}))).await;
    assert_eq!(end.unwrap().released, ["report"]);
    assert!(world.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn order_to_orphan_is_never_freed_and_leaves_the_pods() {
    let world = World::new();
    make_job(&world, "report", true);
    let asked = json!({"propagation_policy": "Orphan", "release_stuck": "gc", "release_after_seconds": 1, "timeout_seconds": 30});
    let (_, end) = carry_out(&world, order(&asked)).await;
    assert!(matches!(end, Err(Error::DeletionUnconfirmed(_))), "{end:?}");
    assert_eq!((world.jobs().len(), pods(&world)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn pod_that_no_garbage_collector_deletes_is_deleted_and_waited_for() {
    let world = World::new();
    make_job(&world, "report", true);
    world.inner().collects_garbage = false;
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        helper.end_pod("report-p0", 143);
    });
    let begin = tokio::time::Instant::now();
    let (_, end) = carry_out(&world, order(&json!({}))).await;
    assert_eq!(end.unwrap().pods_deleted, ["report-p0"]);
    assert!(begin.elapsed() >= Duration::from_secs(40), "gone means that the work has stopped");
    assert_eq!(pods(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn state_that_changes_between_look_and_delete_is_judged_again() {
    let world = World::new();
    make_job(&world, "report", false);
    world.end_job("report", true);
    world.fault("delete jobs", Fault::Delay(Duration::from_secs(2)), 1);
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Somebody else makes it anew, and this one runs.
        helper.update_job("report", |job| job["status"] = json!({}));
    });
    let (_, end) = carry_out(&world, order(&json!({"only_if": "finished"}))).await;
    assert_eq!(end.unwrap().skipped["report"], "it has not finished");
    assert_eq!(world.jobs().len(), 1);
}

/// An order for this many Jobs that others hold for so many seconds, while their watch meets a fault; what was said.
async fn held_up(world: &Arc<World>, jobs: usize, seconds: u64, kind: &'static str, times: usize) -> Vec<String> {
    world.limit_a_minute(100 + 4 * jobs);
    for number in 0..jobs {
        let name = format!("report-{number}");
        make_job(world, &name, false);
        world.update_job(&name, |job| job["metadata"]["finalizers"] = json!(["example.com/backup"]));
    }
    world.fault(kind, Fault::answer(403, "Forbidden", "cannot do so"), times);
    let helper = Arc::clone(world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        for number in 0..jobs {
            helper.update_job(&format!("report-{number}"), |job| job["metadata"]["finalizers"] = json!([]));
        }
    });
    let target = match jobs {
        1 => json!({"target": {"name": "report-0"}, "timeout_seconds": 600}),
        _ => json!({"target": {"kind": "selector", "name": null, "labels": "app=report"}, "timeout_seconds": 600}),
    };
    let (said, end) = carry_out(world, order(&target)).await;
    assert_eq!(end.unwrap().deleted.len(), jobs);
    said
}

fn codes<'a>(said: &'a [String], codes: &[&str]) -> Vec<&'a str> {
    said.iter().filter_map(|text| text.split(':').next()).filter(|code| codes.contains(code)).collect()
}

#[tokio::test(start_paused = true)]
async fn watch_that_is_refused_once_or_twice_is_tried_again_and_nothing_is_said() {
    for kind in ["list jobs", "watch jobs"] {
        let world = World::new();
        let begin = tokio::time::Instant::now();
        let said = held_up(&world, 1, 100, kind, 2).await;
        assert!(begin.elapsed() < Duration::from_millis(100_500), "{kind}: seen by the watch, {:?}", begin.elapsed());
        assert!(world.asked("get jobs") <= 12, "{kind}: {} looks in 100 s", world.asked("get jobs"));
        assert!(codes(&said, &["jobs-not-watchable"]).is_empty(), "{kind}: {said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn watch_that_stays_forbidden_is_said_once_and_the_looks_instead_of_it_are_few() {
    // Jobs, for how long, at most so many looks, and so many seconds late.
    for (jobs, seconds, looks, late) in [(1, 20, 15, 3), (1, 300, 50, 16), (200, 300, 3_000, 26)] {
        let world = World::new();
        let begin = tokio::time::Instant::now();
        let said = held_up(&world, jobs, seconds, "watch jobs", usize::MAX).await;
        let elapsed = begin.elapsed();
        assert!(elapsed <= Duration::from_secs(seconds + late), "{jobs} Jobs, {seconds} s: {elapsed:?}");
        assert!(world.asked("get jobs") <= looks, "{jobs} Jobs, {seconds} s: {} looks", world.asked("get jobs"));
        assert_eq!(codes(&said, &["jobs-not-watchable", "watch-resumed"]), ["jobs-not-watchable"]);
    }
}

#[tokio::test(start_paused = true)]
async fn watch_that_is_allowed_in_the_meantime_is_used_from_then_on() {
    for kind in ["list jobs", "watch jobs"] {
        let world = World::new();
        let begin = tokio::time::Instant::now();
        let said = held_up(&world, 1, 150, kind, 4).await;
        assert_eq!(codes(&said, &["jobs-not-watchable", "watch-resumed"]), ["jobs-not-watchable", "watch-resumed"]);
        assert!(begin.elapsed() < Duration::from_millis(150_500), "{kind}: seen by the watch, {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn job_is_freed_once_the_owner_of_a_foreign_finalizer_has_taken_it_away() {
    let world = World::new();
    make_job(&world, "report", false);
    world.update_job("report", |job| {
        job["metadata"]["finalizers"] = json!(["example.com/backup", "orphan"]);
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        helper.update_job("report", |job| job["metadata"]["finalizers"] = json!(["orphan"]));
    });
    let (_, end) = carry_out(&world, order(&json!({"release_stuck": "gc"}))).await;
    assert_eq!(end.unwrap().released, ["report"]);
}

#[tokio::test(start_paused = true)]
async fn api_server_that_does_not_answer_ends_the_order_soon_after_its_limit() {
    for kind in ["delete jobs", "get jobs", "list pods"] {
        let world = World::new();
        make_job(&world, "report", true);
        world.fault(kind, Fault::Delay(Duration::from_secs(3600)), 1000);
        let begin = tokio::time::Instant::now();
        let (_, end) = carry_out(&world, order(&json!({"timeout_seconds": 20}))).await;
        assert!(end.is_err(), "{kind}: {end:?}");
        assert!(begin.elapsed() <= Duration::from_secs(32), "{kind}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn absent_job_is_gone_once_the_pods_it_left_have_ended() {
    let world = World::new();
    make_job(&world, "report", true);
    world.vanish("report", false);
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        helper.end_pod("report-p0", 0);
    });
    let begin = tokio::time::Instant::now();
    let (_, end) = carry_out(&world, order(&json!({}))).await;
    end.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_living_job_are_never_taken_for_those_of_an_absent_one() {
    let world = World::new();
    let uid = make_job(&world, "report", true);
    let mistyped = json!({"target": {"name": "repotr", "uid": uid}});
    let (_, end) = carry_out(&world, order(&mistyped)).await;
    let error = end.unwrap_err();
    assert!(matches!(error, Error::Configuration(_)) && error.to_string().contains("report"), "{error}");

    let world = World::new();
    let helper = Arc::clone(&world);
    // Between the look for the Job and the list of Pods somebody makes it anew.
    world.fault("list pods", Fault::Delay(Duration::from_secs(2)), 1);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        make_job(&helper, "report", true);
    });
    let (_, end) = carry_out(&world, order(&json!({}))).await;
    end.unwrap();
    assert_eq!((world.asked("delete pods"), pods(&world)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn orphans_of_an_absent_job_stay_unless_the_order_is_explicit() {
    let cases =
        [(json!({}), false), (json!({"propagation_policy": "Orphan"}), false), (json!({"release_stuck": "gc"}), true)];
    for (asked, deleted) in cases {
        let world = World::new();
        make_job(&world, "report", true);
        world.vanish("report", false);
        world.orphan_pods();
        let helper = Arc::clone(&world);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            helper.end_pod("report-p0", 143);
        });
        let (said, end) = carry_out(&world, order(&asked)).await;
        let done = end.unwrap();
        assert_eq!(world.asked("delete pods"), usize::from(deleted), "{asked}: {said:?}");
        assert_eq!(done.pods_kept.is_empty(), deleted, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn end_of_a_slow_deletion_is_known_from_one_watch_for_all() {
    let world = World::new();
    for number in 0..20 {
        let name = format!("report-{number}");
        make_job(&world, &name, false);
        world.update_job(&name, |job| job["metadata"]["finalizers"] = json!(["example.com/backup"]));
    }
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        helper.restart();
        for number in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            helper.update_job(&format!("report-{number}"), |job| job["metadata"]["finalizers"] = json!([]));
        }
    });
    let selector = order(&json!({"target": {"kind": "selector", "name": null, "labels": "app=report"}}));
    let begin = tokio::time::Instant::now();
    let (_, end) = carry_out(&world, selector).await;
    assert_eq!(end.unwrap().deleted.len(), 20);
    assert!(begin.elapsed() < Duration::from_secs(10), "not by looking from time to time: {:?}", begin.elapsed());
    assert!(world.asked("watch jobs") <= 3, "{}", world.asked("watch jobs"));
}

#[tokio::test(start_paused = true)]
async fn job_whose_label_is_taken_away_is_still_seen_to_go() {
    let world = World::new();
    make_job(&world, "report", false);
    world.update_job("report", |job| job["metadata"]["finalizers"] = json!(["example.com/backup"]));
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        helper.update_job("report", |job| job["metadata"]["labels"] = json!({}));
        tokio::time::sleep(Duration::from_secs(20)).await;
        helper.update_job("report", |job| job["metadata"]["finalizers"] = json!([]));
    });
    let selector = order(&json!({"target": {"kind": "selector", "name": null, "labels": "app=report"}}));
    let begin = tokio::time::Instant::now();
    carry_out(&world, selector).await.1.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn outage_longer_than_a_request_is_repeated_does_not_end_the_wait() {
    let world = World::new();
    make_job(&world, "report", false);
    world.update_job("report", |job| job["metadata"]["finalizers"] = json!(["example.com/backup"]));
    let helper = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for kind in ["get jobs", "list jobs", "watch jobs", "list pods"] {
            helper.fault(kind, Fault::LoseRequest, 40);
        }
        helper.restart();
        helper.update_job("report", |job| job["metadata"]["finalizers"] = json!([]));
    });
    let (_, end) = carry_out(&world, order(&json!({"timeout_seconds": 600}))).await;
    assert_eq!(end.unwrap().deleted, ["report"]);
}

#[tokio::test(start_paused = true)]
async fn order_that_fails_for_one_job_reports_the_others_and_keeps_its_class() {
    let world = World::new();
    for name in ["good", "bad", "worse"] {
        make_job(&world, name, false);
    }
    world.fault("delete jobs", Fault::answer(403, "Forbidden", "cannot delete"), 2);
    let selector = order(&json!({"target": {"kind": "selector", "name": null, "labels": "app=report"}}));
    let (said, end) = carry_out(&world, selector).await;
    let error = end.unwrap_err();
    assert!(matches!(error, Error::ApiRefused(_)), "{error}");
    let facts = &error.report().facts;
    assert_eq!(facts["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(facts["failed"].as_object().unwrap().len(), 2);
    assert_eq!(said.iter().filter(|text| text.starts_with("job-not-deleted")).count(), 2);
}

/// Answers with code 200 to a GET of the Job that are not the Job.
const NOT_THE_JOB: [&str; 7] = [
    "{}",
    "[]",
    "<html>welcome</html>",
    r#"{"kind": "PodList", "items": []}"#,
    r#"{"kind": "Job", "metadata": {"namespace": "etl", "name": "report"}}"#,
    r#"{"kind": "Job", "metadata": {"namespace": "etl", "name": "other", "uid": "u"}}"#,
    r#"{"kind": "Job", "metadata": {"namespace": "etl", "name": "report", "uid": "u"}, "spec": {"suspend": "yes"}}"#,
];

#[tokio::test(start_paused = true)]
async fn answer_that_is_not_the_job_is_no_proof_that_it_is_gone() {
    for body in NOT_THE_JOB {
        let world = World::new();
        make_job(&world, "report", false);
        world.start_pod("report");
        hold(&world, "example.com/backup");
        // The first GET shows it; those after the DELETE do not.
        let helper = Arc::clone(&world);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            helper.fault("get jobs", Fault::Instead { code: 200, body }, usize::MAX);
        });
        let (_, end) = carry_out(&world, order(&json!({"timeout_seconds": 30}))).await;
        let error = end.unwrap_err();
        assert!(!matches!(error, Error::Internal(_)), "{body}: {error}");
        assert_eq!((world.jobs().len(), world.asked("delete pods")), (1, 0), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_not_the_job_is_no_claim_that_there_is_nothing_to_delete() {
    for body in NOT_THE_JOB {
        let world = World::new();
        make_job(&world, "report", false);
        world.fault("get jobs", Fault::Instead { code: 200, body }, usize::MAX);
        let (said, end) = carry_out(&world, order(&json!({"timeout_seconds": 30}))).await;
        let text = end.unwrap_err().to_string();
        assert!(text.contains("something that is not"), "{body}: {text}");
        assert!(!text.contains("did not answer"), "{body}: {text}");
        assert!(said.iter().all(|said| !said.contains("nothing to delete")), "{body}: {said:?}");
        assert_eq!(world.asked("delete jobs"), 0, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn page_that_is_not_found_is_no_proof_that_the_job_is_gone() {
    let world = World::new();
    make_job(&world, "report", false);
    world.fault("get jobs", Fault::Instead { code: 404, body: "404 page not found" }, usize::MAX);
    let (_, end) = carry_out(&world, order(&json!({"timeout_seconds": 30}))).await;
    let text = end.unwrap_err().to_string();
    assert!(text.contains("not one that an API server gives"), "{text}");
    assert_eq!(world.jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn list_that_is_no_list_of_jobs_is_no_claim_that_none_has_the_labels() {
    for body in ["{}", "[]", r#"{"kind": "PodList", "items": []}"#, r#"{"kind": "List", "items": null}"#] {
        let world = World::new();
        make_job(&world, "report", false);
        world.fault("list jobs", Fault::Instead { code: 200, body }, usize::MAX);
        let by_label =
            json!({"target": {"kind": "selector", "labels": "app=report", "name": null}, "timeout_seconds": 30});
        let (_, end) = carry_out(&world, order(&by_label)).await;
        let text = end.unwrap_err().to_string();
        assert!(text.contains("something that is not a list of jobs.batch"), "{body}: {text}");
        let place = Namespaces::One(NAMESPACE.parse().unwrap());
        assert!(
            survey(&world.cluster(), &place, &mpsc::channel(64).0)
                .await
                .unwrap_err()
                .to_string()
                .contains("something that is not"),
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_job_that_cannot_be_understood_hides_no_other() {
    let world = World::new();
    make_job(&world, "report", false);
    make_job(&world, "other", false);
    hold(&world, "example.com/backup");
    world.update_job("other", |job| job["spec"]["suspend"] = json!("yes"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let place = Namespaces::One(NAMESPACE.parse().unwrap());
    let (told, mut heard) = mpsc::channel(64);
    let found = survey(&world.cluster(), &place, &told).await.unwrap();
    assert_eq!((found.jobs, heard.try_recv().unwrap().len()), (1, 1), "{found:?}");
    let unknown: Vec<_> = found.unknown.iter().map(ToString::to_string).collect();
    assert!(unknown.iter().any(|unknown| unknown.contains("`etl/other` cannot be understood")), "{unknown:?}");
}
