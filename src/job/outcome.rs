//! How a Job ended, from what the Job and its Pods say. Pure.
//!
//! `SuccessCriteriaMet` and `FailureTarget` decide the outcome, `Complete` and `Failed` end it, each only with
//! status "True"; other conditions are passed over. A Job that went unseen has succeeded only if its Pods prove
//! every completion. Never a guess.
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use serde::{Deserialize, Serialize};

use super::lean::{Job, JobSpec};

/// The label and annotation of a Pod of an Indexed Job that holds its index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The end that the Job controller decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// `SuccessCriteriaMet` or `Complete`.
    Succeeded,
    /// `FailureTarget` or `Failed`.
    Failed {
        /// Such as `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`.
        reason: String,
        /// The controller's sentence.
        message: String,
    },
}

/// How an attempt's Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As Kubernetes says, or as its Pods prove.
    Succeeded,
    /// As Kubernetes says.
    Failed,
    /// Gone before anybody saw it end, and the Pods do not prove success.
    Vanished,
}

/// How one container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerEnd {
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Restarts of the container before this end.
    pub restart_count: i32,
    /// The code the process ended with; 128 + n after signal n.
    pub exit_code: i32,
    /// The signal that ended it, where the runtime says so or the code implies it.
    pub signal: Option<i32>,
    /// Such as `Completed`, `Error`, `OOMKilled`.
    pub reason: Option<String>,
    /// The container's termination message.
    pub message: Option<String>,
    /// All of this for people.
    pub words: String,
}

/// The outcome that is decided, by the interim or the terminal condition.
#[must_use]
pub fn decided(job: &Job) -> Option<End> {
    finished(job).or_else(|| condition(job, "SuccessCriteriaMet", "FailureTarget"))
}

/// The outcome of a Job that is over, by the terminal condition alone.
#[must_use]
pub fn finished(job: &Job) -> Option<End> {
    condition(job, "Complete", "Failed")
}

/// When the Job ended: the time its TTL counts from.
#[must_use]
pub fn ended_at(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let terminal = ["Complete", "Failed"];
    status
        .completion_time
        .as_ref()
        .or_else(|| {
            let conditions = status.conditions.as_ref()?;
            let last = conditions.iter().find(|c| c.status == "True" && terminal.contains(&c.type_.as_str()))?;
            last.last_transition_time.as_ref()
        })
        .map(|time| time.0)
}

fn condition(job: &Job, success: &str, failure: &str) -> Option<End> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        if condition.type_ == success {
            Some(End::Succeeded)
        } else if condition.type_ == failure {
            Some(End::Failed {
                reason: condition.reason.clone().unwrap_or_default(),
                message: condition.message.clone().unwrap_or_default(),
            })
        } else {
            None
        }
    })
}

/// Whether the Pods of a Job that is gone prove that every completion was reached.
#[must_use]
pub fn proven_by_pods<'a>(spec: &JobSpec, pods: impl Iterator<Item = &'a Pod>) -> bool {
    if spec.success_policy.is_some() {
        return false;
    }
    let succeeded: Vec<&Pod> =
        pods.filter(|pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Succeeded"))).collect();
    let wanted = match (spec.completions, spec.parallelism) {
        (Some(completions), _) => completions,
        // A work queue: one success after which all Pods end; only a single worker proves it.
        (None, None | Some(1)) => 1,
        (None, Some(_)) => return false,
    };
    let Ok(wanted) = usize::try_from(wanted) else { return false };
    if spec.completion_mode.as_deref() == Some("Indexed") {
        let indexes: BTreeSet<&str> = succeeded.iter().filter_map(|pod| index(pod)).collect();
        indexes.len() >= wanted
    } else {
        succeeded.len() >= wanted
    }
}

fn index(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(INDEX)).map(String::as_str).or_else(|| {
        pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(INDEX)).map(String::as_str)
    })
}

/// How the containers of these Pods ended, init containers first, those that never ended left out.
#[must_use]
pub fn container_ends<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<ContainerEnd> {
    pods.flat_map(|pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        status
            .init_container_statuses
            .into_iter()
            .flatten()
            .chain(status.container_statuses.into_iter().flatten())
            .filter_map(move |container| container_end(&name, &container))
    })
    .collect()
}

fn container_end(pod: &str, container: &ContainerStatus) -> Option<ContainerEnd> {
    let ended = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
    let (end, restart_count) = match ended(&container.state) {
        Some(end) => (end, container.restart_count),
        // It was started again since.
        None => (ended(&container.last_state)?, container.restart_count - 1),
    };
    let signal = end.signal.filter(|signal| *signal > 0).or_else(|| implied_signal(end.exit_code));
    Some(ContainerEnd {
        pod: pod.to_owned(),
        container: container.name.clone(),
        restart_count,
        exit_code: end.exit_code,
        signal,
        words: words(end.exit_code, signal, end.reason.as_deref()),
        reason: end.reason,
        message: end.message.filter(|message| !message.is_empty()),
    })
}

/// A process ended by signal n has the code 128 + n, by the convention of shells and container runtimes.
fn implied_signal(exit_code: i32) -> Option<i32> {
    (129..=159).contains(&exit_code).then(|| exit_code - 128)
}

