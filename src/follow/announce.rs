//! Writes the messages about a Job while it is under way: each thing once, as it happens. Pure.
//!
//! The findings ([`crate::diagnose`]) say why a Job does not move or is not deleted.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::{
    diagnose,
    follow::pod_counts::has_many_pods,
    model::{
        conditions::{self, FAILED_BEFORE, JobEnd},
        container_exit::{BY_WHOM, ContainerExit, container_exits},
        message::{Level, Message},
        observed_job::Pause,
        pod::{
            all_containers, has_started, init_containers, is_running, is_sidecar, main_containers, phase,
            phase_is_terminal,
        },
        pod_reason::{PodReason, in_words, pod_condition, pod_reason},
        snapshot::JobSnapshot,
    },
};

/// Waiting reasons of a normal start, which need no message.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Reasons of Events that neither the Pod's status nor a finding reports.
const TELLING: [&str; 3] = ["Pulling", "Evicted", "Preempted"];

/// The steps of one Pod: of many Pods the log has the counts instead, and the steps at debug level.
const STEPS: [&str; 5] = ["pod-scheduled", "pulling", "container-started", "container-ended", "pod-deleting"];

/// At most this many messages of one code are written about the Pods of one Job; a Job may have ten thousand Pods.
const SAID_AT_MOST: usize = 50;

/// Remembers which messages were written.
#[derive(Debug, Default)]
pub struct ProgressAnnouncer {
    said: HashSet<String>,
    /// How many messages of each code were written.
    counts: HashMap<String, usize>,
    pause: Option<Pause>,
    failures: i32,
}

impl ProgressAnnouncer {
    /// The messages about what is new in this snapshot, in order.
    pub fn observe(&mut self, snapshot: &JobSnapshot) -> Vec<Message> {
        let mut news = Vec::new();
        self.job(snapshot, &mut news);
        for event in &snapshot.events {
            self.event(event, &mut news);
        }
        for pod in snapshot.pods() {
            self.pod(pod, &snapshot.events, &mut news);
        }
        self.retries(snapshot, &mut news);
        if has_many_pods(snapshot) {
            for step in news.iter_mut().filter(|step| step.level == Level::Info && STEPS.contains(&step.code.as_str()))
            {
                step.level = Level::Debug;
            }
        }
        news
    }

    fn once(&mut self, key: String, news: &mut Vec<Message>, message: impl FnOnce() -> Message) {
        if !self.said.insert(key) {
            return;
        }
        let message = message();
        let count = self.counts.entry(message.code.clone()).or_default();
        *count += 1;
        if *count <= SAID_AT_MOST {
            news.push(message);
        } else if *count == SAID_AT_MOST + 1 {
            let text = format!("{}; the same message about further Pods of the Job is left out", message.text);
            news.push(Message { text, ..message });
        }
    }

    fn job(&mut self, snapshot: &JobSnapshot, news: &mut Vec<Message>) {
        let pause = snapshot.job.pause().filter(|_| snapshot.end.is_none());
        if let (Some(past), None, None) = (self.pause, pause, &snapshot.end) {
            let how = match (past, snapshot.job.job.spec.as_ref().and_then(|spec| spec.parallelism)) {
                (Pause::NoParallelism, Some(parallelism)) => format!(": its parallelism is {parallelism}"),
                _ => String::new(),
            };
            news.push(Message::info("resumed", format!("{} is resumed{how}", snapshot.job.reference)));
        }
        self.pause = pause;
        if let Some(time) = snapshot.job.deletion_timestamp() {
            self.once("deleting".into(), news, || {
                let held = snapshot.job.finalizers();
                let held =
                    if held.is_empty() { String::new() } else { format!(", held by finalizer {}", held.join(", ")) };
                Message::warning(
                    "job-deleting",
                    format!("{} was deleted by somebody at {time}, and is not gone yet{held}", snapshot.job.reference),
                )
            });
        }
        if let Some(JobEnd::Failed { reason, message }) = &snapshot.end {
            self.once("decided".into(), news, || {
                Message::warning(
                    "failure-decided",
                    format!("Kubernetes decided that the Job failed: {reason}: {message}"),
                )
            });
        }
    }

