//! A Job that waits in a queue of Kueue: why, and at which place; and what it costs to know that.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use unique_k8s_job::{model::outcome::OutcomeState, session::Session};

use crate::{
    faults::Fault,
    world::{Ended, NAMESPACE, World, follow, order_with},
};

/// A Workload of this name, which waits in the queue; those before it have lesser names.
fn workload(world: &World, name: &str, job_uid: &str, status: &Value) {
    let metadata = json!({
        "labels": {"kueue.x-k8s.io/job-uid": job_uid},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": job_uid}],
    });
    let object = json!({"metadata": metadata, "spec": {"queueName": "team-a"}, "status": status});
    world.inner().store.create(("workloads".into(), NAMESPACE.into(), name.into()), object);
}

fn no_quota() -> Value {
    let waits = json!({"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "no quota",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"conditions": [waits]})
}

/// Follows a Job that waits in the queue for five minutes, is admitted then, and ends well.
///
/// Two others are before it; the first one of them is admitted after a minute.
async fn waited(world: &Arc<World>, status: Value) -> Ended {
    workload(world, "a-1", "u1", &no_quota());
    workload(world, "a-2", "u2", &no_quota());
    let order = order_with(1, json!({"queue_name": "team-a"}));
    let attempt = tokio::spawn(follow(Session::submit(world.cluster(), order)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let job = world.jobs().remove(0);
    workload(world, "b", job["metadata"]["uid"].as_str().unwrap(), &status);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.inner().store.remove(&("workloads".into(), NAMESPACE.into(), "a-1".into()));
    tokio::time::sleep(Duration::from_secs(240)).await;
    let name = world.jobs_made()[0].clone();
    world.update_job(&name, |job| job["spec"]["suspend"] = json!(false));
    let pod = world.start_pod(&name);
    world.end_pod(&pod, 0);
    world.end_job(&name, true);
    let ended = attempt.await.unwrap();
    assert_eq!(ended.outcome().state, OutcomeState::Succeeded);
    ended
}

/// What was told of its waiting, after the name of the Job.
fn told(ended: &Ended) -> Vec<&str> {
    let waits = ended.messages.iter().filter_map(|said| said.split_once("` waits ")).map(|(_, said)| said);
    waits.map(|said| said.split(" (since").next().unwrap().split(" [").next().unwrap()).collect()
}

const UNREAD: &str = "in the queue `team-a`: Kueue has not admitted it yet";
const WITHOUT: &str = "in the queue `team-a`: no quota";

#[tokio::test(start_paused = true)]
async fn position_in_the_queue_is_told_again_when_it_changes_and_costs_one_read_for_each_list() {
    let world = World::new();
    let ended = waited(&world, no_quota()).await;
    let expected =
        [UNREAD, "at place 3 of 3 in the queue `team-a`: no quota", "at place 2 of 2 in the queue `team-a`: no quota"];
    assert_eq!(told(&ended), expected, "{:?}", ended.messages);
    assert_eq!(world.asked("get pendingworkloads"), world.asked("list workloads"));
    assert!(world.asked("list workloads") <= 9, "{:?}", world.all_asked());
}

#[tokio::test(start_paused = true)]
async fn position_that_may_not_be_read_or_is_not_served_is_not_asked_for_again() {
    let refused = Fault::answer(403, "Forbidden", "localqueues.visibility.kueue.x-k8s.io is forbidden");
    let not_served = Fault::answer(404, "NotFound", "the server could not find the requested resource");
    for (fault, requests) in [(refused, 1), (not_served, 2)] {
        let world = World::new();
        world.fault("get pendingworkloads", fault, usize::MAX);
        let ended = waited(&world, no_quota()).await;
        assert_eq!(told(&ended), [UNREAD, WITHOUT], "{:?}", ended.messages);
        assert_eq!(world.asked("get pendingworkloads"), requests);
        assert!(world.asked("list workloads") > 4, "{:?}", world.all_asked());
    }
}

#[tokio::test(start_paused = true)]
async fn visibility_api_that_fails_or_lies_changes_nothing_of_what_is_told() {
    let fails = Fault::answer(503, "ServiceUnavailable", "service unavailable");
    let hangs = Fault::Delay(Duration::from_secs(3600));
    let lies = Fault::Instead { code: 200, body: r#"{"kind": "Pod", "items": [{"positionInLocalQueue": 7}]}"# };
    for fault in [fails, hangs, lies] {
        let world = World::new();
        world.fault("get pendingworkloads", fault.clone(), usize::MAX);
        let ended = waited(&world, no_quota()).await;
        assert_eq!(told(&ended), [UNREAD, WITHOUT], "{fault:?}: {:?}", ended.messages);
    }
}

#[tokio::test(start_paused = true)]
async fn position_is_told_also_where_workloads_may_not_be_listed() {
    let world = World::new();
    world.fault("list workloads", Fault::answer(403, "Forbidden", "workloads is forbidden"), usize::MAX);
    let ended = waited(&world, no_quota()).await;
    let third = "at place 3 of 3 in the queue `team-a`: Kueue has not admitted it yet";
    let second = "at place 2 of 2 in the queue `team-a`: Kueue has not admitted it yet";
    assert_eq!(told(&ended), [UNREAD, third, second], "{:?}", ended.messages);
}

#[tokio::test(start_paused = true)]
async fn workload_that_cannot_be_read_is_there_all_the_same() {
    let world = World::new();
    let ended = waited(&world, json!({"conditions": "many"})).await;
    assert_eq!(told(&ended), [UNREAD], "no word of a Workload that Kueue has not made: {:?}", ended.messages);
    assert_eq!(world.asked("get pendingworkloads"), 0);
}
