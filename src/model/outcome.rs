//! Concludes the outcome of one attempt's Job: state, reason, containers, times, and a paragraph for people. Pure.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::Serialize;

use super::{
    conditions::{JobEnd, proven_by_pods},
    container_exit::{ContainerExit, container_exits},
    failure_cause::failure_cause,
    job_result::JobResult,
    observed_job::JobReference,
    pod_end::PodEnd,
    policies::ResultSource,
    snapshot::{JobSnapshot, Times},
    timeline::timeline,
};
use crate::{error::Report, text::one_line};

/// At most this many containers, and as many Pods, are named in the paragraph; all are in the lists.
const NAMED: usize = 5;
/// A notification often shows no more characters than this, so the cause has to stand in them.
const SHOWN: usize = 120;

/// The report of an attempt about its Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub state: OutcomeState,
    /// The reason, such as `BackoffLimitExceeded`; none after success.
    pub reason: Option<String>,
    /// The message of the Job controller.
    pub message: Option<String>,
    /// The exit code of the base container, when exactly one Pod failed.
    pub exit_code: Option<i32>,
    /// Why it failed, as a clause: `container `base` was killed: out of memory, limit 32Mi (exit code 137)`. None if it
    /// did not fail, or nothing is known beyond `reason` and `message`.
    pub cause: Option<String>,
    /// The Pods that did not end well, in the order in which they were made.
    pub pods: Vec<PodEnd>,
    /// How each container ended.
    pub containers: Vec<ContainerExit>,
    /// Containers that still ran when the Job was over (`on_lingering_sidecar="finish"`).
    pub lingering: Vec<String>,
    /// The moments of the Job's life.
    pub times: Times,
    /// The Job.
    pub job: JobReference,
    /// What it has left as its result, if somebody asked for it and it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// What a person can do, if the ends of the containers show it; the last line of `summary`.
    #[serde(skip)]
    pub hint: Option<String>,
    /// A paragraph for people.
    pub summary: String,
    /// The small table for the end of the log.
    pub timeline: String,
}

impl Outcome {
    /// Concludes from all that was seen. `gone` says that the Job does not exist any more.
    #[must_use]
    pub fn conclude(snapshot: &JobSnapshot, gone: bool) -> Self {
        let job = snapshot.job.reference.clone();
        let spec = snapshot.job.job.spec.as_ref();
        let proven = || spec.is_some_and(|spec| proven_by_pods(spec, snapshot.pods().into_iter()));
        let (state, reason, message) = match &snapshot.end {
            Some(JobEnd::Succeeded) => (OutcomeState::Succeeded, None, None),
            Some(JobEnd::Failed { reason, message }) => {
                (OutcomeState::Failed, Some(reason.clone()), Some(message.clone()))
            }
            None if gone && proven() => (OutcomeState::Succeeded, None, Some("proven by its Pods".to_owned())),
            None => (OutcomeState::Vanished, None, None),
        };
        let containers = container_exits(snapshot.pods().into_iter(), &snapshot.events);
        let pods = snapshot.pod_ends();
        let cause = match &snapshot.end {
            Some(JobEnd::Failed { reason, .. }) => failure_cause(snapshot, reason, &pods).map(one_line),
            _ => None,
        };
        let times = snapshot.times();
        let report = Summary {
            state,
            job: &job,
            reason: reason.as_deref(),
            message: message.as_deref(),
            cause: cause.as_deref(),
        }
        .report(&pods, &containers);
        let summary = report.to_string();
        let timeline = timeline(&job, &times);
        Self {
            exit_code: exit_code(snapshot, state, &containers),
            state,
            reason,
            message,
            cause,
            pods,
            containers,
            lingering: Vec::new(),
            times,
            job,
            result: None,
            hint: report.hint,
            summary,
            timeline,
        }
    }

    /// Adds the result of a Job that succeeded. The messages that it was read from are none for people.
    #[must_use]
    pub fn with_result(mut self, result: JobResult, source: ResultSource, snapshot: &JobSnapshot) -> Self {
        self.result = Some(result);
        if source != ResultSource::TerminationMessage {
            return self;
        }
        let base = snapshot.base_container();
        for end in self.containers.iter_mut().filter(|end| !end.init && Some(end.container.as_str()) == base) {
            end.message = None;
        }
        self
    }
}