    fn retries(&mut self, snapshot: &JobSnapshot, news: &mut Vec<Message>) {
        let spec = snapshot.job.job.spec.as_ref();
        if let Some(limit) = spec.and_then(|spec| spec.backoff_limit_per_index) {
            self.retries_of_indexes(snapshot, limit, news);
            return;
        }
        let failed = snapshot.job.job.status.as_ref().and_then(|status| status.failed).unwrap_or(0);
        let limit = spec.and_then(|spec| spec.backoff_limit).unwrap_or(6);
        if failed > self.failures && failed <= limit && snapshot.end.is_none() {
            let pods = if failed == 1 { "1 Pod has".to_owned() } else { format!("{failed} Pods have") };
            let text =
                format!("{pods} failed: Kubernetes starts retry {failed} of {limit} after a pause of 10 s or more");
            news.push(Message::warning("pod-retry", text));
        }
        self.failures = self.failures.max(failed);
    }

    /// With `backoffLimitPerIndex` each index has retries of its own, and each Pod says how many failed before it.
    fn retries_of_indexes(&mut self, snapshot: &JobSnapshot, limit: i32, news: &mut Vec<Message>) {
        if snapshot.end.is_some() {
            return;
        }
        for pod in snapshot.pods().into_iter().filter(|pod| phase(pod) == "Failed") {
            let (Some(uid), Some(index)) = (&pod.metadata.uid, conditions::index(pod)) else { continue };
            let before = pod.metadata.annotations.as_ref().and_then(|all| all.get(FAILED_BEFORE)?.parse::<i32>().ok());
            let Some(retry) = before.map(|before| before + 1) else { continue };
            self.once(format!("{uid} retried"), news, || {
                let text = if retry <= limit {
                    format!("Index {index} has failed: Kubernetes starts retry {retry} of {limit} for it after a pause of 10 s or more")
                } else {
                    format!("Index {index} has failed, and no retry is left for it (backoffLimitPerIndex {limit}): the Job will fail")
                };
                Message::warning("pod-retry", text)
            });
        }
    }

    fn event(&mut self, event: &Event, news: &mut Vec<Message>) {
        let Some(reason) = event.reason.as_deref().filter(|reason| TELLING.contains(reason)) else { return };
        let about = &event.involved_object;
        let key = format!("event {} {reason}", about.uid.as_deref().unwrap_or_default());
        self.once(key, news, || {
            let text = format!(
                "{} `{}`: {}",
                about.kind.as_deref().unwrap_or("Object"),
                about.name.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or(reason),
            );
            if event.type_.as_deref() == Some("Warning") {
                Message::warning(kebab(reason), text)
            } else {
                Message::info(kebab(reason), text)
            }
        });
    }

