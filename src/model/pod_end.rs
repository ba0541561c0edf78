//! Describes how one Pod ended badly: by its own reason, else by the container that failed, else that it never began or
//! was deleted. Pure.
//!
//! Promise: every Pod that did not end well is reported, with all that Kubernetes says of it, even if this crate does
//! not know what it means. A Pod that is gone counts as it was seen last.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde::Serialize;

use super::{
    conditions::index,
    container_exit::{ContainerExit, container_exits},
    container_killer::POD_DELETED,
    failed_log::FailedLog,
    pod::{all_containers, ended_at, has_started, phase, time},
    pod_reason::{first_sentence, in_words, pod_condition, pod_reason},
    snapshot::ObservedPod,
};
use crate::text::one_line;

/// The name of a Pod in a sentence that has already named its Job.
const ITS_POD: &str = "its Pod";
/// The conditions that show why a Pod ended, each with the status that shows it.
const TOLD: [(&str, &str); 3] =
    [("DisruptionTarget", "True"), ("PodReadyToStartContainers", "False"), ("PodScheduled", "False")];

/// One Pod that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodEnd {
    /// Its name.
    pub pod: String,
    /// Its node, if it had one.
    pub node: Option<String>,
    /// Its index, in an Indexed Job.
    pub index: Option<String>,
    /// Its last phase.
    pub phase: String,
    /// Its `status.reason`, such as `NodeAffinity` or `Evicted`.
    pub reason: Option<String>,
    /// Its `status.message`.
    pub message: Option<String>,
    /// Conditions that say why.
    pub conditions: Vec<PodEndCondition>,
    /// Why it ended, as a clause: `its Pod was evicted: ...`, `container `base` ended with exit code 3`.
    pub words: String,
    /// What its log ends with, as far as it was read. No program gets it: it stands in the text for people alone.
    #[serde(skip)]
    pub(crate) log: FailedLog,
    /// When it ended, as far as it is known.
    #[serde(skip)]
    pub(crate) at: Option<Timestamp>,
    /// Whether nothing is known but that somebody deleted it.
    #[serde(skip)]
    pub(crate) only_deleted: bool,
}

/// A condition of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct PodEndCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
}

/// How the Pod ended, if it did and not well. `base` is the container that does the work.
#[must_use]
pub fn pod_end(seen: &ObservedPod, base: Option<&str>, events: &[Event]) -> Option<PodEnd> {
    let pod: &Pod = &seen.pod;
    let deleted = seen.gone || pod.metadata.deletion_timestamp.is_some();
    let disrupted = || pod_condition(pod, "DisruptionTarget").is_some_and(|condition| condition.status == "True");
    let phase = phase(pod);
    if phase == "Succeeded" || !(phase == "Failed" || deleted || disrupted()) {
        return None;
    }
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let status = pod.status.as_ref();
    let failed = failed_container(pod, base, events);
    let own = pod_reason(pod);
    let only_deleted =
        deleted && own.is_none() && failed.as_ref().is_none_or(|exit| exit.killed_by.as_deref() == Some(POD_DELETED));
    let words = match (own, failed) {
        (Some(given), _) => in_words(pod, given, ITS_POD),
        (None, Some(exit)) if only_deleted => {
            format!("{ITS_POD} was deleted while it ran (exit code {})", exit.exit_code)
        }
        (None, Some(exit)) => exit.clause(),
        (None, None) => without_an_exit(pod, deleted),
    };
    Some(PodEnd {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        index: index(pod).map(str::to_owned),
        phase: phase.to_owned(),
        reason: status.and_then(|status| filled(&status.reason)),
        message: status.and_then(|status| filled(&status.message)),
        conditions: told_conditions(pod),
        words: one_line(words),
        log: FailedLog::default(),
        at: ended_at(pod).or_else(|| time(pod.metadata.deletion_timestamp.as_ref())),
        only_deleted,
    })
}

/// The base container if it failed, else the first container that failed, init containers before the others.
fn failed_container(pod: &Pod, base: Option<&str>, events: &[Event]) -> Option<ContainerExit> {
    let mut failed = container_exits(std::iter::once(pod), events);
    failed.retain(|exit| exit.exit_code != 0);
    let at = failed.iter().position(|exit| Some(exit.container.as_str()) == base).unwrap_or(0);
    (!failed.is_empty()).then(|| failed.swap_remove(at))
}

fn without_an_exit(pod: &Pod, deleted: bool) -> String {
    let unscheduled = pod_condition(pod, "PodScheduled").filter(|condition| condition.status == "False");
    if let Some(condition) = unscheduled {
        let why = first_sentence(condition.message.as_deref().unwrap_or_default());
        return format!("no node took {ITS_POD}: {why}");
    }
    let waiting = all_containers(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason =
            waiting.reason.as_deref().filter(|reason| !matches!(*reason, "PodInitializing" | "ContainerCreating"))?;
        let why = first_sentence(waiting.message.as_deref().unwrap_or_default());
        let why = if why.is_empty() { why } else { format!(": {why}") };
        Some(format!("container `{}` could not start: {reason}{why}", container.name))
    });
    match (waiting, deleted) {
        (Some(waiting), _) => waiting,
        (None, true) if all_containers(pod).any(has_started) => format!("{ITS_POD} was deleted while it ran"),
        (None, true) => format!("{ITS_POD} was deleted before it ran"),
        (None, false) => format!("{ITS_POD} failed, and nothing tells why"),
    }
}

