//! Decides how a Job ended, from the conditions of the Job and from its Pods. Pure.
//!
//! `SuccessCriteriaMet` and `FailureTarget` decide the outcome, `Complete` and `Failed` end it, each only with status
//! "True"; other conditions are ignored. A Job that vanished before its end was seen has succeeded only if its Pods
//! prove every completion; nothing is guessed. Source:
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{
    job::{Job, JobSpec},
    pod::time,
};

/// The label and annotation of a Pod of an Indexed Job that holds its index.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation of a Pod that says how many Pods of its index have failed before it.
pub(crate) const FAILED_BEFORE: &str = "batch.kubernetes.io/job-index-failure-count";

/// The end that the Job controller has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// `SuccessCriteriaMet` or `Complete`.
    Succeeded,
    /// `FailureTarget` or `Failed`.
    Failed {
        /// The reason, such as `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`.
        reason: String,
        /// The message of the Job controller.
        message: String,
    },
}

/// The outcome that is decided, by the interim or the terminal condition.
#[must_use]
pub fn decided(job: &Job) -> Option<JobEnd> {
    finished(job).or_else(|| condition(job, "SuccessCriteriaMet", "FailureTarget"))
}

/// The outcome of a Job that is over, by the terminal condition alone.
#[must_use]
pub fn finished(job: &Job) -> Option<JobEnd> {
    condition(job, "Complete", "Failed")
}

/// When the Job ended. Its TTL counts from this time.
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

/// Since when a suspended Job is suspended: by its condition, else by whoever wrote the field, else since it was made.
pub(crate) fn suspended_since(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut suspended = conditions.filter(|condition| condition.type_ == "Suspended" && condition.status == "True");
    let metadata = &job.metadata;
    suspended
        .find_map(|condition| time(condition.last_transition_time.as_ref()))
        .or_else(|| metadata.managed_fields.as_ref()?.suspend.as_ref()?.time)
        .or_else(|| time(metadata.creation_timestamp.as_ref()))
}

fn condition(job: &Job, success: &str, failure: &str) -> Option<JobEnd> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        if condition.type_ == success {
            Some(JobEnd::Succeeded)
        } else if condition.type_ == failure {
            Some(JobEnd::Failed {
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
        // A work queue has succeeded after one success and the end of all Pods; only a single worker proves that.
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

/// The index of an Indexed Job that a Pod works for.
pub(crate) fn index(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(INDEX)).map(String::as_str).or_else(|| {
        pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(INDEX)).map(String::as_str)
    })
}

/// How many indexes `1,3-5` has, as the status of an Indexed Job writes them.
pub(crate) fn in_ranges(text: &str) -> usize {
    let ranges: BTreeSet<_> = text.split(',').filter(|range| !range.is_empty()).collect();
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<usize>().ok();
        Some(number(last)?.checked_sub(number(first)?)?.saturating_add(1))
    };
    ranges.into_iter().filter_map(count).fold(0, usize::saturating_add)
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
        assert_eq!(finished(&job(&json!([{"type": "Complete", "status": "True"}]))), Some(JobEnd::Succeeded));
    }

    #[test]
    fn unknown_conditions_are_passed_over() {
        let conditions = json!([
            {"type": "Suspended", "status": "False"},
            {"type": "example.com/Blessed", "status": "True"},
            {"type": "Failed", "status": "True", "reason": "NewReasonOfTomorrow", "message": "m"}
        ]);
        let end = JobEnd::Failed { reason: "NewReasonOfTomorrow".into(), message: "m".into() };
        assert_eq!(finished(&job(&conditions)), Some(end));
    }

    #[test]
    fn failure_target_decides_but_does_not_end() {
        let job = job(&json!([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]));
        assert_eq!(finished(&job), None);
        assert!(matches!(decided(&job), Some(JobEnd::Failed { reason, .. }) if reason == "DeadlineExceeded"));
    }

    #[test]
    fn failed_without_a_reason_is_still_failed() {
        assert!(matches!(finished(&job(&json!([{"type": "Failed", "status": "True"}]))), Some(JobEnd::Failed { .. })));
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
    fn indexes_are_counted_whatever_stands_there() {
        for (text, expected) in
            [("", 0), ("7", 1), ("1,3-5", 4), ("5-3", 0), ("x,2", 1), ("0-18446744073709551615", usize::MAX)]
        {
            assert_eq!(in_ranges(text), expected, "{text}");
        }
    }
}
