//! Later tries: a retry does not double work, a clear starts afresh, and only an owner writes.

use std::time::Duration;

use serde_json::{Value, json};
use unique_k8s_job::{
    error::Error,
    model::{job_result::JobResult, outcome::OutcomeState},
    session::Session,
    submit::{JobOrigin, request::JobRequest},
};

use crate::{
    faults::Fault,
    world::{Course, World, follow, order, order_with, run},
};

/// Lets try 1 make its Job and die at this age of the world.
async fn try_one_dies_after(world: &std::sync::Arc<World>, age: Duration) {
    let dying = Session::submit(world.cluster(), order(1));
    tokio::time::sleep(age).await;
    drop(dying);
}

fn slow() -> Course {
    Course { runs: Duration::from_secs(60), lines: 59, ..Course::default() }
}

fn cleared(try_number: u32) -> JobRequest {
    order_with(try_number, json!({"attempt": {"max_tries": try_number + 2, "clear_number": 1}}))
}

#[tokio::test(start_paused = true)]
async fn retry_takes_over_the_unfinished_job_and_reads_its_whole_log() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    let ended = run(&world.cluster(), order(2)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::TakenOver)));
    assert_eq!(world.jobs_made().len(), 1);
    assert_eq!(ended.log, (1..60).map(|number| format!("line {number}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn retry_uses_a_success_that_nobody_acknowledged() {
    let world = World::new();
    world.runs_jobs(Course::default());
    try_one_dies_after(&world, Duration::from_secs(30)).await;
    let ended = run(&world.cluster(), order(2)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::OutcomeUsed)));
    assert_eq!(world.jobs_made().len(), 1);
}

fn with_result(try_number: u32) -> JobRequest {
    order_with(try_number, json!({"result": "termination-message"}))
}

