//! What to say about a Job while it is under way: each thing once, as it happens. Pure.
//!
//! Not here: why it does not move or go, which the findings tell ([`super::diagnosis`]).

use std::{collections::HashSet, fmt::Write as _};

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use super::{
    diagnosis,
    message::Message,
    outcome::{End, container_ends},
    view::{View, all_containers, has_started},
};

/// Waiting reasons of the normal course, which need no word.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Events of which neither the Pod's status nor a finding tells.
const TELLING: [&str; 3] = ["Pulling", "Evicted", "Preempted"];

/// What was said so far.
#[derive(Debug, Default)]
pub struct Progress {
    said: HashSet<String>,
    suspended: bool,
    failures: i32,
}

impl Progress {
    /// What is new in this view, in order.
    pub fn look(&mut self, view: &View) -> Vec<Message> {
        let mut news = Vec::new();
        self.job(view, &mut news);
        for event in &view.events {
            self.event(event, &mut news);
        }
        for pod in view.pods() {
            self.pod(pod, &mut news);
        }
        self.retries(view, &mut news);
        news
    }

    fn once(&mut self, key: String, news: &mut Vec<Message>, message: impl FnOnce() -> Message) {
        if self.said.insert(key) {
            news.push(message());
        }
    }

    fn job(&mut self, view: &View, news: &mut Vec<Message>) {
        let suspended = view.job.suspended() && view.end.is_none();
        if self.suspended && !suspended && view.end.is_none() {
            news.push(Message::info("resumed", format!("{} is resumed", view.job.reference)));
        }
        self.suspended = suspended;
        if let Some(time) = view.job.deletion_timestamp() {
            self.once("deleting".into(), news, || {
                let held = view.job.finalizers();
                let held = if held.is_empty() { String::new() } else { format!(", held by {}", held.join(", ")) };
                Message::warning(
                    "job-deleting",
                    format!("{} is being deleted by somebody since {time}{held}", view.job.reference),
                )
            });
        }
        if let Some(End::Failed { reason, message }) = &view.end {
            self.once("decided".into(), news, || {
                Message::warning(
                    "failure-decided",
                    format!("Kubernetes decided that the Job failed: {reason}: {message}"),
                )
            });
        }
    }

