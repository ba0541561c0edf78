//! Reads why a Pod was refused or ended from the Pod's own status, and says it in plain words. Pure.
//!
//! Promise: every reason is shown, whatever it is. The table below decides only which words stand beside it. Sources:
//! k/k `pkg/kubelet/lifecycle/predicate.go` (a node refuses a Pod), `pkg/kubelet/eviction/helpers.go`,
//! `pkg/kubelet/nodeshutdown`, `pkg/kubelet/active_deadline.go`, and
//! <https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions>.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::pod::{all_containers, has_started};

/// At most this many characters of somebody else's sentence stand inside one of ours; the whole sentence stands beside
/// it.
const QUOTED: usize = 160;

/// A reason and the message that comes with it; one of the two may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PodReason<'a> {
    pub reason: &'a str,
    pub message: &'a str,
}

/// The Pod's own reason, else that of its condition `DisruptionTarget`.
pub(crate) fn pod_reason(pod: &Pod) -> Option<PodReason<'_>> {
    let status = pod.status.as_ref()?;
    let given = |reason: &'_ Option<String>, message: &'_ Option<String>| {
        reason.as_deref().is_some_and(|text| !text.is_empty())
            || message.as_deref().is_some_and(|text| !text.is_empty())
    };
    if given(&status.reason, &status.message) {
        let (reason, message) = (status.reason.as_deref(), status.message.as_deref());
        return Some(PodReason { reason: reason.unwrap_or_default(), message: message.unwrap_or_default() });
    }
    let disruption = pod_condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True")?;
    let (reason, message) = (disruption.reason.as_deref(), disruption.message.as_deref());
    Some(PodReason { reason: reason.unwrap_or("DisruptionTarget"), message: message.unwrap_or_default() })
}

/// The condition of this type.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The reason as a clause that can follow a colon, such as "its Pod was evicted: ... (Evicted)".
///
/// `whose` is the Pod as the sentence calls it: `its Pod`, or its name.
pub(crate) fn in_words(pod: &Pod, given: PodReason<'_>, whose: &str) -> String {
    let PodReason { reason, message } = given;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let node = node.map_or_else(|| "its node".to_owned(), |node| format!("node `{node}`"));
    let clause = match reason {
        "Evicted" => match low_on(message) {
            Some(resource) => format!("{whose} was evicted: {node} was low on {resource}"),
            None => with_message(format!("{whose} was evicted"), message),
        },
        "EvictionByEvictionAPI" => format!("{whose} was evicted through the API, as by a drain of {node}"),
        "PreemptionByScheduler" | "Preempting" => {
            format!("{whose} was preempted: a Pod of higher priority took its room on {node}")
        }
        "DeletionByTaintManager" => format!("{whose} was evicted: {node} got a taint that it does not tolerate"),
        "DeletionByPodGC" => format!("{whose} was lost with {node}, which is gone or out of service"),
        "NodeLost" => format!("{whose} was lost: {node} does not answer any more"),
        "DeadlineExceeded" => format!("{whose} ran longer than its own activeDeadlineSeconds"),
        "Terminated" | "Shutdown" | "NodeShutdown" => with_message(format!("{whose} was ended with {node}"), message),
        "NodeAffinity" => {
            format!("{node} refused {whose}: the node's labels do not match its nodeSelector or node affinity")
        }
        "OutOfpods" => format!("{node} refused {whose}: it holds as many Pods as it may"),
        _ if reason.strip_prefix("OutOf").is_some_and(|resource| !resource.is_empty()) => {
            format!("{node} refused {whose}: not enough {} is free there", &reason["OutOf".len()..])
        }
        _ if all_containers(pod).any(has_started) => with_message(format!("{whose} was ended"), message),
        _ => with_message(format!("{node} refused {whose}"), message.trim_start_matches("Pod was rejected: ")),
    };
    if reason.is_empty() { clause } else { format!("{clause} ({reason})") }
}

fn with_message(clause: String, message: &str) -> String {
    let message = first_sentence(message);
    if message.is_empty() { clause } else { format!("{clause}: {message}") }
}

/// The resource that the evicting node had too little of.
fn low_on(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("low on resource: ")?;
    rest.split('.').next().map(str::trim).filter(|resource| !resource.is_empty())
}