    fn pod(&mut self, pod: &Pod, events: &[Event], news: &mut Vec<Message>) {
        let (Some(uid), Some(name)) = (&pod.metadata.uid, &pod.metadata.name) else { return };
        if pod_condition(pod, "PodScheduled").is_some_and(|condition| condition.status == "True") {
            self.once(format!("{uid} scheduled"), news, || {
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("a node");
                Message::info("pod-scheduled", format!("Pod `{name}` is scheduled on `{node}`"))
            });
        }
        if let Some(given) = pod_reason(pod) {
            self.once(format!("{uid} ended for {}", given.reason), news, || own_reason(pod, name, given));
        }
        for container in all_containers(pod) {
            let first = init_containers(pod).any(|init| init.name == container.name) && !is_sidecar(pod, container);
            self.container(uid, name, container, if first { "Init container" } else { "Container" }, news);
        }
        let done = |container: &&ContainerStatus| {
            container.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code == 0)
        };
        if let Some(done) = main_containers(pod).find(done)
            && let Some(left) = main_containers(pod).find(|container| is_running(container))
        {
            self.once(format!("{uid} {} left", done.name), news, || {
                let text = format!(
                    "Container `{}` of Pod `{name}` ended with exit code 0, and `{}` still runs",
                    done.name, left.name
                );
                Message::info("container-ended", text)
            });
        }
        for end in container_exits(std::iter::once(pod), events).into_iter().filter(|end| end.exit_code != 0) {
            self.container_end(uid, &end, news);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            self.once(format!("{uid} deleting"), news, || {
                Message::info("pod-deleting", format!("Pod `{name}` is being deleted"))
            });
        }
    }

    fn container_end(&mut self, uid: &str, end: &ContainerExit, news: &mut Vec<Message>) {
        let ContainerExit { pod, container, killed_by, .. } = end;
        let ended = format!("{uid} {container} {} ended", end.restart_count);
        let killed = killed_by.as_ref().map(|by| format!("{uid} {container} killed by {by}"));
        if !self.said.contains(&ended) {
            // The message about the end says who killed it, so it is not said again when the container runs again.
            self.said.extend(killed.clone());
        }
        self.once(ended, news, || {
            // An Event that says who killed it may still come.
            let words = end.words.trim_end_matches(BY_WHOM);
            let mut text = format!(
                "{} `{container}` of Pod `{pod}` ended with {words}",
                if end.init { "Init container" } else { "Container" }
            );
            if let Some(message) = &end.message {
                let _ = write!(text, "; it said: {}", message.trim_end());
            }
            Message::warning("container-failed", text)
        });
        if let (Some(key), Some(by)) = (killed, killed_by) {
            let text = || format!("Container `{container}` of Pod `{pod}` was killed: {by}");
            self.once(key, news, || Message::warning("container-killed", text()));
        }
    }

    fn container(&mut self, uid: &str, pod: &str, container: &ContainerStatus, kind: &str, news: &mut Vec<Message>) {
        let name = &container.name;
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        if let Some(reason) = reason.filter(|reason| !ORDINARY.contains(reason) && !diagnose::covers(reason)) {
            self.once(format!("{uid} {name} waits {reason}"), news, || {
                let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
                let text = format!("{kind} `{name}` of Pod `{pod}` waits: {reason}: {message}");
                Message::warning(format!("waiting-{}", kebab(reason)), text.trim_end_matches(": ").to_owned())
            });
        }
        if has_started(container) {
            self.once(format!("{uid} {name} {} started", container.restart_count), news, || {
                let again = match container.restart_count {
                    0 => String::new(),
                    count => format!(" again (restart {count})"),
                };
                Message::info("container-started", format!("{kind} `{name}` of Pod `{pod}` started{again}"))
            });
        }
    }
}

/// The message that says why a Pod was ended, or is about to be, in our words and in those of Kubernetes.
fn own_reason(pod: &Pod, name: &str, given: PodReason<'_>) -> Message {
    let mut text = in_words(pod, given, &format!("Pod `{name}`"));
    if let Some(first) = text.get(..1) {
        text.replace_range(..1, &first.to_uppercase());
    }
    if !given.message.is_empty() && !text.contains(given.message) {
        let _ = write!(text, "; Kubernetes says: {}", given.message);
    }
    Message::warning(if phase_is_terminal(pod) { "pod-failed" } else { "pod-disrupted" }, text)
}

