//! Says what became of one Job: what it is at, which task made it, what its Pods did, and what happens next. Pure, apart
//! from [`with_log`], which reads the end of one log.
//!
//! Promise: there is a report about every Job that exists, healthy, failed or finished; findings say what is wrong with
//! it, and are apart. Nothing is guessed: what could not be read is missing, and the facts say why.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde::Serialize;

use super::{facts::Facts, job_list::MadeBy};
use crate::{
    cluster::Cluster,
    job_api::last_lines::{LastLines, last_lines, stamped},
    model::{
        conditions::{ended_at, finished, index},
        container_exit::{container_exit, container_exits},
        failed_log::FailedLog,
        job::{Job, JobSpec},
        job_state::JobState,
        log_position::LogSource,
        observed_job::ObservedJob,
        outcome::Outcome,
        pod::{
            all_containers, ended_at as pod_ended_at, has_started, is_running, is_sidecar, main_containers, phase,
            started_at, time, work_has_stopped,
        },
        pod_end::pod_end,
        snapshot::{JobSnapshot, ObservedPod},
    },
    text::{one_line, shortened},
};

/// At most this many Pods are described: those that failed first, then the newest.
const SHOWN: usize = 10;
/// So many lines of the log are shown.
const LINES: usize = 10;
/// How long the log may take to come.
const LOG_WITHIN: Duration = Duration::from_secs(5);

/// What became of one Job.
#[derive(Debug, Clone, Serialize)]
pub struct JobReport {
    /// What it is at.
    pub state: JobState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// One sentence, which begins with the Job.
    pub summary: String,
    /// The exit code of the base container, where exactly one Pod failed.
    pub exit_code: Option<i32>,
    /// The task that made it; none of a Job that is not ours.
    pub made_by: Option<MadeBy>,
    /// Its Pods.
    pub pods: Vec<PodReport>,
    /// How many more there are.
    pub more_pods: usize,
    /// What a person can do about a failure, if the ends of the containers show it.
    pub hint: Option<String>,
    /// The end of the log of the Pod that tells most.
    pub log: Option<LogEnd>,
    /// What Kubernetes or we do next, a sentence each.
    pub next: Vec<String>,
}

/// What one Pod did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct PodReport {
    pub name: String,
    pub node: Option<String>,
    pub index: Option<String>,
    pub phase: String,
    pub created: Option<Timestamp>,
    /// Why it ended badly, if it did and not because of a container.
    pub words: Option<String>,
    pub containers: Vec<ContainerReport>,
}

/// What one container did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerReport {
    /// Its name.
    pub name: String,
    /// Whether it is an init container.
    pub init: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// What it is at, or how it ended.
    pub words: String,
}

/// The end of the log of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogEnd {
    /// The Pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Whether it is the log of the run before the present one.
    pub previous: bool,
    /// When its last line was written.
    pub written: Option<Timestamp>,
    /// The last lines.
    pub lines: Vec<String>,
    /// Why there are none, where they could not be read.
    pub missing: Option<String>,
}

/// The report about the Job of these facts; none if it does not exist any more.
#[must_use]
pub fn job_report(facts: &Facts) -> Option<JobReport> {
    let seen = facts.job.as_ref()?;
    let state = match JobState::of(&seen.job) {
        // A Pod need not be ready to run: the Job controller counts those that are.
        JobState::Pending if facts.pods().any(|pod| main_containers(pod).any(is_running)) => JobState::Running,
        state => state,
    };
    let mut snapshot = JobSnapshot::new(seen.clone());
    snapshot.relist_pods(facts.pods.get().into_iter().flatten().cloned());
    snapshot.events = facts.events().to_vec();
    let outcome = Outcome::conclude(&snapshot, false);
    let summary = match state {
        JobState::Succeeded | JobState::Failed => outcome.summary.lines().next().unwrap_or_default().to_owned(),
        state => format!("{} {}", facts.reference, at_work(facts, state, seen)),
    };
    let recorded = seen.attempt_metadata.as_ref().and_then(|metadata| metadata.exit_code);
    let pods = shown_pods(facts);
    Some(JobReport {
        state,
        since: state.since(&seen.job),
        created: time(seen.job.metadata.creation_timestamp.as_ref()),
        summary,
        exit_code: finished(&seen.job).and(outcome.exit_code.or(recorded)),
        made_by: seen.attempt_metadata.as_ref().map(MadeBy::of),
        more_pods: facts.pods().count().saturating_sub(pods.len()),
        pods: pods.into_iter().map(|pod| pod_report(facts, pod)).collect(),
        hint: outcome.hint.filter(|_| state == JobState::Failed),
        log: None,
        next: next(facts, state, seen),
    })
}