/// The exit code of the base container.
fn exit_code(snapshot: &JobSnapshot, state: OutcomeState, containers: &[ContainerExit]) -> Option<i32> {
    if state == OutcomeState::Succeeded {
        return Some(0);
    }
    let base = snapshot.base_container()?;
    let mut failed = containers.iter().filter(|end| end.container == base && end.exit_code != 0);
    match (failed.next(), failed.next()) {
        (Some(only), None) => Some(only.exit_code),
        _ => None,
    }
}

/// The parts of the paragraph.
struct Summary<'a> {
    state: OutcomeState,
    job: &'a JobReference,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    cause: Option<&'a str>,
}

impl Summary<'_> {
    fn report(&self, pods: &[PodEnd], exits: &[ContainerExit]) -> Report {
        let mut report = Report::new(self.head());
        report.seen.extend(own_reasons(pods).map(one_line));
        let failed: Vec<_> = exits.iter().filter(|end| end.exit_code != 0).collect();
        for end in failed.iter().take(NAMED) {
            let said = end.message.as_ref().map_or_else(String::new, |said| format!("; it said: {}", said.trim_end()));
            report = report.seen(format!("container `{}` of Pod `{}`: {}{said}", end.container, end.pod, end.words));
        }
        if failed.len() > NAMED {
            report = report.seen(format!("{} more containers failed", failed.len() - NAMED));
        }
        for end in pods {
            if let Some(line) = &end.log.last_line {
                report = report.seen(format!("the last line of the log of Pod `{}`: {line}", end.pod));
            }
        }
        if let (Some(_), Some(reason), Some(message)) = (self.cause, self.reason, self.message) {
            report = report.seen(format!("{} ended with {reason}: {message}", self.job));
        }
        if self.state == OutcomeState::Failed
            && let Some(advice) = self.advice(pods, &failed)
        {
            report = report.hint(advice);
        }
        if self.state == OutcomeState::Vanished {
            report = report
                .seen(format!("no Job of uid {} any more", self.job.uid))
                .hint("the audit log of the API server names who deleted it; a retry runs it afresh");
        }
        report
    }

    /// What a person can do, if the ends of the containers show it.
    fn advice(&self, pods: &[PodEnd], failed: &[&ContainerExit]) -> Option<&'static str> {
        if self.reason == Some("DeadlineExceeded") {
            return Some(
                "raise active_deadline_seconds: it counts from the start of the Job, waiting for a node and an image included",
            );
        }
        let in_the_log = pods.iter().find_map(|end| end.log.advice());
        in_the_log.or_else(|| failed.iter().rev().find_map(|end| end.advice()))
    }

    /// The first line: the cause if it is known, else the words of the Job controller.
    fn head(&self) -> String {
        let job = self.job;
        let reason = self.reason.filter(|reason| !reason.is_empty());
        if let Some(cause) = self.cause {
            let reason = reason.map_or_else(String::new, |reason| format!(" [{reason}]"));
            let whole = format!("{job} failed: {cause}");
            if whole.chars().count() <= SHOWN {
                return whole + &reason;
            }
            // Without the namespace there is more room for the cause; the facts of the error have the namespace.
            return format!("Job `{}` failed: {cause}{reason}", job.name);
        }
        let mut text = match self.state {
            OutcomeState::Succeeded => format!("{job} succeeded"),
            OutcomeState::Failed => format!("{job} failed"),
            OutcomeState::Vanished => format!("{job} vanished before its end was seen; its outcome is unknown"),
        };
        for part in [reason, self.message].into_iter().flatten().filter(|part| !part.is_empty()) {
            let _ = write!(text, ": {part}");
        }
        text
    }
}

/// The reasons that Kubernetes gives for the Pods themselves, in its own words.
fn own_reasons(pods: &[PodEnd]) -> impl Iterator<Item = String> {
    let told = pods.iter().filter(|end| end.reason.is_some() || end.message.is_some() || !end.conditions.is_empty());
    let all = told.clone().count();
    let lines = told.take(NAMED).flat_map(|end| {
        let node = end.node.as_deref().map_or_else(String::new, |node| format!(" on node `{node}`"));
        let pod = format!("Pod `{}`{node}", end.pod);
        let status = said(end.reason.as_deref(), end.message.as_deref()).map(|said| format!("{pod}: {said}"));
        let conditions = end.conditions.iter().map(move |condition| {
            let said = said(condition.reason.as_deref(), condition.message.as_deref());
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            format!("{pod}: condition {} is {}{said}", condition.kind, condition.status)
        });
        status.into_iter().chain(conditions).collect::<Vec<_>>()
    });
    let more = all.checked_sub(NAMED).filter(|more| *more > 0);
    lines.chain(more.map(|more| format!("{more} more Pods with reasons of their own")))
}