/// `ImagePullBackOff` -> `image-pull-back-off`.
fn kebab(reason: &str) -> String {
    let mut text = String::with_capacity(reason.len() + 4);
    for letter in reason.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    fn job(spec: &Value, status: &Value) -> ObservedJob {
        let job =
            json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": spec, "status": status});
        ObservedJob::read(&job).unwrap()
    }

    fn snapshot() -> JobSnapshot {
        JobSnapshot::new(job(&json!({"template": {}}), &json!({})))
    }

    fn codes(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.code.as_str()).collect()
    }

    fn pod(state: &Value, restarts: i32) -> Value {
        json!({"metadata": {"name": "p", "uid": "p"}, "spec": {"nodeName": "n", "containers": []}, "status": {
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": true, "restartCount": restarts, "state": state}]}})
    }

    #[test]
    fn each_step_is_said_once() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        assert!(progress.observe(&snapshot).is_empty());
        snapshot.apply_pod_object(pod(&json!({"waiting": {"reason": "ContainerCreating"}}), 0), false);
        assert_eq!(codes(&progress.observe(&snapshot)), ["pod-scheduled"]);
        snapshot
            .apply_pod_object(pod(&json!({"waiting": {"reason": "NewReason", "message": "not known here"}}), 0), false);
        assert_eq!(codes(&progress.observe(&snapshot)), ["waiting-new-reason"]);
        snapshot
            .apply_pod_object(pod(&json!({"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}), 0), false);
        assert!(progress.observe(&snapshot).is_empty(), "a finding tells of it");
        snapshot.apply_pod_object(pod(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), 0), false);
        assert_eq!(codes(&progress.observe(&snapshot)), ["container-started"]);
        snapshot.apply_pod_object(
            pod(&json!({"terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z"}}), 0),
            false,
        );
        assert_eq!(codes(&progress.observe(&snapshot)), ["container-failed"]);
        snapshot.apply_pod_object(pod(&json!({"running": {"startedAt": "2026-01-01T00:00:09Z"}}), 1), false);
        let again = progress.observe(&snapshot);
        assert_eq!(codes(&again), ["container-started"]);
        assert!(again[0].text.contains("restart 1"), "{}", again[0].text);
    }

    #[test]
    fn of_thousands_of_pods_some_are_said_and_then_that_there_are_more() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        for number in 0..1000 {
            let mut one = pod(&json!({"waiting": {"reason": "ContainerCreating"}}), 0);
            one["metadata"] = json!({"name": format!("p{number:04}"), "uid": format!("u{number}")});
            snapshot.apply_pod_object(one, false);
        }
        let said = progress.observe(&snapshot);
        assert_eq!(said.len(), SAID_AT_MOST + 1);
        assert!(
            said[SAID_AT_MOST].text.ends_with("the same message about further Pods of the Job is left out"),
            "{said:?}"
        );
    }

    #[test]
    fn steps_of_many_pods_are_for_the_debug_log_and_what_goes_wrong_is_not() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = JobSnapshot::new(job(&json!({"template": {}, "completions": 20}), &json!({})));
        let end = json!({"terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z"}});
        snapshot.apply_pod_object(pod(&end, 0), false);
        let levels: Vec<_> = progress.observe(&snapshot).into_iter().map(|step| (step.code, step.level)).collect();
        let expected = [
            ("pod-scheduled", Level::Debug),
            ("container-started", Level::Debug),
            ("container-failed", Level::Warning),
        ];
        assert_eq!(levels, expected.map(|(code, level)| (code.to_owned(), level)));
    }

    #[test]
    fn resumption_is_said_each_time() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        let suspended = |suspend: bool| job(&json!({"template": {}, "suspend": suspend}), &json!({}));
        let mut said = Vec::new();
        for suspend in [true, true, false, true] {
            snapshot.apply_job(suspended(suspend));
            said.extend(progress.observe(&snapshot));
        }
        assert_eq!(codes(&said), ["resumed"]);
    }

    #[test]
    fn job_that_is_scaled_up_again_is_said_to_be_resumed() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        let mut said = Vec::new();
        for spec in [
            json!({"template": {}, "parallelism": 0}),
            json!({"template": {}, "parallelism": 0, "suspend": true}),
            json!({"template": {}, "parallelism": 0}),
            json!({"template": {}, "parallelism": 3}),
        ] {
            snapshot.apply_job(job(&spec, &json!({})));
            said.extend(progress.observe(&snapshot));
        }
        assert_eq!(codes(&said), ["resumed"]);
        assert_eq!(said[0].text, "Job `etl/train` is resumed: its parallelism is 3");
    }

    #[test]
    fn own_reason_of_a_pod_is_said_once_in_our_words_and_those_of_kubernetes() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        let mut target = pod(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), 0);
        target["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
            "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]);
        snapshot.apply_pod_object(target, false);
        let said = progress.observe(&snapshot);
        assert_eq!(codes(&said), ["pod-disrupted", "container-started"]);
        assert_eq!(
            said[0].text,
            "Pod `p` was evicted through the API, as by a drain of node `n` (EvictionByEvictionAPI); Kubernetes says: \
             Eviction API: evicting"
        );
        let refused = json!({"metadata": {"name": "q", "uid": "q"}, "spec": {"nodeName": "n", "containers": []},
            "status": {"phase": "Failed", "reason": "ReasonOfTomorrow", "message": "because"}});
        snapshot.apply_pod_object(refused, false);
        let said = progress.observe(&snapshot);
        assert_eq!(codes(&said), ["pod-failed"]);
        assert_eq!(said[0].text, "Node `n` refused Pod `q`: because (ReasonOfTomorrow)");
        assert!(progress.observe(&snapshot).is_empty());
    }

    #[test]
    fn who_killed_a_container_is_said_when_it_is_known_and_not_of_each_run() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        let killed = |restarts: i32| {
            let end = json!({"terminated": {"exitCode": 137, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z"}});
            pod(&end, restarts)
        };
        snapshot.apply_pod_object(killed(0), false);
        assert_eq!(codes(&progress.observe(&snapshot)), ["pod-scheduled", "container-started", "container-failed"]);
        let about = json!({"uid": "p", "fieldPath": "spec.containers{base}"});
        let event = json!({"metadata": {}, "reason": "Killing", "message": "Container base failed liveness probe",
            "involvedObject": about});
        snapshot.events = vec![serde_json::from_value(event).unwrap()];
        let said = progress.observe(&snapshot);
        assert_eq!(codes(&said), ["container-killed"]);
        assert_eq!(said[0].text, "Container `base` of Pod `p` was killed: its liveness probe failed");
        snapshot.apply_pod_object(killed(1), false);
        assert_eq!(codes(&progress.observe(&snapshot)), ["container-started", "container-failed"]);
    }

    #[test]
    fn retries_of_an_index_are_counted_for_it_alone() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        let spec = json!({"template": {}, "backoffLimit": 2_147_483_647, "backoffLimitPerIndex": 1});
        snapshot.apply_job(job(&spec, &json!({"failed": 2})));
        for before in [0, 1] {
            let pod = json!({"metadata": {"name": format!("p{before}"), "uid": format!("p{before}"),
                "labels": {"batch.kubernetes.io/job-completion-index": "7"}, "annotations": {FAILED_BEFORE: before.to_string()}},
                "status": {"phase": "Failed"}});
            snapshot.apply_pod_object(pod, false);
        }
        let said = progress.observe(&snapshot);
        assert_eq!(codes(&said), ["pod-retry", "pod-retry"]);
        assert!(said[0].text.contains("Index 7") && said[0].text.contains("retry 1 of 1 for it"), "{}", said[0].text);
        assert!(said[1].text.contains("no retry is left for it"), "{}", said[1].text);
    }

    #[test]
    fn failed_pods_are_counted_against_the_backoff_limit() {
        let mut progress = ProgressAnnouncer::default();
        let mut snapshot = snapshot();
        snapshot.apply_job(job(&json!({"template": {}, "backoffLimit": 3}), &json!({"failed": 1})));
        let said = progress.observe(&snapshot);
        assert_eq!(codes(&said), ["pod-retry"]);
        assert!(said[0].text.starts_with("1 Pod has failed: Kubernetes starts retry 1 of 3"), "{}", said[0].text);
    }
}