/// The report with the end of the log that tells most; one request, if a container has started.
pub async fn with_log(cluster: &Cluster, facts: &Facts, mut report: JobReport) -> JobReport {
    let Some((source, previous)) = telling_log(facts) else { return report };
    let mut end = LogEnd {
        pod: source.pod.to_string(),
        container: source.container.to_string(),
        previous,
        written: None,
        lines: Vec::new(),
        missing: None,
    };
    match last_lines(cluster, &source, LastLines { lines: LINES, previous, timestamps: true }, LOG_WITHIN).await {
        Ok(text) => {
            end.written = text.lines().last().and_then(|line| stamped(line).0);
            let lines: Vec<_> = text.lines().map(|line| stamped(line).1).collect();
            end.lines = lines.iter().rev().take(LINES).map(|line| shortened(line)).collect();
            let advice = report.hint.as_ref().and_then(|_| FailedLog::read(&lines.join("\n")).advice());
            report.hint = advice.map(str::to_owned).or(report.hint);
        }
        Err(why) => end.missing = Some(one_line(why)),
    }
    end.lines.reverse();
    report.log = Some(end);
    report
}

/// What a Job that has not ended is at.
fn at_work(facts: &Facts, state: JobState, seen: &ObservedJob) -> String {
    let status = seen.job.status.as_ref();
    let number = |field: Option<i32>| field.unwrap_or(0);
    let (active, succeeded, failed) =
        status.map_or((0, 0, 0), |status| (number(status.active), number(status.succeeded), number(status.failed)));
    let wanted = seen.job.spec.as_ref().and_then(|spec| spec.completions).filter(|wanted| *wanted > 1);
    let mut parts = Vec::new();
    if let Some(wanted) = wanted {
        parts.push(format!("{succeeded} of {wanted} completions are done"));
    }
    if active > 1 || (active == 1 && failed > 0) {
        parts.push(format!("{} {} active", many(active, "Pod"), if active == 1 { "is" } else { "are" }));
    }
    if failed > 0 {
        parts.push(format!("{} failed", many(failed, "Pod")));
    }
    let counts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let words = match state {
        JobState::Deleting => "is being deleted".to_owned(),
        JobState::Suspended => "is suspended".to_owned(),
        JobState::Running => running_words(facts),
        JobState::Pending | JobState::Succeeded | JobState::Failed => pending_words(facts),
    };
    format!("{words}{counts}")
}

/// `runs`, or which container keeps its only Pod running although the work has ended.
fn running_words(facts: &Facts) -> String {
    let base = facts.base_container();
    let mut working = facts.pods().filter(|pod| main_containers(pod).any(is_running));
    if let (Some(only), None) = (working.next(), working.next())
        && let Some(ended) = main_containers(only).find(|main| Some(main.name.as_str()) == base && !is_running(main))
        && let Some(left) = main_containers(only).find(|main| is_running(main))
        && ended.state.as_ref().is_some_and(|state| state.terminated.is_some())
    {
        return format!("runs, although its container `{}` has ended: `{}` still runs", ended.name, left.name);
    }
    "runs".to_owned()
}

/// What a Job waits for of which no container runs but init containers.
fn pending_words(facts: &Facts) -> String {
    let all =
        || facts.pods().filter(|pod| !work_has_stopped(pod)).flat_map(|pod| all_containers(pod).map(move |c| (pod, c)));
    let init = all().find(|(pod, container)| is_running(container) && !is_sidecar(pod, container));
    if let Some((_, init)) = init {
        return format!("waits: its init container `{}` runs", init.name);
    }
    if let Some((_, container)) = all().find(|(_, container)| container.restart_count > 0) {
        return format!("waits: its container `{}` is started again after a pause", container.name);
    }
    if facts.pods().any(|pod| all_containers(pod).any(has_started)) {
        return "waits for its next Pod".to_owned();
    }
    "waits: no Pod of it has started so far".to_owned()
}