fn words(exit_code: i32, signal: Option<i32>, reason: Option<&str>) -> String {
    if reason == Some("OOMKilled") {
        return format!("exit code {exit_code}: OOMKilled, it used more memory than its limit");
    }
    match signal {
        Some(9) => {
            format!("exit code {exit_code}: killed (SIGKILL), often for memory or after a termination grace period")
        }
        Some(15) => format!("exit code {exit_code}: terminated (SIGTERM), as on deletion, eviction or a deadline"),
        Some(signal) => format!("exit code {exit_code}: ended by signal {signal}{}", signal_name(signal)),
        None => match (exit_code, reason) {
            (0, _) => "exit code 0".to_owned(),
            (126, _) => "exit code 126: the command was found but cannot be executed".to_owned(),
            (127, _) => "exit code 127: the command was not found".to_owned(),
            (128, Some(reason)) => format!("exit code 128: {reason}"),
            (code, Some(reason)) if reason != "Error" => format!("exit code {code}: {reason}"),
            (code, _) => format!("exit code {code}"),
        },
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        24 => " (SIGXCPU)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(conditions: &Value) -> Job {
        serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
    }

    /// Phase and completion index of each Pod.
    type Phases = &'static [(&'static str, Option<&'static str>)];

    fn pods(phases: Phases) -> Vec<Pod> {
        let pod = |(phase, index): &(&str, Option<&str>)| {
            let labels = index.map(|index| json!({INDEX: index}));
            serde_json::from_value(json!({"metadata": {"labels": labels}, "status": {"phase": phase}})).unwrap()
        };
        phases.iter().map(pod).collect()
    }

    fn spec(spec: &Value) -> JobSpec {
        let mut whole = json!({"template": {}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn only_a_true_condition_counts() {
        assert_eq!(finished(&job(&json!([{"type": "Failed", "status": "False"}]))), None);
        assert_eq!(finished(&job(&json!([{"type": "Complete", "status": "Unknown"}]))), None);
        assert_eq!(finished(&job(&json!([{"type": "Complete", "status": "True"}]))), Some(End::Succeeded));
    }

    #[test]
    fn unknown_conditions_are_passed_over() {
        let conditions = json!([
            {"type": "Suspended", "status": "False"},
            {"type": "example.com/Blessed", "status": "True"},
            {"type": "Failed", "status": "True", "reason": "NewReasonOfTomorrow", "message": "m"}
        ]);
        let end = End::Failed { reason: "NewReasonOfTomorrow".into(), message: "m".into() };
        assert_eq!(finished(&job(&conditions)), Some(end));
    }

    #[test]
    fn failure_target_decides_but_does_not_end() {
        let job = job(&json!([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]));
        assert_eq!(finished(&job), None);
        assert!(matches!(decided(&job), Some(End::Failed { reason, .. }) if reason == "DeadlineExceeded"));
    }

    #[test]
    fn failed_without_a_reason_is_still_failed() {
        assert!(matches!(finished(&job(&json!([{"type": "Failed", "status": "True"}]))), Some(End::Failed { .. })));
    }

    #[test]
    fn pods_prove_success_only_when_every_completion_is_there() {
        let cases: [(&str, Value, Phases, bool); 8] = [
            ("single", json!({"completions": 1, "parallelism": 1}), &[("Succeeded", None)], true),
            ("single, still running", json!({"completions": 1}), &[("Running", None)], false),
            ("no Pod left", json!({"completions": 1}), &[], false),
            ("two of three", json!({"completions": 3}), &[("Succeeded", None), ("Succeeded", None)], false),
            ("a work queue", json!({"parallelism": 2}), &[("Succeeded", None)], false),
            (
                "the same index twice",
                json!({"completions": 2, "completionMode": "Indexed"}),
                &[("Succeeded", Some("0")), ("Succeeded", Some("0"))],
                false,
            ),
            (
                "all indexes",
                json!({"completions": 2, "completionMode": "Indexed"}),
                &[("Succeeded", Some("0")), ("Failed", Some("1")), ("Succeeded", Some("1"))],
                true,
            ),
            (
                "a success policy",
                json!({"completions": 1, "successPolicy": {"rules": []}}),
                &[("Succeeded", None)],
                false,
            ),
        ];
        for (name, wanted, phases, proven) in cases {
            assert_eq!(proven_by_pods(&spec(&wanted), pods(phases).iter()), proven, "{name}");
        }
    }

    #[test]
    fn exit_codes_are_said_in_words() {
        let cases = [
            (0, None, Some("Completed"), "exit code 0"),
            (3, None, Some("Error"), "exit code 3"),
            (137, Some(9), Some("OOMKilled"), "OOMKilled"),
            (137, Some(9), Some("Error"), "SIGKILL"),
            (143, Some(15), Some("Error"), "SIGTERM"),
            (139, Some(11), Some("Error"), "SIGSEGV"),
            (127, None, Some("Error"), "not found"),
            (128, None, Some("StartError"), "StartError"),
        ];
        for (code, signal, reason, expected) in cases {
            assert!(words(code, signal, reason).contains(expected), "{code} {reason:?}");
        }
    }

    #[test]
    fn every_container_is_reported_with_its_restart_and_signal() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {
                "initContainerStatuses": [{"name": "init", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
                "containerStatuses": [
                    {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 2,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
                    {"name": "side", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}
                ]
            }
        }))
        .unwrap();
        let ends = container_ends(std::iter::once(&pod));
        assert_eq!(ends.iter().map(|end| end.container.as_str()).collect::<Vec<_>>(), ["init", "base"]);
        assert_eq!((ends[1].exit_code, ends[1].signal, ends[1].restart_count), (137, Some(9), 1));
    }
}
