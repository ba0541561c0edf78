//! A name that all runs share: predecessors are taken over, deleted or waited for; nobody else is ever touched.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use unique_k8s_job::{
    error::Error,
    model::outcome::OutcomeState,
    session::Session,
    submit::{JobOrigin, request::JobRequest},
};

use crate::{
    faults::Fault,
    store::Key,
    world::{Course, Ended, NAMESPACE, World, follow, order_with, run},
};

const NAME: &str = "nightly";

/// Try `try_number` of a run that wants the fixed name.
fn wants(run_id: &str, try_number: u32, changes: &Value) -> JobRequest {
    let mut request = json!({"fixed_name": NAME,
        "attempt": {"run_id": run_id, "instance": format!("{run_id} {try_number}")}});
    json_patch::merge(&mut request, changes);
    order_with(try_number, request)
}

fn today(try_number: u32) -> JobRequest {
    wants("today", try_number, &json!({}))
}

fn cleared(try_number: u32) -> JobRequest {
    wants("today", try_number, &json!({"attempt": {"max_tries": try_number + 2, "clear_number": 1}}))
}

fn slow() -> Course {
    Course { runs: Duration::from_secs(60), ..Course::default() }
}

/// A run of yesterday that has ended and was acknowledged, or has just ended.
async fn yesterday(world: &Arc<World>, acknowledged: bool) -> Ended {
    let ended = run(&world.cluster(), wants("yesterday", 1, &json!({}))).await;
    if acknowledged {
        assert_eq!(ended.run.acknowledge().await.unwrap(), []);
    }
    ended
}

/// A try of that run at work whose worker has died at this age.
async fn dies_after(world: &Arc<World>, order: JobRequest, age: Duration) {
    let dying = Session::submit(world.cluster(), order);
    tokio::time::sleep(age).await;
    drop(dying);
}

/// A Job of somebody else.
fn stranger(world: &World) -> Value {
    let key: Key = ("jobs".into(), NAMESPACE.into(), NAME.into());
    world.inner().store.create(key, json!({"metadata": {"labels": {"app": "theirs"}}, "spec": {"template": {}}}))
}