#[tokio::test(start_paused = true)]
async fn retry_that_uses_or_takes_over_a_job_has_its_result() {
    for (age, origin) in [(10, JobOrigin::TakenOver), (90, JobOrigin::OutcomeUsed)] {
        let world = World::new();
        world.runs_jobs(Course { message: "[1, 2]", ..slow() });
        let dying = Session::submit(world.cluster(), with_result(1));
        tokio::time::sleep(Duration::from_secs(age)).await;
        drop(dying);
        let ended = run(&world.cluster(), with_result(2)).await;
        assert_eq!(ended.outcome().result, Some(JobResult::Text(Some("[1, 2]".to_owned()))), "age {age}");
        assert_eq!(ended.origin, Some(origin));
        let exits = &ended.outcome().containers;
        assert!(exits.iter().all(|exit| exit.message.is_none()), "the result is told once: {exits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn result_that_is_lost_is_told_and_the_retry_after_it_runs_anew() {
    let world = World::new();
    world.runs_jobs(Course { message: "[1, 2]", ..Course::default() });
    let dying = Session::submit(world.cluster(), with_result(1));
    tokio::time::sleep(Duration::from_secs(30)).await;
    drop(dying);
    let job = world.jobs().remove(0);
    world.inner().remove_pods_of(&job);
    world.changed();
    let second = run(&world.cluster(), with_result(2)).await;
    assert_eq!((second.outcome().state, second.origin), (OutcomeState::Succeeded, Some(JobOrigin::OutcomeUsed)));
    let Some(JobResult::Unusable(why)) = &second.outcome().result else { panic!("{:?}", second.outcome()) };
    assert!(why.message.contains("is lost"), "{why}");
    assert_eq!(second.run.acknowledge().await.unwrap(), []);
    let third = run(&world.cluster(), with_result(3)).await;
    assert_eq!(third.outcome().result, Some(JobResult::Text(Some("[1, 2]".to_owned()))));
    assert_eq!(third.origin, Some(JobOrigin::Created));
}

#[tokio::test(start_paused = true)]
async fn job_that_was_made_without_a_place_for_its_result_is_not_used_for_one() {
    let world = World::new();
    world.runs_jobs(Course { message: "\"\"", ..Course::default() });
    try_one_dies_after(&world, Duration::from_secs(30)).await;
    let ended = run(&world.cluster(), with_result(2)).await;
    assert_eq!(ended.origin, Some(JobOrigin::Created));
}

#[tokio::test(start_paused = true)]
async fn retry_after_a_failure_makes_a_job_of_its_own() {
    let world = World::new();
    world.runs_jobs(Course { exit_code: 3, ..Course::default() });
    let first = run(&world.cluster(), order(1)).await;
    assert_eq!((first.outcome().state, first.outcome().exit_code), (OutcomeState::Failed, Some(3)));
    let second = run(&world.cluster(), order(2)).await;
    assert_eq!(second.origin, Some(JobOrigin::Created));
    assert_eq!(world.jobs_made().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn cleared_task_starts_afresh_whatever_its_predecessor_left() {
    for age in [10, 100] {
        let world = World::new();
        world.runs_jobs(slow());
        try_one_dies_after(&world, Duration::from_secs(age)).await;
        let ended = run(&world.cluster(), cleared(2)).await;
        assert_eq!(
            (ended.outcome().state, ended.origin),
            (OutcomeState::Succeeded, Some(JobOrigin::Created)),
            "age {age}"
        );
        assert_eq!(world.jobs_made().len(), 2);
        assert_eq!(world.jobs().len(), 1, "the old one is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_a_clear_never_uses_an_outcome_from_before_it() {
    let world = World::new();
    world.runs_jobs(Course::default());
    // Its acknowledgement was refused, so try 1 left an unacknowledged success.
    let first = run(&world.cluster(), order(1)).await;
    world.fault("patch jobs", Fault::answer(403, "Forbidden", "cannot patch"), usize::MAX);
    let said = first.run.acknowledge().await.unwrap();
    assert!(said.len() == 1 && said[0].text.contains("verb `patch`"), "{said:?}");
    let ended = run(&world.cluster(), cleared(2)).await;
    assert_eq!(ended.origin, Some(JobOrigin::Created));
    assert_eq!(world.jobs_made().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn changed_manifest_ends_the_predecessor_first() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    let ended = run(&world.cluster(), order_with(2, json!({"arguments": {"image": "train:2"}}))).await;
    assert_eq!(ended.origin, Some(JobOrigin::Created));
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1));
    assert!(ended.messages.iter().any(|said| said.starts_with("predecessor-deleted")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn replace_ends_the_predecessor_and_ignore_does_not_look() {
    for (policy, left, lists) in [("replace", 1, 1), ("ignore", 2, 0)] {
        let world = World::new();
        world.runs_jobs(slow());
        try_one_dies_after(&world, Duration::from_secs(10)).await;
        let ended = run(&world.cluster(), order_with(2, json!({"policy": policy}))).await;
        assert_eq!(ended.origin, Some(JobOrigin::Created), "{policy}");
        assert_eq!((world.jobs().len(), world.asked("list jobs")), (left, lists), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_deployment_with_equal_ids_is_never_taken_over() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    let ended = run(&world.cluster(), order_with(2, json!({"attempt": {"deployment": "staging"}}))).await;
    assert_eq!(ended.origin, Some(JobOrigin::Created));
    assert_eq!(world.jobs().len(), 2);
    assert_eq!(world.asked("delete jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn job_whose_name_was_written_down_is_found_under_another_deployment_id() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    let changes = json!({"attempt": {"deployment": "renamed"}, "known_names": [order(1).name(0).as_str()]});
    let ended = run(&world.cluster(), order_with(2, changes)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::TakenOver)));
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_worker_that_wakes_up_late_stops_and_touches_nothing() {
    let world = World::new();
    world.runs_jobs(slow());
    let old = tokio::spawn(follow(Session::submit(world.cluster(), order(1))));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let new = run(&world.cluster(), order(2)).await;
    assert_eq!((new.outcome().state, new.origin), (OutcomeState::Succeeded, Some(JobOrigin::TakenOver)));
    let old = old.await.unwrap();
    assert!(matches!(old.error(), Error::TakenOver(_)), "{}", old.error());
    assert!(old.error().to_string().contains("taken over by try 2"), "{}", old.error());
    assert_eq!(old.run.acknowledge().await.unwrap(), [], "it has no outcome");
    assert!(matches!(old.run.delete(Duration::from_secs(1), &|_| {}).await, Err(Error::TakenOver(_))));
    assert_eq!((world.jobs().len(), world.asked("delete jobs")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn post_of_a_lower_try_that_arrives_late_is_noticed_and_its_job_deleted() {
    let world = World::new();
    world.runs_jobs(slow());
    let newest = tokio::spawn(follow(Session::submit(world.cluster(), order(2))));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let late = order(1).draft(0, &"etl".parse().unwrap(), None).unwrap();
    let late: Value = serde_json::from_slice(&late.body).unwrap();
    world.inner().store.create(("jobs".into(), "etl".into(), order(1).name(0).as_str().into()), late);
    world.changed();
    let ended = newest.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert_eq!(world.jobs().len(), 1);
    assert!(ended.messages.iter().any(|said| said.starts_with("late-predecessor")), "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_patch_a_retry_ends_the_predecessor_and_starts_anew() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    world.fault("patch jobs", Fault::answer(403, "Forbidden", "cannot patch"), usize::MAX);
    let ended = run(&world.cluster(), order(2)).await;
    assert_eq!(ended.origin, Some(JobOrigin::Created));
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn reply_of_a_takeover_that_is_lost_does_not_make_it_twice() {
    let world = World::new();
    world.runs_jobs(slow());
    try_one_dies_after(&world, Duration::from_secs(10)).await;
    world.fault("patch jobs", Fault::LoseReply, 1);
    let ended = run(&world.cluster(), order(2)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::TakenOver)));
}

#[tokio::test(start_paused = true)]
async fn stop_while_the_post_is_under_way_deletes_what_it_made() {
    let world = World::new();
    world.runs_jobs(slow());
    world.fault("create jobs", Fault::LoseReply, 1);
    world.fault("get jobs", Fault::Delay(Duration::from_secs(5)), 1);
    let stopped = Session::submit(world.cluster(), order(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.jobs().len(), 1);
    stopped.delete(Duration::from_secs(30), &|_| {}).await.unwrap();
    assert_eq!(world.jobs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_that_a_finalizer_holds_is_not_called_done() {
    let world = World::new();
    world.runs_jobs(slow());
    let stopped = Session::submit(world.cluster(), order(1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["metadata"]["finalizers"] = json!(["example.com/hold"]));
    let error = stopped.delete(Duration::from_secs(10), &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::DeletionUnconfirmed(_)), "{error}");
    assert!(error.to_string().contains("example.com/hold"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn outage_longer_than_a_request_is_repeated_does_not_end_the_confirmation_of_a_stop() {
    let world = World::new();
    let stopped = Session::submit(world.cluster(), order(1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["metadata"]["finalizers"] = json!(["example.com/hold"]));
    let helper = std::sync::Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        helper.fault("get jobs", Fault::LoseRequest, 40);
        helper.update_job(&name, |job| job["metadata"]["finalizers"] = json!([]));
    });
    let begin = tokio::time::Instant::now();
    let done = stopped.delete(Duration::from_secs(600), &|_| {}).await.unwrap().expect("a Job");
    assert!(done.contains("is deleted, and its Pods have ended"), "{done}");
    assert!(begin.elapsed() > Duration::from_secs(60), "no outage: {:?}", begin.elapsed());
    assert_eq!((world.jobs().len(), world.asked("delete jobs")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn deletion_whose_pod_still_runs_names_the_pod_and_its_node() {
    let world = World::new();
    world.runs_jobs(slow());
    world.inner().collects_garbage = false;
    let stopped = Session::submit(world.cluster(), order(1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let error = stopped.delete(Duration::from_secs(10), &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("may still run, on `node1`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn try_after_one_whose_job_is_gone_waits_for_the_pods_that_it_left() {
    let world = World::new();
    try_one_dies_after(&world, Duration::from_secs(1)).await;
    let name = world.jobs_made()[0].clone();
    let pod = world.start_pod(&name);
    // Its old owner deleted it and was killed; the Pod is within its grace period.
    world.vanish(&name, false);
    let helper = std::sync::Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        helper.end_pod(&pod, 143);
    });
    let begin = tokio::time::Instant::now();
    let second = Session::submit(world.cluster(), order(2));
    while world.jobs_made().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begin.elapsed() >= Duration::from_secs(20), "two Pods of one task at work: {:?}", begin.elapsed());
    second.close();
}
