//! What a container is doing, as its Pod tells. Pure.
//!
//! Whether a container that ended is started again is a matter of restart policies, not of its state: between two
//! runs it looks ended. Sources: "Pod lifecycle, container restart policy" in the Kubernetes documentation, and
//! `ShouldContainerBeRestarted` in kubernetes `pkg/kubelet/container`.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use crate::model::pod::{all_containers, phase_is_terminal};

/// One look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerNow {
    /// There is no such Pod any more.
    PodGone,
    /// Its Pod does not speak of it.
    Unknown,
    /// A run of it.
    Run {
        /// Which.
        restart_count: i32,
        /// How far it is.
        state: RunState,
    },
}

/// How far a run of a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It runs, or will; it is the last one.
    Open,
    /// It runs, and the kubelet will start another one after it, or may.
    Restartable,
    /// It has ended, and the kubelet is about to start the next one.
    Restarting,
    /// It has ended, and no other will come.
    Ended {
        /// When, to the second and in UTC: `2026-01-01T00:00:00`.
        finished: Option<String>,
    },
}

impl ContainerNow {
    /// What the Pod says of its container of this name.
    #[must_use]
    pub fn of(pod: &Pod, container: &str) -> Self {
        let Some(status) = all_containers(pod).find(|status| status.name == container) else { return Self::Unknown };
        Self::Run { restart_count: status.restart_count, state: state(pod, status) }
    }

    /// Whether this run of it is over. That is final: no later state takes it back.
    pub(crate) fn is_past(&self, run: i32) -> bool {
        match self {
            Self::Run { restart_count, state } => {
                *restart_count > run || (*restart_count == run && matches!(state, RunState::Ended { .. }))
            }
            Self::PodGone | Self::Unknown => false,
        }
    }
}

fn state(pod: &Pod, status: &ContainerStatus) -> RunState {
    let state = status.state.as_ref();
    let end = state.and_then(|state| state.terminated.as_ref());
    let runs = state.is_some_and(|state| state.running.is_some());
    let between = !runs && (end.is_some() || status.restart_count > 0 || status.last_state.is_some());
    // The kubelet starts no container of either again: whether one still runs is asked below, of that container alone.
    let over = phase_is_terminal(pod) || pod.metadata.deletion_timestamp.is_some();
    let last = match policy(pod, &status.name) {
        Some("Never") => true,
        Some("OnFailure") => end.is_some_and(|end| end.exit_code == 0),
        _ => false,
    };
    match (runs, between) {
        (false, _) if over => RunState::Ended { finished: finished(status) },
        (false, true) if last && end.is_some() => RunState::Ended { finished: finished(status) },
        (false, true) if !last => RunState::Restarting,
        (true, _) if !last && !over => RunState::Restartable,
        _ => RunState::Open,
    }
}

/// When the newest end was.
fn finished(status: &ContainerStatus) -> Option<String> {
    let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let end = end.or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))?;
    Some(end.finished_at.as_ref()?.0.to_string().get(..19)?.to_owned())
}

/// The policy of the container (that of a sidecar is `Always`), else of its Pod.
fn policy<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let spec = pod.spec.as_ref()?;
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let own =
        containers.filter(|container: &&Container| container.name == name).find_map(|c| c.restart_policy.as_deref());
    own.or(spec.restart_policy.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_state(policy: &str, state: &Value, pod: &Value) -> RunState {
        let mut whole = json!({
            "metadata": {},
            "spec": {"restartPolicy": policy, "containers": [{"name": "base"}],
                "initContainers": [{"name": "sidecar", "restartPolicy": "Always"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "base", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state}]}});
        json_patch::merge(&mut whole, pod);
        match ContainerNow::of(&serde_json::from_value(whole).unwrap(), "base") {
            ContainerNow::Run { restart_count: 0, state } => state,
            other => panic!("{other:?}"),
        }
    }

    fn ended(code: i32) -> Value {
        json!({"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:09Z"}})
    }

    const FINISHED: fn() -> RunState = || RunState::Ended { finished: Some("2026-01-01T00:00:09".into()) };

    #[test]
    fn failed_run_is_the_last_one_only_where_the_kubelet_starts_no_other() {
        let none = json!({});
        assert_eq!(read_state("Never", &ended(1), &none), FINISHED());
        assert_eq!(read_state("OnFailure", &ended(1), &none), RunState::Restarting);
        assert_eq!(read_state("OnFailure", &ended(0), &none), FINISHED());
        assert_eq!(read_state("Always", &ended(0), &none), RunState::Restarting);
    }

    #[test]
    fn no_run_follows_in_a_pod_that_has_ended_or_is_being_deleted() {
        let failed = json!({"status": {"phase": "Failed"}});
        assert_eq!(read_state("OnFailure", &ended(1), &failed), FINISHED());
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:10Z"}});
        assert_eq!(read_state("OnFailure", &ended(1), &deleted), FINISHED());
    }

    #[test]
    fn running_container_is_open_and_restartable_by_policy() {
        let (running, none) = (json!({"running": {}}), json!({}));
        assert_eq!(read_state("Never", &running, &none), RunState::Open);
        assert_eq!(read_state("OnFailure", &running, &none), RunState::Restartable);
    }

    #[test]
    fn container_that_waits_for_its_first_run_is_open() {
        let waiting = json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(read_state("OnFailure", &waiting, &json!({})), RunState::Open);
    }

    #[test]
    fn sidecar_follows_its_own_policy() {
        let pod = json!({
            "spec": {"restartPolicy": "Never", "containers": [],
                "initContainers": [{"name": "sidecar", "restartPolicy": "Always"}]},
            "status": {"initContainerStatuses": [{"name": "sidecar", "image": "", "imageID": "", "ready": true,
                "restartCount": 3, "state": ended(0)}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let now = ContainerNow::of(&pod, "sidecar");
        assert_eq!(now, ContainerNow::Run { restart_count: 3, state: RunState::Restarting });
        assert_eq!(ContainerNow::of(&pod, "base"), ContainerNow::Unknown);
    }
}
