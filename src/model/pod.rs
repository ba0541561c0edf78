//! Answers questions about a Pod of a Job: who owns it, how far it has come, and whether it has ended. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, Event, Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::Value;

use super::{
    conditions::{FAILED_BEFORE, INDEX},
    observed_job::JobReference,
};
use crate::resource::Selector;

/// Reads a Pod; none if the object is no Pod. A Job may have thousands of Pods, and all are remembered. Most of each is
/// its spec, so only the node and the restart policies of it are kept.
#[must_use]
pub fn lean_pod(object: Value) -> Option<Arc<Pod>> {
    let mut pod: Pod = serde_json::from_value(object).ok()?;
    trim(&mut pod);
    Some(Arc::new(pod))
}

/// Drops the managed fields of a Pod, its annotations apart from its index and how often that has failed before, and its
/// spec apart from the node and the restart policies: that of the Pod, and
/// those of the containers that have their own.
pub(crate) fn trim(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == INDEX || key == FAILED_BEFORE);
    }
    let PodSpec { node_name, restart_policy, init_containers, containers, .. } = pod.spec.take().unwrap_or_default();
    let policies = |containers: Vec<Container>| -> Vec<Container> {
        let own = containers.into_iter().filter(|container| container.restart_policy.is_some());
        own.map(|Container { name, restart_policy, .. }| Container { name, restart_policy, ..Container::default() })
            .collect()
    };
    pod.spec = Some(PodSpec {
        node_name,
        restart_policy,
        init_containers: init_containers.map(policies),
        containers: policies(containers),
        ..PodSpec::default()
    });
}

/// Whether the Pod's phase is one of the last two: nothing of its status changes any more, and the Job controller can
/// count it. This is about what was *reported* of the Pod. [`work_has_stopped`] is about what still *runs*, and is true
/// earlier: for a Pod that is being deleted, whose containers have ended, and whose end the kubelet has not yet
/// reported.
#[must_use]
pub fn phase_is_terminal(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// When an Event happened.
#[must_use]
pub fn event_time(event: &Event) -> Option<Timestamp> {
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    first.or_else(|| event.event_time.as_ref().map(|time| time.0)).or(event.last_timestamp.as_ref().map(|time| time.0))
}

/// When an Event happened last: Kubernetes keeps a repeated Event once, with a count.
#[must_use]
pub fn event_last_time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    series.or_else(|| time(event.last_timestamp.as_ref())).or_else(|| event_time(event))
}

/// The statuses of a Pod's containers, init containers apart.
pub fn main_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// The statuses of a Pod's init containers.
pub(crate) fn init_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten())
}

/// The statuses of all containers of a Pod, init containers first.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    init_containers(pod).chain(main_containers(pod))
}

/// Whether a container is a sidecar: an init container of the restart policy `Always`, which runs beside the others.
/// Source: <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>.
pub(crate) fn is_sidecar(pod: &Pod, container: &ContainerStatus) -> bool {
    let mut inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    inits.any(|init| init.name == container.name && init.restart_policy.as_deref() == Some("Always"))
}

/// Whether a container runs now.
pub(crate) fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Whether a container runs, ran, or is between two runs. One that the runtime could never start has not, however often
/// it was tried.
#[must_use]
pub fn has_started(container: &ContainerStatus) -> bool {
    let before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    started_at(container).is_some()
        || before
            .map_or(container.restart_count > 0, |end| real(end.started_at.as_ref()).is_some() || end.reason.is_none())
}

/// When a container started for the first time, if its status still tells.
pub(crate) fn first_start(container: &ContainerStatus) -> Option<Timestamp> {
    match container.restart_count {
        0 => started_at(container),
        1 => run_before_started_at(container).or_else(|| started_at(container)),
        _ => None,
    }
}

/// When a container started for as long as its status tells: now, or before it was started again last.
pub(crate) fn earliest_start(container: &ContainerStatus) -> Option<Timestamp> {
    run_before_started_at(container).into_iter().chain(started_at(container)).min()
}

fn run_before_started_at(container: &ContainerStatus) -> Option<Timestamp> {
    real(container.last_state.as_ref()?.terminated.as_ref()?.started_at.as_ref())
}

/// The runtime gives 1970 for a container that it could not start.
fn real(start: Option<&Time>) -> Option<Timestamp> {
    time(start).filter(|time| time.as_second() > 0)
}