/// The beginning of a text of others, up to the end of its first sentence or line.
pub(crate) fn first_sentence(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let sentence = line.split_once(". ").map_or(line, |(first, _)| first).trim_end_matches('.');
    match sentence.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &sentence[..end]),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {}, "spec": {"nodeName": "n", "containers": []}, "status": status}))
            .unwrap()
    }

    fn said(status: &Value) -> String {
        let pod = pod(status);
        pod_reason(&pod).map(|given| in_words(&pod, given, "its Pod")).unwrap_or_default()
    }

    #[test]
    fn each_reason_of_a_pod_is_told_and_known_ones_in_a_persons_words() {
        let target = |reason: &str| json!({"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"}]});
        let cases = [
            (
                json!({"reason": "NodeAffinity", "message": "Pod was rejected: Predicate NodeAffinity failed"}),
                "node `n` refused its Pod: the node's labels do not match its nodeSelector or node affinity (NodeAffinity)",
            ),
            (
                json!({"reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu, requested: 9"}),
                "node `n` refused its Pod: not enough cpu is free there (OutOfcpu)",
            ),
            (
                json!({"reason": "OutOfnvidia.com/gpu", "message": ""}),
                "node `n` refused its Pod: not enough nvidia.com/gpu is free there (OutOfnvidia.com/gpu)",
            ),
            (json!({"reason": "OutOfpods"}), "node `n` refused its Pod: it holds as many Pods as it may (OutOfpods)"),
            (
                json!({"reason": "UnexpectedAdmissionError", "message": "Pod was rejected: Allocate failed due to x. More"}),
                "node `n` refused its Pod: Allocate failed due to x (UnexpectedAdmissionError)",
            ),
            (
                json!({"reason": "ReasonOfTomorrow", "message": "nobody knows it"}),
                "node `n` refused its Pod: nobody knows it (ReasonOfTomorrow)",
            ),
            (
                json!({"reason": "ReasonOfTomorrow", "message": "nobody knows it", "containerStatuses": [{"name": "base",
                    "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 137, "startedAt": "2026-01-01T00:00:00Z"}}}]}),
                "its Pod was ended: nobody knows it (ReasonOfTomorrow)",
            ),
            (json!({"message": "only a sentence"}), "node `n` refused its Pod: only a sentence"),
            (
                json!({"reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 1Mi"}),
                "its Pod was evicted: node `n` was low on memory (Evicted)",
            ),
            (
                json!({"reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "}),
                "its Pod was evicted: Pod ephemeral local storage usage exceeds the total limit of containers 1Mi (Evicted)",
            ),
            (
                json!({"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}),
                "its Pod was ended with node `n`: Pod was terminated in response to imminent node shutdown (Terminated)",
            ),
            (
                json!({"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline"}),
                "its Pod ran longer than its own activeDeadlineSeconds (DeadlineExceeded)",
            ),
            (
                target("EvictionByEvictionAPI"),
                "its Pod was evicted through the API, as by a drain of node `n` (EvictionByEvictionAPI)",
            ),
            (
                target("PreemptionByScheduler"),
                "its Pod was preempted: a Pod of higher priority took its room on node `n` (PreemptionByScheduler)",
            ),
            (
                target("DeletionByTaintManager"),
                "its Pod was evicted: node `n` got a taint that it does not tolerate (DeletionByTaintManager)",
            ),
            (
                target("DeletionByPodGC"),
                "its Pod was lost with node `n`, which is gone or out of service (DeletionByPodGC)",
            ),
            (target("ReasonOfTomorrow"), "node `n` refused its Pod: m (ReasonOfTomorrow)"),
        ];
        for (status, words) in cases {
            assert_eq!(said(&status), words, "{status}");
        }
    }

    #[test]
    fn pods_own_reason_comes_before_that_of_the_disruption_and_an_untrue_one_is_none() {
        let both = json!({"reason": "Evicted", "message": "m",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]});
        assert_eq!(said(&both), "its Pod was evicted: m (Evicted)");
        let untrue = json!({"conditions": [{"type": "DisruptionTarget", "status": "False", "reason": "x"}]});
        assert_eq!(said(&untrue), "");
    }

    #[test]
    fn long_sentences_of_others_are_cut_between_letters() {
        let long = "ä".repeat(QUOTED + 1);
        assert_eq!(first_sentence(&long).chars().count(), QUOTED + 3);
        assert_eq!(first_sentence(" one. two.\nthree"), "one");
        assert_eq!(first_sentence("one\ntwo"), "one");
    }
}
