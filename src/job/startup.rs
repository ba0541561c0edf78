//! Gives up on a Job that cannot start: Kubernetes never does. Pure: the clock is handed in.
//!
//! Image names that can never work fail after [`HOPELESS_AFTER`]; pull and configuration errors, Pods that find
//! no node, and Jobs that get no Pod fail after the startup timeout. Progress starts a timer anew, and none
//! runs while the Job is suspended or another controller manages it.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{
    lean::JobSpec,
    seen::JobReference,
    view::{View, all_containers, has_started, main_containers},
};
use crate::error::{Error, Report};

/// Reasons that no waiting heals.
const HOPELESS: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];
/// How long a hopeless reason is given, against a status that is just being written.
pub const HOPELESS_AFTER: Duration = Duration::from_secs(5);
/// Reasons that may heal: a registry comes back, somebody makes the missing Secret.
const PATIENT: [&str; 10] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "PreStartHookError",
    "PostStartHookError",
    "RunContainerError",
];

/// The timers of one attempt.
#[derive(Debug)]
pub struct Startup {
    limit: Duration,
    /// Since when nothing has run, from the first look.
    idle_since: Option<Instant>,
    /// Since when each container, by Pod uid and name, waits for a bad reason.
    bad_since: BTreeMap<(String, String), Instant>,
}

struct Trouble {
    pod: String,
    container: String,
    reason: String,
    message: String,
}

impl Startup {
    /// Timers with this startup timeout.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, idle_since: None, bad_since: BTreeMap::new() }
    }

    /// Why to give up now, if so; else the moment of the next look that can matter.
    pub fn look(&mut self, now: Instant, view: &View) -> Result<Option<Instant>, Error> {
        if view.job.suspended() || view.end.is_some() || managed_elsewhere(view) {
            self.idle_since = None;
            self.bad_since.clear();
            return Ok(None);
        }
        let mut next: Option<Instant> = None;
        let mut wait_until = |deadline: Instant| next = Some(next.map_or(deadline, |next| next.min(deadline)));

        let troubles = troubles(view);
        self.bad_since.retain(|key, _| troubles.contains_key(key));
        for (key, trouble) in &troubles {
            let since = *self.bad_since.entry(key.clone()).or_insert(now);
            let hopeless = HOPELESS.contains(&trouble.reason.as_str());
            let deadline = since + if hopeless { HOPELESS_AFTER.min(self.limit) } else { self.limit };
            if deadline <= now {
                return Err(container_cannot_start(&view.job.reference, trouble, now - since));
            }
            wait_until(deadline);
        }

        if idle(view) {
            let since = *self.idle_since.get_or_insert(now);
            let deadline = since + self.limit;
            if deadline <= now {
                return Err(nothing_runs(view, now - since));
            }
            wait_until(deadline);
        } else {
            self.idle_since = None;
        }
        Ok(next)
    }
}

/// Whether no Pod runs and the next one is overdue rather than in the controller's own backoff.
fn idle(view: &View) -> bool {
    let waiting = view.pods.values().filter(|seen| !seen.gone).any(|seen| pending(&seen.pod));
    let running =
        view.pods.values().filter(|seen| !seen.gone).any(|seen| {
            all_containers(&seen.pod).any(|c| c.state.as_ref().is_some_and(|state| state.running.is_some()))
        });
    !running && (waiting || (view.pods.is_empty() && !view.started()))
}

fn pending(pod: &Pod) -> bool {
    pod.status.as_ref().is_none_or(|status| status.phase.as_deref().is_none_or(|phase| phase == "Pending"))
}

fn managed_elsewhere(view: &View) -> bool {
    view.job.job.spec.as_ref().is_some_and(managed_by_another)
}

/// Whether the Job controller of Kubernetes leaves the Job to somebody else.
#[must_use]
pub fn managed_by_another(spec: &JobSpec) -> bool {
    spec.managed_by.as_deref().is_some_and(|manager| manager != "kubernetes.io/job-controller")
}

fn troubles(view: &View) -> BTreeMap<(String, String), Trouble> {
    let mut found = BTreeMap::new();
    for (uid, seen) in view.pods.iter().filter(|(_, seen)| !seen.gone) {
        for container in all_containers(&seen.pod) {
            let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if HOPELESS.contains(&reason) || PATIENT.contains(&reason) {
                let trouble = Trouble {
                    pod: seen.pod.metadata.name.clone().unwrap_or_default(),
                    container: container.name.clone(),
                    reason: reason.to_owned(),
                    message: waiting.message.clone().unwrap_or_default(),
                };
                found.insert((uid.clone(), container.name.clone()), trouble);
            }
        }
    }
    found
}

/// Says when it was given up and for which reason; why, and what to do, is told by the findings.
fn container_cannot_start(job: &JobReference, trouble: &Trouble, waited: Duration) -> Error {
    let Trouble { pod, container, reason, message } = trouble;
    let what = format!("Container `{container}` of Pod `{}/{pod}` cannot start: {reason}", job.namespace);
    let report = report(job, what, reason).seen(format!("given up after {} s", waited.as_secs()));
    Error::JobStartup(Box::new(report.seen(message.clone())))
}