/// Somebody has deleted the Job with the policy Orphan, and the garbage collector is frozen.
fn orphan(world: &World) {
    world.update_job(NAME, |job| {
        job["metadata"]["finalizers"] = json!(["orphan"]);
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
}

fn writes(world: &World) -> usize {
    world.asked("patch jobs") + world.asked("delete jobs")
}

fn said(ended: &Ended, code: &str) -> bool {
    ended.messages.iter().any(|message| message.starts_with(code))
}

#[tokio::test(start_paused = true)]
async fn free_name_costs_one_post_and_no_look() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let ended = run(&world.cluster(), today(1)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert_eq!(world.jobs_made(), [NAME]);
    assert_eq!((world.asked("create jobs"), world.asked("get jobs"), world.asked("list jobs")), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn finished_predecessor_is_deleted_and_the_job_made_anew_whatever_is_lost_on_the_way() {
    let unavailable = || Fault::answer(503, "ServiceUnavailable", "starting");
    let faults = [
        ("nothing", None),
        ("the answer that the name is taken", Some(("create jobs", Fault::LoseReply, 1))),
        ("the first POST", Some(("create jobs", Fault::LoseRequest, 1))),
        ("both POSTs", Some(("create jobs", Fault::LoseReply, 2))),
        ("the DELETE", Some(("delete jobs", Fault::LoseRequest, 1))),
        ("the answer to the DELETE", Some(("delete jobs", Fault::LoseReply, 1))),
        ("a look", Some(("get jobs", unavailable(), 2))),
        ("the list of its Pods", Some(("list pods", unavailable(), 2))),
        ("nothing, but the DELETE conflicts", Some(("delete jobs", Fault::answer(409, "Conflict", "changed"), 2))),
    ];
    for (lost, fault) in faults {
        let world = World::new();
        world.runs_jobs(Course::default());
        let first = yesterday(&world, true).await;
        if let Some((kind, fault, times)) = fault {
            world.fault(kind, fault, times);
        }
        let ended = run(&world.cluster(), today(1)).await;
        assert_eq!(ended.outcome().state, OutcomeState::Succeeded, "{lost}");
        assert_eq!(world.jobs_made(), [NAME, NAME], "{lost}");
        assert_ne!(ended.outcome().job.uid, first.outcome().job.uid, "{lost}");
        assert_eq!(ended.log, ["line 1", "line 2", "line 3"], "{lost}");
        assert!(said(&ended, "predecessor-deleted"), "{lost}: {:?}", ended.messages);
    }
}

#[tokio::test(start_paused = true)]
async fn predecessor_that_has_just_ended_is_left_to_its_try_until_that_has_read_its_log() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let first = yesterday(&world, false).await;
    world.update_job(NAME, |job| job["status"]["completionTime"] = json!("2026-01-01T00:00:04Z"));
    let cluster = world.cluster();
    let second = tokio::spawn(async move { run(&cluster, today(1)).await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.jobs()[0]["metadata"]["uid"], json!(first.outcome().job.uid), "still there");
    assert_eq!(first.run.acknowledge().await.unwrap(), []);
    let second = second.await.unwrap();
    assert_eq!((second.outcome().state, second.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert!(said(&second, "name-unacknowledged"), "{:?}", second.messages);
}

#[tokio::test(start_paused = true)]
async fn predecessor_whose_worker_died_is_deleted_once_its_time_to_acknowledge_is_over() {
    let world = World::new();
    world.runs_jobs(Course::default());
    yesterday(&world, false).await;
    world.update_job(NAME, |job| job["status"]["completionTime"] = json!("2026-01-01T00:00:04Z"));
    let begin = Instant::now();
    let ended = run(&world.cluster(), today(1)).await;
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    assert!((50..80).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn unfinished_predecessor_of_another_run_is_waited_for() {
    let world = World::new();
    world.runs_jobs(slow());
    let cluster = world.cluster();
    let first = tokio::spawn(async move {
        let ended = run(&cluster, wants("yesterday", 1, &json!({}))).await;
        ended.run.acknowledge().await.unwrap();
        ended
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = run(&world.cluster(), today(1)).await;
    assert_eq!(first.await.unwrap().outcome().state, OutcomeState::Succeeded, "it ran to its end");
    assert_eq!((second.outcome().state, second.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert!(said(&second, "name-in-use"), "{:?}", second.messages);
}

#[tokio::test(start_paused = true)]
async fn predecessor_that_outlasts_the_startup_timeout_is_left_alone_and_its_owner_named() {
    let world = World::new();
    world.runs_jobs(Course { runs: Duration::from_secs(3600), ..Course::default() });
    dies_after(&world, wants("yesterday", 1, &json!({})), Duration::from_secs(5)).await;
    let begin = Instant::now();
    let ended = run(&world.cluster(), wants("today", 1, &json!({"startup_timeout_seconds": 30}))).await;
    assert!(matches!(ended.error(), Error::NameTaken(_)), "{}", ended.error());
    let text = ended.error().to_string();
    assert!(
        text.contains("has not finished") && text.contains("run yesterday") && text.contains("run today"),
        "{text}"
    );
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!((world.jobs().len(), writes(&world)), (1, 0));
    assert!(ended.run.delete(Duration::from_secs(5), &|_| {}).await.unwrap().is_none(), "nothing to delete");
    assert_eq!(world.jobs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn predecessor_stuck_on_its_way_out_is_explained_and_freed_when_its_time_has_come() {
    let world = World::new();
    world.runs_jobs(Course::default());
    yesterday(&world, true).await;
    orphan(&world);
    let begin = Instant::now();
    let ended = run(&world.cluster(), today(1)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert!((50..75).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(said(&ended, "name-leaving") && said(&ended, "job-released"), "{:?}", ended.messages);
    assert_eq!(world.jobs_made().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_freed_is_the_users_choice() {
    for (policy, ours, freed) in
        [("never", true, false), ("ours", true, true), ("ours", false, false), ("gc", false, true), ("gc", true, true)]
    {
        let world = World::new();
        world.runs_jobs(Course::default());
        if ours {
            yesterday(&world, true).await;
        } else {
            stranger(&world);
        }
        orphan(&world);
        let changes = json!({"release_stuck": policy, "startup_timeout_seconds": 90});
        let ended = run(&world.cluster(), wants("today", 1, &changes)).await;
        assert_eq!(ended.end.is_ok(), freed, "{policy}, ours: {ours}: {:?}", ended.messages);
        if !freed {
            let text = ended.error().to_string();
            assert!(text.contains("is still being deleted") && text.contains("orphan"), "{text}");
            assert!(text.contains("we are: deployment `prod`"), "{text}");
            assert_eq!((world.asked("delete jobs"), world.jobs().len()), (0, 1), "{policy}, ours: {ours}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_finalizer_is_named_and_never_touched() {
    let world = World::new();
    world.runs_jobs(Course::default());
    yesterday(&world, true).await;
    orphan(&world);
    world.update_job(NAME, |job| job["metadata"]["finalizers"] = json!(["example.com/hold", "orphan"]));
    let changes = json!({"release_stuck": "gc", "startup_timeout_seconds": 90});
    let ended = run(&world.cluster(), wants("today", 1, &changes)).await;
    assert!(ended.error().to_string().contains("example.com/hold"), "{}", ended.error());
    assert_eq!(world.asked("delete jobs"), 0);
}

#[tokio::test(start_paused = true)]
async fn job_of_anybody_else_is_left_alone_and_both_owners_are_named() {
    let others = [
        ("nobody", None),
        ("another dag", Some(json!({"attempt": {"dag_id": "elt"}}))),
        ("another task", Some(json!({"attempt": {"task_id": "test"}}))),
        ("another deployment", Some(json!({"attempt": {"deployment": "staging"}}))),
        ("another mapped instance", Some(json!({"attempt": {"map_index": 3}}))),
    ];
    for (whose, changes) in others {
        let world = World::new();
        world.runs_jobs(Course::default());
        match changes {
            None => _ = stranger(&world),
            Some(changes) => {
                let theirs = run(&world.cluster(), wants("yesterday", 1, &changes)).await;
                theirs.run.acknowledge().await.unwrap();
            }
        }
        let (before, wrote) = (world.jobs(), writes(&world));
        let ended = run(&world.cluster(), today(1)).await;
        assert!(matches!(ended.error(), Error::NameTaken(_)), "{whose}: {}", ended.error());
        assert!(ended.error().to_string().contains("we are: deployment `prod`"), "{}", ended.error());
        assert_eq!((world.jobs(), writes(&world)), (before, wrote), "{whose}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_reply_after_store_adopts_the_stored_job() {
    let world = World::new();
    world.runs_jobs(Course::default());
    world.fault("create jobs", Fault::LoseReply, 1);
    let ended = run(&world.cluster(), today(1)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Adopted)));
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_takes_over_the_unfinished_job_of_its_own_run() {
    let world = World::new();
    world.runs_jobs(slow());
    dies_after(&world, today(1), Duration::from_secs(10)).await;
    let ended = run(&world.cluster(), today(2)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::TakenOver)));
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_uses_a_success_that_nobody_acknowledged() {
    let world = World::new();
    world.runs_jobs(Course::default());
    dies_after(&world, today(1), Duration::from_secs(30)).await;
    let ended = run(&world.cluster(), today(2)).await;
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::OutcomeUsed)));
    assert_eq!(world.jobs_made().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_a_failure_deletes_its_job_first() {
    let world = World::new();
    world.runs_jobs(Course { exit_code: 3, ..Course::default() });
    let first = run(&world.cluster(), today(1)).await;
    first.run.acknowledge().await.unwrap();
    let second = run(&world.cluster(), today(2)).await;
    assert_eq!((second.outcome().state, second.origin), (OutcomeState::Failed, Some(JobOrigin::Created)));
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn retry_whose_predecessor_is_stuck_on_its_way_out_says_so_once_and_frees_it() {
    for at_work in [true, false] {
        let world = World::new();
        world.runs_jobs(slow());
        let age = Duration::from_secs(if at_work { 10 } else { 100 });
        dies_after(&world, cleared(1), age).await;
        orphan(&world);
        let ended = run(&world.cluster(), today(2)).await;
        assert_eq!(
            (ended.outcome().state, ended.origin),
            (OutcomeState::Succeeded, Some(JobOrigin::Created)),
            "{at_work}"
        );
        assert!(said(&ended, "job-released"), "{:?}", ended.messages);
        for code in ["predecessor-leaving", "name-leaving", "job-released"] {
            let times = ended.messages.iter().filter(|message| message.starts_with(code)).count();
            assert!(times <= 1, "{code} {times} times: {:?}", ended.messages);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cleared_task_starts_afresh_whatever_its_predecessor_left() {
    for age in [10, 100] {
        let world = World::new();
        world.runs_jobs(slow());
        dies_after(&world, today(1), Duration::from_secs(age)).await;
        let before = world.jobs()[0]["metadata"]["uid"].clone();
        let ended = run(&world.cluster(), cleared(2)).await;
        assert_eq!(
            (ended.outcome().state, ended.origin),
            (OutcomeState::Succeeded, Some(JobOrigin::Created)),
            "age {age}"
        );
        assert_ne!(json!(ended.outcome().job.uid), before);
        assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1), "age {age}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_manifest_and_policies_that_look_at_nothing_end_the_predecessor_of_the_same_run() {
    for changes in
        [json!({"arguments": {"image": "train:2"}}), json!({"policy": "replace"}), json!({"policy": "ignore"})]
    {
        let world = World::new();
        world.runs_jobs(slow());
        dies_after(&world, today(1), Duration::from_secs(10)).await;
        let ended = run(&world.cluster(), wants("today", 2, &changes)).await;
        assert_eq!(
            (ended.outcome().state, ended.origin),
            (OutcomeState::Succeeded, Some(JobOrigin::Created)),
            "{changes}"
        );
        assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1), "{changes}");
    }
}

#[tokio::test(start_paused = true)]
async fn own_job_that_was_acknowledged_is_used_up_deleted_and_made_anew() {
    let world = World::new();
    world.runs_jobs(Course::default());
    let first = run(&world.cluster(), today(1)).await;
    first.run.acknowledge().await.unwrap();
    let again = run(&world.cluster(), today(1)).await;
    assert_eq!((again.outcome().state, again.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
    assert_eq!((world.jobs_made(), world.jobs().len()), (vec![NAME.to_owned(), NAME.to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_have_their_jobs_one_after_the_other() {
    let world = World::new();
    world.runs_jobs(slow());
    let one = async |run_id: &str| {
        let ended = run(&world.cluster(), wants(run_id, 1, &json!({}))).await;
        ended.run.acknowledge().await.unwrap();
        ended
    };
    let (first, second, third) = tokio::join!(one("a"), one("b"), one("c"));
    for ended in [&first, &second, &third] {
        assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
        assert_eq!(ended.log, ["line 1", "line 2", "line 3"]);
    }
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn old_try_that_wakes_up_late_stops_before_the_job_of_a_newer_one() {
    let world = World::new();
    world.runs_jobs(slow());
    dies_after(&world, today(2), Duration::from_secs(10)).await;
    let ended = run(&world.cluster(), today(1)).await;
    assert!(matches!(ended.error(), Error::TakenOver(_)), "{}", ended.error());
    assert_eq!((world.jobs_made().len(), writes(&world)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn airflow_that_cannot_be_told_from_others_touches_no_predecessor() {
    let world = World::new();
    world.runs_jobs(Course::default());
    yesterday(&world, true).await;
    let wrote = writes(&world);
    let ended = run(&world.cluster(), wants("today", 2, &json!({"lookup": false, "known_names": [NAME]}))).await;
    assert!(matches!(ended.error(), Error::NameTaken(_)), "{}", ended.error());
    assert!(ended.error().to_string().contains("deployment_id"), "{}", ended.error());
    assert_eq!(writes(&world), wrote);
}

#[tokio::test(start_paused = true)]
async fn stop_while_waiting_for_the_name_deletes_nothing() {
    let world = World::new();
    world.runs_jobs(Course { runs: Duration::from_secs(3600), ..Course::default() });
    dies_after(&world, wants("yesterday", 1, &json!({})), Duration::from_secs(5)).await;
    let waiting = Session::submit(world.cluster(), today(1));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(waiting.delete(Duration::from_secs(10), &|_| {}).await.unwrap(), None, "nothing to delete");
    assert_eq!((world.jobs().len(), world.asked("delete jobs")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn predecessor_that_somebody_deletes_while_it_is_waited_for_frees_the_name() {
    let world = World::new();
    world.runs_jobs(slow());
    dies_after(&world, wants("yesterday", 1, &json!({})), Duration::from_secs(5)).await;
    let cluster = world.cluster();
    let waiting = tokio::spawn(async move { follow(Session::submit(cluster, today(1))).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.vanish(NAME, true);
    let ended = waiting.await.unwrap();
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
}

#[tokio::test(start_paused = true)]
async fn outage_longer_than_a_request_is_repeated_does_not_end_the_wait_for_the_name() {
    let world = World::new();
    world.runs_jobs(slow());
    dies_after(&world, wants("yesterday", 1, &json!({})), Duration::from_secs(5)).await;
    let cluster = world.cluster();
    let patient = wants("today", 1, &json!({"startup_timeout_seconds": 900}));
    let waiting = tokio::spawn(async move { follow(Session::submit(cluster, patient)).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.fault("get jobs", Fault::LoseRequest, 40);
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(world.jobs_made().len(), 1, "the outage lasts");
    world.vanish(NAME, true);
    let ended = waiting.await.unwrap();
    assert_eq!((ended.outcome().state, ended.origin), (OutcomeState::Succeeded, Some(JobOrigin::Created)));
}

#[tokio::test(start_paused = true)]
async fn work_of_a_predecessor_that_outlives_its_job_is_waited_for() {
    let world = World::new();
    world.runs_jobs(Course { runs: Duration::from_secs(3600), ..Course::default() });
    dies_after(&world, wants("yesterday", 1, &json!({})), Duration::from_secs(5)).await;
    orphan(&world);
    let cluster = world.cluster();
    let waiting = tokio::spawn(async move { follow(Session::submit(cluster, today(1))).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    // The garbage collector wakes up: the Job goes, its Pod stays, an orphan at work.
    world.update_job(NAME, |job| job["metadata"]["finalizers"] = json!([]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (1, 0), "its Pod still runs");
    world.end_pod(&format!("{NAME}-p0"), 0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((world.jobs_made().len(), world.jobs().len()), (2, 1));
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn no_right_to_delete_is_named_with_its_verb() {
    let world = World::new();
    world.runs_jobs(Course::default());
    yesterday(&world, true).await;
    world.fault("delete jobs", Fault::answer(403, "Forbidden", "cannot delete resource \"jobs\""), usize::MAX);
    let ended = run(&world.cluster(), today(1)).await;
    let text = ended.error().to_string();
    assert!(text.contains("verb `delete`") && text.contains("jobs.batch"), "{text}");
    assert_eq!(world.jobs_made().len(), 1);
}