/// The conditions to report. Every ended Pod has lost its sandbox, so that condition counts only if no container ever
/// ran.
fn told_conditions(pod: &Pod) -> Vec<PodEndCondition> {
    let ran = all_containers(pod).any(has_started);
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let told = conditions.filter(|condition| {
        TOLD.contains(&(condition.type_.as_str(), condition.status.as_str()))
            && !(ran && condition.type_ == "PodReadyToStartContainers")
    });
    told.map(|condition| PodEndCondition {
        kind: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn seen(change: &Value, gone: bool) -> ObservedPod {
        let mut pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": "n", "containers": []},
            "status": {"phase": "Failed"}});
        json_patch::merge(&mut pod, change);
        ObservedPod::new(Arc::new(serde_json::from_value(pod).unwrap()), gone)
    }

    fn container(name: &str, state: &Value) -> Value {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    fn ended(exit_code: i32) -> Value {
        json!({"terminated": {"exitCode": exit_code, "reason": "Error", "startedAt": "2026-01-01T00:00:01Z"}})
    }

    #[test]
    fn pod_that_ended_well_or_runs_is_not_told() {
        for phase in ["Succeeded", "Running", "Pending"] {
            assert_eq!(pod_end(&seen(&json!({"status": {"phase": phase}}), false), None, &[]), None, "{phase}");
        }
        assert_eq!(pod_end(&seen(&json!({"status": {"phase": "Succeeded"}}), true), None, &[]), None);
    }

    #[test]
    fn words_are_those_of_the_pod_then_of_the_base_container_then_of_what_kept_it() {
        let unscheduled =
            json!([{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu. x"}]);
        let running = json!([container("base", &json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}}))]);
        let back_off =
            json!([container("base", &json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}))]);
        let both = json!([container("base", &ended(3)), container("side", &ended(137))]);
        let side_first = json!([container("a-side", &ended(2)), container("base", &ended(3))]);
        let cases = [
            (
                json!({"status": {"reason": "OutOfcpu"}}),
                false,
                "node `n` refused its Pod: not enough cpu is free there (OutOfcpu)",
            ),
            (json!({"status": {"containerStatuses": both}}), false, "container `base` ended with exit code 3"),
            (json!({"status": {"containerStatuses": side_first}}), false, "container `base` ended with exit code 3"),
            (
                json!({"status": {"initContainerStatuses": [container("prepare", &ended(7))],
                    "containerStatuses": [container("base", &json!({"waiting": {"reason": "PodInitializing"}}))]}}),
                false,
                "init container `prepare` ended with exit code 7",
            ),
            (
                json!({"status": {"phase": "Pending", "conditions": unscheduled}}),
                true,
                "no node took its Pod: 0/1 nodes: Insufficient cpu",
            ),
            (
                json!({"status": {"phase": "Pending", "containerStatuses": back_off}}),
                true,
                "container `base` could not start: ImagePullBackOff: no such tag",
            ),
            (
                json!({"status": {"phase": "Running", "containerStatuses": running}}),
                true,
                "its Pod was deleted while it ran",
            ),
            (json!({"status": {"phase": "Pending"}}), true, "its Pod was deleted before it ran"),
            (json!({}), false, "its Pod failed, and nothing tells why"),
        ];
        for (change, gone, words) in cases {
            assert_eq!(pod_end(&seen(&change, gone), Some("base"), &[]).unwrap().words, words, "{change}");
        }
    }

    #[test]
    fn reason_message_and_conditions_are_kept_whole_whatever_they_are() {
        let conditions = json!([
            {"type": "DisruptionTarget", "status": "True", "reason": "ReasonOfTomorrow", "message": "why"},
            {"type": "PodReadyToStartContainers", "status": "False"},
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False"}]);
        let end = json!({"status": {"reason": "Odd", "message": "a. b", "conditions": conditions}});
        let end = pod_end(&seen(&end, false), None, &[]).unwrap();
        assert_eq!((end.reason.as_deref(), end.message.as_deref()), (Some("Odd"), Some("a. b")));
        let kinds: Vec<_> = end.conditions.iter().map(|condition| condition.kind.as_str()).collect();
        assert_eq!(kinds, ["DisruptionTarget", "PodReadyToStartContainers"]);
        assert_eq!(end.conditions[0].reason.as_deref(), Some("ReasonOfTomorrow"));
        let ran = json!({"status": {"conditions": conditions, "containerStatuses": [container("base", &ended(1))]}});
        assert_eq!(pod_end(&seen(&ran, false), None, &[]).unwrap().conditions.len(), 1);
    }

    #[test]
    fn pod_that_was_only_deleted_is_told_apart_from_one_that_failed_by_itself() {
        let deleted = |exit_code| {
            seen(
                &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"},
                    "status": {"containerStatuses": [container("base", &ended(exit_code))]}}),
                false,
            )
        };
        let end = |exit_code| pod_end(&deleted(exit_code), Some("base"), &[]).unwrap();
        assert!(end(143).only_deleted && end(137).only_deleted);
        assert!(!end(3).only_deleted);
        assert_eq!(end(143).words, "its Pod was deleted while it ran (exit code 143)");
    }
}