    fn retries(&mut self, view: &View, news: &mut Vec<Message>) {
        let failed = view.job.job.status.as_ref().and_then(|status| status.failed).unwrap_or(0);
        let limit = view.job.job.spec.as_ref().and_then(|spec| spec.backoff_limit);
        if failed > self.failures && view.end.is_none() {
            let limit = limit.map_or(String::new(), |limit| format!(" of the {limit} that backoffLimit forgives"));
            news.push(Message::warning(
                "pod-retry",
                format!("{failed} failed Pods{limit}: Kubernetes makes a new Pod after a pause of 10 s or more"),
            ));
        }
        self.failures = self.failures.max(failed);
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

    fn pod(&mut self, pod: &Pod, news: &mut Vec<Message>) {
        let (Some(uid), Some(name)) = (&pod.metadata.uid, &pod.metadata.name) else { return };
        for condition in pod.status.iter().flat_map(|status| status.conditions.iter().flatten()) {
            let message = condition.message.as_deref().unwrap_or_default();
            match (condition.type_.as_str(), condition.status.as_str()) {
                ("PodScheduled", "True") => self.once(format!("{uid} scheduled"), news, || {
                    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("a node");
                    Message::info("pod-scheduled", format!("Pod `{name}` is scheduled on `{node}`"))
                }),
                ("DisruptionTarget", "True") => self.once(format!("{uid} disrupted"), news, || {
                    let reason = condition.reason.as_deref().unwrap_or_default();
                    Message::warning("pod-disrupted", format!("Pod `{name}` is about to be ended: {reason}: {message}"))
                }),
                _ => {}
            }
        }
        for container in all_containers(pod) {
            self.container(uid, name, container, news);
        }
        for end in container_ends(std::iter::once(pod)).into_iter().filter(|end| end.exit_code != 0) {
            self.once(format!("{uid} {} {} ended", end.container, end.restart_count), news, || {
                let mut text = format!("Container `{}` of Pod `{name}` ended with {}", end.container, end.words);
                if let Some(message) = &end.message {
                    let _ = write!(text, "; it said: {}", message.trim_end());
                }
                Message::warning("container-failed", text)
            });
        }
        if pod.metadata.deletion_timestamp.is_some() {
            self.once(format!("{uid} deleting"), news, || {
                Message::info("pod-deleting", format!("Pod `{name}` is being deleted"))
            });
        }
    }

    fn container(&mut self, uid: &str, pod: &str, container: &ContainerStatus, news: &mut Vec<Message>) {
        let name = &container.name;
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        if let Some(reason) = reason.filter(|reason| !ORDINARY.contains(reason) && !diagnosis::covers(reason)) {
            self.once(format!("{uid} {name} waits {reason}"), news, || {
                let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
                let text = format!("Container `{name}` of Pod `{pod}` waits: {reason}: {message}");
                Message::warning(format!("waiting-{}", kebab(reason)), text.trim_end_matches(": ").to_owned())
            });
        }
        if has_started(container) {
            self.once(format!("{uid} {name} {} started", container.restart_count), news, || {
                let again = match container.restart_count {
                    0 => String::new(),
                    count => format!(" again (restart {count})"),
                };
                Message::info("container-started", format!("Container `{name}` of Pod `{pod}` started{again}"))
            });
        }
    }
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
    use crate::job::seen::SeenJob;

    fn job(spec: &Value, status: &Value) -> SeenJob {
        let job =
            json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": spec, "status": status});
        SeenJob::read(&job).unwrap()
    }

    fn view() -> View {
        View::new(job(&json!({"template": {}}), &json!({})))
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
        let mut progress = Progress::default();
        let mut view = view();
        assert!(progress.look(&view).is_empty());
        view.apply_pod(pod(&json!({"waiting": {"reason": "ContainerCreating"}}), 0), false);
        assert_eq!(codes(&progress.look(&view)), ["pod-scheduled"]);
        view.apply_pod(pod(&json!({"waiting": {"reason": "NewReason", "message": "not known here"}}), 0), false);
        assert_eq!(codes(&progress.look(&view)), ["waiting-new-reason"]);
        view.apply_pod(pod(&json!({"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}), 0), false);
        assert!(progress.look(&view).is_empty(), "a finding tells of it");
        view.apply_pod(pod(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), 0), false);
        assert_eq!(codes(&progress.look(&view)), ["container-started"]);
        view.apply_pod(
            pod(&json!({"terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z"}}), 0),
            false,
        );
        assert_eq!(codes(&progress.look(&view)), ["container-failed"]);
        view.apply_pod(pod(&json!({"running": {"startedAt": "2026-01-01T00:00:09Z"}}), 1), false);
        let again = progress.look(&view);
        assert_eq!(codes(&again), ["container-started"]);
        assert!(again[0].text.contains("restart 1"), "{}", again[0].text);
    }

    #[test]
    fn resumption_is_said_each_time() {
        let mut progress = Progress::default();
        let mut view = view();
        let suspended = |suspend: bool| job(&json!({"template": {}, "suspend": suspend}), &json!({}));
        let mut said = Vec::new();
        for suspend in [true, true, false, true] {
            view.apply_job(suspended(suspend));
            said.extend(progress.look(&view));
        }
        assert_eq!(codes(&said), ["resumed"]);
    }

    #[test]
    fn failed_pods_are_counted_against_the_backoff_limit() {
        let mut progress = Progress::default();
        let mut view = view();
        view.apply_job(job(&json!({"template": {}, "backoffLimit": 3}), &json!({"failed": 1})));
        let said = progress.look(&view);
        assert_eq!(codes(&said), ["pod-retry"]);
        assert!(said[0].text.contains("1 failed Pods of the 3"), "{}", said[0].text);
    }
}