fn said(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    let parts: Vec<_> = [reason, message].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// How an attempt's Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// Kubernetes says so, or the Pods prove it.
    Succeeded,
    /// Kubernetes says so.
    Failed,
    /// The Job was gone before anybody saw it end, and the Pods do not prove success.
    Vanished,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{failed_log::FailedLog, observed_job::ObservedJob};

    /// A Job that failed for this reason, with these Pods, each gone or not.
    fn failed(spec: &Value, reason: &str, pods: &[(Value, bool)]) -> Outcome {
        let condition = json!({"type": "Failed", "status": "True", "reason": reason, "message": "of the controller"});
        let mut whole = json!({"template": {"spec": {"containers": [{"name": "base"}]}}});
        json_patch::merge(&mut whole, spec);
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": whole,
            "status": {"conditions": [condition]}});
        let mut snapshot = JobSnapshot::new(ObservedJob::read(&job).unwrap());
        for (number, (change, gone)) in pods.iter().enumerate() {
            let mut pod = json!({"metadata": {"name": format!("p{number}"), "uid": format!("p{number}"),
                "creationTimestamp": format!("2026-01-01T00:00:0{number}Z")},
                "spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Failed"}});
            json_patch::merge(&mut pod, change);
            snapshot.apply_pod_object(pod, *gone);
        }
        Outcome::conclude(&snapshot, false)
    }

    /// The status of a Pod whose base container ended so.
    fn exit(code: i32, finished: &str) -> Value {
        json!({"status": {"containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": "Error",
            "startedAt": "2026-01-01T00:00:01Z", "finishedAt": finished}}}]}})
    }

    #[test]
    fn last_line_of_the_log_stands_in_the_text_for_people_and_nowhere_else() {
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"},
            "spec": {"template": {"spec": {"containers": [{"name": "base"}]}}},
            "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
        let mut snapshot = JobSnapshot::new(ObservedJob::read(&job).unwrap());
        let mut pod =
            json!({"metadata": {"name": "p", "uid": "p"}, "spec": {"containers": []}, "status": {"phase": "Failed"}});
        json_patch::merge(&mut pod, &exit(1, "2026-01-01T00:00:09Z"));
        snapshot.apply_pod_object(pod, false);
        let log = FailedLog { last_line: Some("no table `x`".into()), read_only: false };
        snapshot.failed_logs.insert("p".into(), log.clone());
        let outcome = Outcome::conclude(&snapshot, false);
        assert!(
            outcome.summary.contains("\n  seen: the last line of the log of Pod `p`: no table `x`\n"),
            "{}",
            outcome.summary
        );
        assert_eq!(
            outcome.hint.as_deref(),
            Some("the program itself chose this exit code: the end of its log says why")
        );
        let mut rest = serde_json::to_value(&outcome).unwrap();
        rest.as_object_mut().unwrap().remove("summary");
        assert!(!rest.to_string().contains("no table"), "{rest}");
        snapshot.failed_logs.insert("p".into(), FailedLog { read_only: true, ..log });
        let outcome = Outcome::conclude(&snapshot, false);
        assert!(outcome.cause.unwrap().ends_with("read-only file system, says its log"));
        assert!(outcome.hint.unwrap().contains("emptyDir"));
    }

    #[test]
    fn head_of_a_failure_is_the_cause_and_the_word_of_the_controller_stands_behind_it() {
        let refused = json!({"status": {"reason": "NodeAffinity", "message": "Pod was rejected: no. More"}});
        let mut deleted = exit(143, "2026-01-01T00:00:30Z");
        json_patch::merge(&mut deleted, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}}));
        let unscheduled = json!({"status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}]}});
        let of_index = json!({"metadata": {"labels": {"batch.kubernetes.io/job-completion-index": "7"}}});
        let mut indexed = exit(3, "2026-01-01T00:00:09Z");
        json_patch::merge(&mut indexed, &of_index);
        let (none, deadline) = (json!({}), json!({"activeDeadlineSeconds": 8}));
        let (limit, time) = ("BackoffLimitExceeded", "DeadlineExceeded");
        let cases = [
            (
                failed(&none, limit, &[(refused, false)]),
                "node `n` refused its Pod: the node's labels do not match its nodeSelector or node affinity (NodeAffinity) \
                 [BackoffLimitExceeded]",
            ),
            (
                failed(
                    &none,
                    limit,
                    &[(exit(5, "2026-01-01T00:00:09Z"), false), (exit(3, "2026-01-01T00:00:20Z"), true)],
                ),
                "container `base` ended with exit code 3 [BackoffLimitExceeded]",
            ),
            (
                // The Job controller has deleted the one that worked when the other had failed.
                failed(&none, limit, &[(exit(3, "2026-01-01T00:00:09Z"), false), (deleted.clone(), true)]),
                "container `base` ended with exit code 3 [BackoffLimitExceeded]",
            ),
            (
                failed(&none, limit, &[(deleted.clone(), true)]),
                "its Pod was deleted while it ran (exit code 143) [BackoffLimitExceeded]",
            ),
            (
                failed(&none, "FailedIndexes", &[(indexed, false)]),
                "index 7: container `base` ended with exit code 3 [FailedIndexes]",
            ),
            (
                failed(&deadline, time, &[(deleted, true)]),
                "it had not ended after 8 s (activeDeadlineSeconds) [DeadlineExceeded]",
            ),
            (
                failed(&deadline, time, &[(unscheduled, true)]),
                "it did not start in 8 s (activeDeadlineSeconds): no node took its Pod: 0/1 nodes: Insufficient cpu \
                 [DeadlineExceeded]",
            ),
            (failed(&deadline, time, &[]), "it had not ended after 8 s (activeDeadlineSeconds) [DeadlineExceeded]"),
        ];
        for (outcome, cause) in cases {
            let head = outcome.summary.lines().next().unwrap();
            let short =
                head.strip_prefix("Job `etl/train` failed: ").or_else(|| head.strip_prefix("Job `train` failed: "));
            assert_eq!(short, Some(cause));
            let reason = outcome.reason.unwrap();
            assert!(outcome.summary.contains(&format!("seen: Job `etl/train` ended with {reason}: of the controller")));
        }
        let unknown = failed(&none, limit, &[]);
        assert_eq!(unknown.summary, "Job `etl/train` failed: BackoffLimitExceeded: of the controller");
        assert_eq!(unknown.cause, None);
    }

    #[test]
    fn what_kubernetes_says_of_the_pod_is_in_the_paragraph_whatever_it_is() {
        let odd = json!({"status": {"reason": "ReasonOfTomorrow", "message": "a.\nb", "conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "AlsoNew", "message": "c"}]}});
        let outcome = failed(&json!({}), "BackoffLimitExceeded", &[(odd, true)]);
        for part in [
            "failed: node `n` refused its Pod: a (ReasonOfTomorrow) [BackoffLimitExceeded]",
            "seen: Pod `p0` on node `n`: ReasonOfTomorrow: a.\\nb\n",
            "seen: Pod `p0` on node `n`: condition DisruptionTarget is True: AlsoNew: c\n",
        ] {
            assert!(outcome.summary.contains(part), "{part} is not in\n{}", outcome.summary);
        }
    }

    #[test]
    fn cause_is_told_in_what_a_notification_shows_of_the_longest_names() {
        let long = |letters: usize| "n".repeat(letters);
        let job =
            JobReference { namespace: long(63).parse().unwrap(), name: long(52).parse().unwrap(), uid: "u".into() };
        let cause = "container `base` was killed: out of memory, limit 32Mi (exit code 137)";
        let (reason, message) = (Some("BackoffLimitExceeded"), None);
        let summary = Summary { state: OutcomeState::Failed, job: &job, reason, message, cause: Some(cause) };
        let shown: String = summary.head().chars().take(SHOWN).collect();
        assert!(shown.contains("container `base` was killed: out of memory, limit"), "{shown}");
    }
}