pub(crate) fn started_at(container: &ContainerStatus) -> Option<Timestamp> {
    let state = container.state.as_ref()?;
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|terminated| terminated.started_at.as_ref());
    real(running.or(terminated))
}

pub(crate) fn finished_at(container: &ContainerStatus) -> Option<Timestamp> {
    container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)
}

pub(crate) fn scheduled_at(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    scheduled.last_transition_time.as_ref().map(|time| time.0)
}

/// The label that the Job controller puts on Pods; unlike their ownerReference it survives orphaning.
pub const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// The label with the Job's name that the Job controller puts on Pods.
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// The selector for the Pods of a Job, whoever owns them now.
#[must_use]
pub fn by_controller_uid(job: &JobReference) -> Selector {
    Selector::labels(format!("{CONTROLLER_UID}={}", job.uid))
}

/// The owner of a Pod, by its ownerReferences: labels alone prove nothing, because anybody can copy them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodOwner {
    /// The Job of this uid.
    TheJob,
    /// The Pod has no owner: it was orphaned, or made by hand.
    Nobody,
    /// Another object.
    Another,
}

pub(crate) fn pod_owner(pod: &Pod, uid: &str) -> PodOwner {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().any(|owner| owner.uid == uid) {
        PodOwner::TheJob
    } else if owners.is_empty() {
        PodOwner::Nobody
    } else {
        PodOwner::Another
    }
}

/// Whether a Pod belongs to another object, although it carries the label of a Job.
#[must_use]
pub fn owned_by_another(pod: &Pod, uid: &str) -> bool {
    pod_owner(pod, uid) == PodOwner::Another
}

/// The Job controller's finalizer on Pods that it has not counted yet.
pub const JOB_TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// Whether no container of the Pod runs any more, or will run again. Without a deletion only the phase decides, because
/// a container that has ended may be started again. See [`phase_is_terminal`] for the other question.
#[must_use]
pub fn work_has_stopped(pod: &Pod) -> bool {
    let over = |container: &k8s_openapi::api::core::v1::ContainerStatus| {
        container.state.as_ref().is_some_and(|state| state.terminated.is_some())
    };
    matches!(phase(pod), "Succeeded" | "Failed")
        || (pod.metadata.deletion_timestamp.is_some()
            && main_containers(pod).next().is_some()
            && all_containers(pod).all(over))
}

/// When the last of its containers ended.
#[must_use]
pub fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let finished = all_containers(pod)
        .filter_map(|container| time(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()));
    finished.max()
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub(crate) fn finalizers(pod: &Pod) -> &[String] {
    pod.metadata.finalizers.as_deref().unwrap_or_default()
}

/// The moment in an optional field.
pub(crate) fn time(field: Option<&Time>) -> Option<Timestamp> {
    field.map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_that_have_ended_stop_the_work_of_a_pod_that_is_being_deleted_before_its_phase_says_so() {
        let ended = json!({"terminated": {"exitCode": 137}});
        let running = json!({"running": {}});
        let (none, deleted) = (json!(null), json!("2026-01-01T00:00:00Z"));
        // Phase, deletion, states of the containers; whether the phase is terminal, whether the work has stopped.
        let cases = [
            ("Running", &deleted, vec![&ended, &ended], false, true),
            ("Running", &deleted, vec![&ended, &running], false, false),
            ("Running", &deleted, vec![], false, false),
            // It may be started again.
            ("Running", &none, vec![&ended], false, false),
            ("Failed", &none, vec![&ended], true, true),
            ("Failed", &deleted, vec![], true, true),
            ("Pending", &none, vec![], false, false),
        ];
        for (phase, deletion, states, terminal, stopped) in cases {
            let container = |state| json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            let containers: Vec<_> = states.iter().map(|state| container(*state)).collect();
            let pod = json!({"metadata": {"deletionTimestamp": deletion}, "status": {"phase": phase, "containerStatuses": containers}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!((phase_is_terminal(&pod), work_has_stopped(&pod)), (terminal, stopped), "{phase} {states:?}");
        }
    }

    #[test]
    fn container_that_the_runtime_could_not_start_has_not_started() {
        let status = |started: &str| {
            let end = json!({"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": started}});
            let status =
                json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": end});
            serde_json::from_value::<ContainerStatus>(status).unwrap()
        };
        assert!(!has_started(&status("1970-01-01T00:00:00Z")));
        assert!(has_started(&status("2026-01-01T00:00:00Z")));
    }
}