fn many(number: i32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The Pods that failed, then the newest others.
fn shown_pods(facts: &Facts) -> Vec<&Pod> {
    let mut pods: Vec<_> = facts.pods().collect();
    pods.sort_by_key(|pod| {
        let created = time(pod.metadata.creation_timestamp.as_ref());
        (phase(pod) != "Failed", std::cmp::Reverse(created), pod.metadata.name.clone())
    });
    pods.truncate(SHOWN);
    pods
}

fn pod_report(facts: &Facts, pod: &Pod) -> PodReport {
    let base = facts.base_container();
    let observed = ObservedPod::new(pod.clone().into(), false);
    let ends = container_exits(std::iter::once(pod), facts.events());
    let main: Vec<_> = main_containers(pod).map(|container| container.name.as_str()).collect();
    PodReport {
        name: pod.metadata.name.clone().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        index: index(pod).map(str::to_owned),
        phase: if pod.metadata.deletion_timestamp.is_some() { "Terminating".into() } else { phase(pod).into() },
        created: time(pod.metadata.creation_timestamp.as_ref()),
        // Where a container is the reason, its own line says so.
        words: pod_end(&observed, base, facts.events())
            .map(|end| end.words)
            .filter(|words| !ends.iter().any(|end| end.clause() == *words)),
        containers: all_containers(pod)
            .map(|container| ContainerReport {
                name: container.name.clone(),
                init: !main.contains(&container.name.as_str()),
                restarts: container.restart_count,
                words: one_line(container_words(facts, pod, container)),
            })
            .collect(),
    }
}

fn container_words(facts: &Facts, pod: &Pod, container: &ContainerStatus) -> String {
    let state = container.state.clone().unwrap_or_default();
    let last = || {
        let end = container_exit(pod, container, facts.events());
        end.map_or_else(String::new, |end| format!("; the run before: {}", end.words))
    };
    if state.terminated.is_some() {
        return container_exit(pod, container, facts.events()).map_or_else(|| "has ended".into(), |end| end.words);
    }
    if let Some(started) = started_at(container) {
        return format!("runs since {started:.0}{}", last());
    }
    let waiting = state.waiting.and_then(|waiting| waiting.reason);
    format!("waits{}{}", waiting.map_or_else(String::new, |reason| format!(": {reason}")), last())
}

/// What happens next, as far as the objects say it.
fn next(facts: &Facts, state: JobState, seen: &ObservedJob) -> Vec<String> {
    let job = &seen.job;
    let mut said = Vec::new();
    match state {
        JobState::Deleting => said.push(leaving(facts)),
        JobState::Succeeded | JobState::Failed => {
            if let Some(metadata) = &seen.attempt_metadata {
                said.push(if metadata.acknowledged {
                    "Its task has recorded the outcome".to_owned()
                } else if state == JobState::Succeeded {
                    "Its task has not recorded the outcome so far: a retry uses it".to_owned()
                } else {
                    "Its task has not recorded the outcome so far".to_owned()
                });
            }
            said.push(ttl(facts, job));
        }
        JobState::Suspended => said.push("No Pod is made until somebody resumes it".to_owned()),
        JobState::Running | JobState::Pending => {
            let Some(spec) = &job.spec else { return said };
            let begun = facts.pods().any(|pod| all_containers(pod).any(has_started));
            if begun || job.status.as_ref().is_some_and(|status| status.failed > Some(0)) {
                said.push(retries(facts, job, spec));
            }
            said.extend(deadline(facts, job, spec));
        }
    }
    said
}

fn leaving(facts: &Facts) -> String {
    let finalizers = facts.finalizers();
    if finalizers.is_empty() {
        return "It goes as soon as the API server has removed it".to_owned();
    }
    format!("It goes once its finalizers are removed: {}", finalizers.join(", "))
}

fn ttl(facts: &Facts, job: &Job) -> String {
    let seconds = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
    let Some(seconds) = seconds else {
        return "It stays until somebody deletes it: it has no ttlSecondsAfterFinished".to_owned();
    };
    let at = ended_at(job).and_then(|end| end.checked_add(SignedDuration::from_secs(seconds.into())).ok());
    at.map_or_else(
        || format!("Kubernetes deletes it with its Pods {seconds} s after its end"),
        |at| format!("Kubernetes deletes it with its Pods at {at:.0}, {} (TTL {seconds} s)", coming(facts, at)),
    )
}

fn retries(facts: &Facts, job: &Job, spec: &JobSpec) -> String {
    if let Some(limit) = spec.backoff_limit_per_index {
        let failed = job.status.as_ref().and_then(|status| status.failed_indexes.as_deref());
        let spent = failed.filter(|indexes| !indexes.is_empty());
        if let (Some(indexes), 1..) = (spent, limit) {
            let times = if limit == 1 { "once".to_owned() } else { format!("{limit} times") };
            return format!(
                "Kubernetes retries each other index {times} if it fails; index {indexes} has no retry left"
            );
        }
        return match limit {
            0 => "If an index fails, Kubernetes does not retry it (backoffLimitPerIndex 0)".to_owned(),
            1 => "If an index fails, Kubernetes retries it once (backoffLimitPerIndex)".to_owned(),
            _ => format!("If an index fails, Kubernetes retries it {limit} times (backoffLimitPerIndex)"),
        };
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    let status = job.status.as_ref();
    let failed = status.and_then(|status| status.failed).unwrap_or(0);
    // The retry for the last failed Pod is still to come if no Pod is active.
    let waits = failed > 0 && status.and_then(|status| status.active).unwrap_or(0) == 0;
    let template = spec.template.spec.as_ref();
    let restarts: i32 = if template.is_some_and(|pod| pod.restart_policy.as_deref() == Some("OnFailure")) {
        facts.pods().flat_map(all_containers).map(|container| container.restart_count).sum()
    } else {
        0
    };
    let left = limit.saturating_sub(failed.saturating_add(restarts)).saturating_add(waits.into()).max(0);
    match (limit, left) {
        (0, _) => "If its Pod fails, the Job fails: Kubernetes does not retry (backoffLimit 0)".to_owned(),
        (_, 0) => format!("If a Pod fails again, the Job fails: none of {limit} retries is left (backoffLimit)"),
        _ => format!(
            "If a Pod fails, Kubernetes tries again: {} of {limit} retries are used (backoffLimit)",
            limit - left
        ),
    }
}

fn deadline(facts: &Facts, job: &Job, spec: &JobSpec) -> Option<String> {
    let Some(seconds) = spec.active_deadline_seconds else {
        return Some("Kubernetes lets it run for as long as it wants: it has no activeDeadlineSeconds".to_owned());
    };
    let started = time(job.status.as_ref()?.start_time.as_ref())?;
    let at = started.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some(format!(
        "Kubernetes fails it at {at:.0}, {}, unless it has ended (activeDeadlineSeconds {seconds})",
        coming(facts, at)
    ))
}

/// How far away a moment is.
fn coming(facts: &Facts, at: Timestamp) -> String {
    let seconds = at.duration_since(facts.now).as_secs();
    let (amount, unit) = match seconds.unsigned_abs() {
        seconds @ 0..120 => (seconds, "s"),
        seconds @ 120..7200 => (seconds / 60, "min"),
        seconds @ 7200..172_800 => (seconds / 3600, "h"),
        seconds => (seconds / 86400, "d"),
    };
    if seconds < 0 { format!("which was {amount} {unit} ago") } else { format!("in {amount} {unit}") }
}

/// The container whose log tells most, and whether its run before the present one does: the base container of the Pod
/// that failed last, else of the newest that has started.
fn telling_log(facts: &Facts) -> Option<(LogSource, bool)> {
    let base = facts.base_container();
    let begun = |pod: &&Pod| all_containers(pod).any(has_started);
    let pod = facts.pods().filter(begun).max_by_key(|pod| {
        (phase(pod) == "Failed", pod_ended_at(pod), time(pod.metadata.creation_timestamp.as_ref()))
    })?;
    let started: Vec<_> = all_containers(pod).filter(|container| has_started(container)).collect();
    let of_base = started.iter().find(|container| Some(container.name.as_str()) == base);
    let container = of_base.or(started.last())?;
    let state = container.state.as_ref();
    let previous = state.is_some_and(|state| state.running.is_none() && state.terminated.is_none());
    let source = LogSource {
        namespace: facts.reference.namespace.clone(),
        pod: pod.metadata.name.as_ref()?.parse().ok()?,
        pod_uid: pod.metadata.uid.clone().unwrap_or_default(),
        container: container.name.parse().ok()?,
        index: None,
        alone: false,
    };
    Some((source, previous))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::diagnose::Known;

    const NOW: &str = "2026-01-06T10:10:00Z";

    fn facts(job: &Value, pods: &[Value]) -> Facts {
        let mut whole = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u-1",
            "creationTimestamp": "2026-01-06T10:00:00Z", "labels": {"unique-k8s-job/task": "t"},
            "annotations": {"unique-k8s-job/attempt": "a", "unique-k8s-job/owner": "o", "unique-k8s-job/try-number": "2",
                "unique-k8s-job/deployment": "prod", "unique-k8s-job/dag-id": "nightly", "unique-k8s-job/task-id": "load",
                "unique-k8s-job/run-id": "r", "unique-k8s-job/map-index": "3"}},
            "spec": {"template": {"spec": {"containers": [{"name": "base"}]}}}});
        json_patch::merge(&mut whole, job);
        let seen = ObservedJob::read(&whole).unwrap();
        let mut facts = Facts::new(NOW.parse().unwrap(), seen.reference.clone(), Some(Arc::new(seen)));
        facts.pods =
            Known::Seen(pods.iter().map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap())).collect());
        facts.events = Known::Seen(Vec::new());
        facts
    }

    fn pod(name: &str, phase: &str, state: &Value, restarts: i32) -> Value {
        json!({"metadata": {"name": name, "uid": name, "namespace": "etl", "creationTimestamp": "2026-01-06T10:00:01Z"},
            "spec": {"nodeName": "node1", "containers": [{"name": "base"}]},
            "status": {"phase": phase, "containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": false,
                "restartCount": restarts, "state": state}]}})
    }

    fn ended(code: i32) -> Value {
        json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": "2026-01-06T10:00:02Z", "finishedAt": "2026-01-06T10:00:09Z"}})
    }

    fn finished_as(kind: &str, more: &Value) -> Value {
        let mut status = json!({"startTime": "2026-01-06T10:00:00Z", "conditions": [{"type": kind, "status": "True",
            "reason": "BackoffLimitExceeded", "lastTransitionTime": "2026-01-06T10:00:10Z"}]});
        json_patch::merge(&mut status, more);
        json!({"status": status})
    }

    #[test]
    fn failed_job_is_told_with_its_cause_its_task_its_pods_and_when_it_goes() {
        let mut job = finished_as("Failed", &json!({"failed": 1}));
        job["spec"] = json!({"ttlSecondsAfterFinished": 7200});
        let report = job_report(&facts(&job, &[pod("train-x", "Failed", &ended(3), 0)])).unwrap();
        assert_eq!(report.state, JobState::Failed);
        assert_eq!(
            report.summary,
            "Job `etl/train` failed: container `base` ended with exit code 3 [BackoffLimitExceeded]"
        );
        let made_by = report.made_by.unwrap();
        assert_eq!((made_by.dag_id.as_deref(), made_by.map_index, made_by.try_number), (Some("nightly"), Some(3), 2));
        assert_eq!(report.exit_code, Some(3));
        assert_eq!(report.pods[0].node.as_deref(), Some("node1"));
        assert_eq!((&report.pods[0].words, report.pods[0].containers[0].words.as_str()), (&None, "exit code 3"));
        assert_eq!(
            report.next,
            [
                "Its task has not recorded the outcome so far",
                "Kubernetes deletes it with its Pods at 2026-01-06T12:00:10Z, in 110 min (TTL 7200 s)"
            ]
        );
    }

    #[test]
    fn job_at_work_is_told_with_its_retries_and_its_deadline() {
        let running = json!({"running": {"startedAt": "2026-01-06T10:00:02Z"}});
        let job = json!({"spec": {"backoffLimit": 3, "activeDeadlineSeconds": 900},
            "status": {"startTime": "2026-01-06T10:00:00Z", "active": 1, "ready": 1, "failed": 1}});
        let report = job_report(&facts(&job, &[pod("train-x", "Running", &running, 0)])).unwrap();
        assert_eq!(report.summary, "Job `etl/train` runs: 1 Pod is active, 1 Pod failed");
        assert_eq!(report.pods[0].containers[0].words, "runs since 2026-01-06T10:00:02Z");
        assert_eq!(
            report.next,
            [
                "If a Pod fails, Kubernetes tries again: 1 of 3 retries are used (backoffLimit)",
                "Kubernetes fails it at 2026-01-06T10:15:00Z, in 5 min, unless it has ended (activeDeadlineSeconds 900)"
            ]
        );
    }

    #[test]
    fn every_state_has_a_sentence_and_a_next_step() {
        for (job, summary, next) in [
            (json!({}), "waits: no Pod of it has started so far", "0 of 6"),
            (json!({"spec": {"suspend": true}}), "is suspended", "until somebody resumes it"),
            (
                json!({"metadata": {"deletionTimestamp": NOW, "finalizers": ["orphan"]}}),
                "is being deleted",
                "once its finalizers are removed: orphan",
            ),
            (finished_as("Complete", &json!({"succeeded": 1})), "succeeded", "has no ttlSecondsAfterFinished"),
            (json!({"spec": {"backoffLimit": 0}, "status": {"failed": 1}}), "waits", "does not retry"),
            (json!({"spec": {"backoffLimitPerIndex": 1}, "status": {"failed": 1}}), "waits", "retries it once"),
        ] {
            let mut job = job;
            if job == json!({}) {
                job = json!({"status": {"failed": 1}});
            }
            let report = job_report(&facts(&job, &[])).unwrap();
            assert!(report.summary.contains(summary), "{}", report.summary);
            assert!(report.next.iter().any(|said| said.contains(next)), "{job}: {:?}", report.next);
        }
    }

    #[test]
    fn job_at_work_is_told_with_what_it_waits_for() {
        let running = json!({"running": {"startedAt": "2026-01-06T10:00:02Z"}});
        let looping = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let not_ready = json!({"status": {"active": 1, "ready": 0}});
        let summary = |pod: Value| {
            let report = job_report(&facts(&not_ready, &[pod])).unwrap();
            (report.state, report.summary.replace("Job `etl/train` ", ""))
        };
        let init = json!([{"name": "wait-for-db", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": running}]);
        let mut waits = pod("a", "Pending", &json!({"waiting": {"reason": "PodInitializing"}}), 0);
        waits["status"]["initContainerStatuses"] = init;
        let mut left = pod("a", "Running", &ended(0), 0);
        let mut proxy = left["status"]["containerStatuses"][0].clone();
        proxy["name"] = json!("proxy");
        proxy["state"] = running.clone();
        left["status"]["containerStatuses"].as_array_mut().unwrap().push(proxy);
        let cases = [
            (pod("a", "Running", &running, 0), JobState::Running, "runs"),
            (left, JobState::Running, "runs, although its container `base` has ended: `proxy` still runs"),
            (waits, JobState::Pending, "waits: its init container `wait-for-db` runs"),
            (
                pod("a", "Running", &looping, 2),
                JobState::Pending,
                "waits: its container `base` is started again after a pause",
            ),
            (pod("a", "Failed", &ended(3), 0), JobState::Pending, "waits for its next Pod"),
        ];
        for (pod, state, words) in cases {
            assert_eq!(summary(pod), (state, words.to_owned()));
        }
    }

    #[test]
    fn log_is_that_of_the_pod_that_failed_last_and_of_the_run_before_where_none_runs() {
        let running = json!({"running": {"startedAt": "2026-01-06T10:00:12Z"}});
        let both = [pod("good", "Running", &running, 0), pod("bad", "Failed", &ended(3), 0)];
        let (source, previous) = telling_log(&facts(&json!({}), &both)).unwrap();
        assert_eq!((source.pod.as_str(), previous), ("bad", false));
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let (source, previous) = telling_log(&facts(&json!({}), &[pod("loops", "Running", &waiting, 2)])).unwrap();
        assert_eq!((source.pod.as_str(), previous), ("loops", true));
        let none = json!({"waiting": {"reason": "ErrImagePull"}});
        assert_eq!(telling_log(&facts(&json!({}), &[pod("new", "Pending", &none, 0)])), None);
    }
}