fn nothing_runs(view: &View, waited: Duration) -> Error {
    let job = &view.job.reference;
    let late = format!("{job} did not start within {} s", waited.as_secs());
    let pods = view.pods();
    let condition = |pod: &Pod| {
        let conditions = pod.status.as_ref()?.conditions.clone()?;
        let unscheduled = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some((pod.metadata.name.clone()?, unscheduled.message.unwrap_or_default()))
    };
    let report = if let Some((pod, message)) = pods.iter().find_map(|pod| condition(pod)) {
        report(job, format!("{late}: Pod `{pod}` cannot be scheduled"), "Unschedulable").seen(message)
    } else if let Some(event) = view.events.iter().rev().find(|e| e.type_.as_deref() == Some("Warning")) {
        let reason = event.reason.clone().unwrap_or_default();
        report(job, format!("{late}: {reason}"), &reason).seen(event.message.clone().unwrap_or_default())
    } else if let Some(pod) = pods.iter().find(|pod| !main_containers(pod).any(has_started)) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        report(job, format!("{late}: Pod `{name}` is pending"), "Pending")
            .hint(format!("`kubectl -n {} describe pod {name}` shows the Pod's Events", job.namespace))
    } else {
        report(job, format!("{late}: it has no Pod"), "NoPod")
            .hint("check that kube-controller-manager works: `kubectl -n kube-system get pods`")
    };
    Error::JobStartup(Box::new(report))
}

fn report(job: &JobReference, what: String, reason: &str) -> Report {
    Report::new(what)
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone())
        .fact("reason", reason)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::job::seen::SeenJob;

    const LIMIT: Duration = Duration::from_secs(600);

    fn view(spec: &Value, pods: &[Value]) -> View {
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": spec});
        let mut view = View::new(SeenJob::read(&job).unwrap());
        for pod in pods {
            view.apply_pod(pod.clone(), false);
        }
        view
    }

    fn job(pods: &[Value]) -> View {
        view(&json!({"template": {}}), pods)
    }

    fn waiting(reason: &str) -> Value {
        json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": reason, "message": "why"}}}]}})
    }

    fn running() -> Value {
        json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Running", "containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": true, "restartCount": 0,
             "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}})
    }

    /// When a view that never changes is given up, and with which words.
    fn given_up(view: &View) -> Option<(Duration, String)> {
        let begin = Instant::now();
        let mut startup = Startup::new(LIMIT);
        let mut now = begin;
        for _ in 0..10 {
            match startup.look(now, view) {
                Err(error) => return Some((now - begin, error.to_string())),
                Ok(None) => return None,
                Ok(Some(next)) => now = next,
            }
        }
        panic!("looked ten times without an end");
    }

    #[tokio::test]
    async fn hopeless_images_are_given_up_soon_and_patient_ones_at_the_limit() {
        for reason in HOPELESS {
            let (after, words) = given_up(&job(&[waiting(reason)])).unwrap();
            assert_eq!(after, HOPELESS_AFTER);
            assert!(words.contains(reason) && words.contains("why"), "{words}");
        }
        for reason in PATIENT {
            let (after, words) = given_up(&job(&[waiting(reason)])).unwrap();
            assert_eq!(after, LIMIT);
            assert!(words.contains(reason), "{words}");
        }
    }

    #[tokio::test]
    async fn unschedulable_pod_is_given_up_at_the_limit_with_the_schedulers_words() {
        let pod = json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]}});
        let (after, words) = given_up(&job(&[pod])).unwrap();
        assert_eq!(after, LIMIT);
        assert!(words.contains("Insufficient cpu"), "{words}");
    }

    #[tokio::test]
    async fn job_without_a_pod_is_given_up_with_the_event_that_explains_it() {
        let mut view = job(&[]);
        let event = json!({"metadata": {}, "type": "Warning", "reason": "FailedCreate", "message": "pods \"x\" is forbidden: exceeded quota: q",
            "involvedObject": {"uid": "u"}});
        view.events = vec![serde_json::from_value(event).unwrap()];
        let (after, words) = given_up(&view).unwrap();
        assert_eq!(after, LIMIT);
        assert!(words.contains("exceeded quota"), "{words}");
    }

    #[tokio::test]
    async fn nothing_is_given_up_while_suspended_running_or_managed_by_another_controller() {
        assert!(given_up(&view(&json!({"template": {}, "suspend": true}), &[])).is_none());
        assert!(given_up(&view(&json!({"template": {}, "managedBy": "kueue.x-k8s.io/multikueue"}), &[])).is_none());
        assert!(given_up(&job(&[running()])).is_none());
    }

    #[tokio::test]
    async fn progress_starts_the_timer_anew() {
        let begin = Instant::now();
        let mut startup = Startup::new(LIMIT);
        startup.look(begin, &job(&[waiting("ImagePullBackOff")])).unwrap();
        startup.look(begin + LIMIT / 2, &job(&[running()])).unwrap();
        let again = startup.look(begin + LIMIT - Duration::from_secs(1), &job(&[waiting("ImagePullBackOff")])).unwrap();
        assert_eq!(again, Some(begin + LIMIT - Duration::from_secs(1) + LIMIT));
    }

    #[tokio::test]
    async fn pause_of_the_controllers_backoff_after_a_failed_pod_is_not_counted() {
        let mut view = job(&[]);
        view.apply_pod(json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Failed"}}), false);
        assert!(given_up(&view).is_none());
    }
}
