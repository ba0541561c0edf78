//! Decides when to give up on a Job that cannot start, because Kubernetes never does. Pure: the time is an argument.
//!
//! An image name that can never work fails the Job after [`HOPELESS_AFTER`]. Pull and configuration errors, Pods that
//! get no node, and Jobs that get no Pod fail it after the startup timeout. Progress restarts a timer. No timer runs
//! while the Job is paused (suspended, or of parallelism 0), another controller manages it, or it has Pods that cannot
//! be seen here.
//!
//! Followers that follow a Job one after the other share one startup timeout: until anything of the Job has started,
//! the timeout counts from the Job's start by the clock of the API server. Each follower waits for at least
//! [`AT_LEAST`] all the same.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::model::job::managed_by_another;
use crate::{
    error::{Error, Report},
    model::{
        observed_job::JobReference,
        pod::{all_containers, has_started, main_containers},
        snapshot::JobSnapshot,
    },
    text::Command,
};

/// Reasons that waiting cannot cure.
const HOPELESS: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];
/// How long a hopeless reason must last, because a status may just be changing.
pub const HOPELESS_AFTER: Duration = Duration::from_secs(5);
/// The shortest wait of a follower, however long others have waited before it: Pods may be about to start.
pub const AT_LEAST: Duration = Duration::from_secs(30);
/// Reasons that may pass: a registry comes back, or somebody makes the missing Secret.
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
pub struct StartupTimeout {
    limit: Duration,
    /// Since when nothing has run, counted from the first evaluation.
    idle_since: Option<Instant>,
    /// Since when each container waits for a bad reason, by Pod uid and name.
    bad_since: BTreeMap<(String, String), Instant>,
    /// Whether anything of the Job was seen to run, so that only the timers count.
    went_on: bool,
}

struct StartupTrouble {
    pod: String,
    container: String,
    reason: String,
    message: String,
}

impl StartupTimeout {
    /// Makes the timers for this startup timeout.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, idle_since: None, bad_since: BTreeMap::new(), went_on: false }
    }

    /// Returns why to give up now, or the moment of the next evaluation that can matter.
    ///
    /// `now` and `time` are the same moment, `time` by the clock of the API server.
    pub fn evaluate(
        &mut self,
        now: Instant,
        time: Timestamp,
        snapshot: &JobSnapshot,
    ) -> Result<Option<Instant>, Error> {
        if snapshot.job.pause().is_some() || snapshot.end.is_some() || managed_elsewhere(snapshot) {
            self.idle_since = None;
            self.bad_since.clear();
            self.went_on = true;
            return Ok(None);
        }
        if blind(snapshot) {
            self.idle_since = None;
            return Ok(None);
        }
        let idle = idle(snapshot);
        self.went_on |= !idle || anything_started(snapshot);
        let spent = if self.went_on { Duration::ZERO } else { since_start(snapshot, time) };
        let mut next: Option<Instant> = None;
        let mut wait_until = |deadline: Instant| next = Some(next.map_or(deadline, |next| next.min(deadline)));

        let troubles = troubles(snapshot);
        self.bad_since.retain(|key, _| troubles.contains_key(key));
        for (key, trouble) in &troubles {
            let since = *self.bad_since.entry(key.clone()).or_insert(now);
            let hopeless = HOPELESS.contains(&trouble.reason.as_str());
            let (deadline, waited) = if hopeless {
                (since + HOPELESS_AFTER.min(self.limit), now - since)
            } else {
                (self.deadline(since, now, spent), spent.max(now - since))
            };
            if deadline <= now {
                return Err(container_cannot_start(&snapshot.job.reference, trouble, waited));
            }
            wait_until(deadline);
        }

        if idle {
            let since = *self.idle_since.get_or_insert(now);
            let deadline = self.deadline(since, now, spent);
            if deadline <= now {
                return Err(nothing_runs(snapshot, spent.max(now - since)));
            }
            wait_until(deadline);
        } else {
            self.idle_since = None;
        }
        Ok(next)
    }

    /// The moment to give up a state that was first seen at `since`, and that had lasted for `spent` before, if another
    /// follower saw it.
    fn deadline(&self, since: Instant, now: Instant, spent: Duration) -> Instant {
        let of_all = (now + self.limit.saturating_sub(spent)).max(since + AT_LEAST);
        of_all.min(since + self.limit)
    }
}

/// How long ago the Job began, or was resumed, or the Pod that it waits for was made. The Pod counts because an earlier
/// one may have run and gone without being counted, as Pods that a disruption ends do.
fn since_start(snapshot: &JobSnapshot, time: Timestamp) -> Duration {
    let job = &snapshot.job.job;
    let status = job.status.as_ref();
    // The controller writes `startTime` again when it sees that a Job was resumed; until then the old one stands there.
    let conditions = status.and_then(|status| status.conditions.as_ref());
    if conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Suspended" && one.status == "True")) {
        return Duration::ZERO;
    }
    let started = status.and_then(|status| status.start_time.as_ref()).or(job.metadata.creation_timestamp.as_ref());
    let living = snapshot.pods.values().filter(|seen| !seen.gone);
    let oldest_pod = living.filter_map(|seen| seen.pod.metadata.creation_timestamp.as_ref()).map(|made| made.0).min();
    let since = started.map(|started| started.0).max(oldest_pod).map(|begin| time.duration_since(begin));
    since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
}

/// Whether any container has started, or any Pod has ended, even if it is gone now.
fn anything_started(snapshot: &JobSnapshot) -> bool {
    let status = snapshot.job.job.status.as_ref();
    let ended = status.is_some_and(|status| status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0) > 0);
    ended || snapshot.pods.values().any(|seen| all_containers(&seen.pod).any(has_started))
}

/// Whether the Job has Pods of which none was seen: the right to see them is missing, or there is no answer yet.
fn blind(snapshot: &JobSnapshot) -> bool {
    snapshot.pods.is_empty() && snapshot.job.job.status.as_ref().is_some_and(|status| status.active.unwrap_or(0) > 0)
}

/// Whether no Pod runs and the next one is overdue rather than in the controller's own backoff.
fn idle(snapshot: &JobSnapshot) -> bool {
    let waiting = snapshot.pods.values().filter(|seen| !seen.gone).any(|seen| pending(&seen.pod));
    let running =
        snapshot.pods.values().filter(|seen| !seen.gone).any(|seen| {
            all_containers(&seen.pod).any(|c| c.state.as_ref().is_some_and(|state| state.running.is_some()))
        });
    !running && (waiting || (snapshot.pods.is_empty() && !anything_started(snapshot)))
}

fn pending(pod: &Pod) -> bool {
    pod.status.as_ref().is_none_or(|status| status.phase.as_deref().is_none_or(|phase| phase == "Pending"))
}

fn managed_elsewhere(snapshot: &JobSnapshot) -> bool {
    snapshot.job.job.spec.as_ref().is_some_and(managed_by_another)
}

fn troubles(snapshot: &JobSnapshot) -> BTreeMap<(String, String), StartupTrouble> {
    let mut found = BTreeMap::new();
    for (uid, seen) in snapshot.pods.iter().filter(|(_, seen)| !seen.gone) {
        for container in all_containers(&seen.pod) {
            let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if HOPELESS.contains(&reason) || PATIENT.contains(&reason) {
                let trouble = StartupTrouble {
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

/// The error says after which time and for which reason the Job was given up; the findings say why, and what to do.
fn container_cannot_start(job: &JobReference, trouble: &StartupTrouble, waited: Duration) -> Error {
    let StartupTrouble { pod, container, reason, message } = trouble;
    let what = format!("Container `{container}` of Pod `{}/{pod}` cannot start: {reason}", job.namespace);
    let report = report(job, what, reason).seen(format!("given up after {} s", waited.as_secs()));
    Error::JobStartup(Box::new(report.seen(message.clone())))
}

fn nothing_runs(snapshot: &JobSnapshot, waited: Duration) -> Error {
    let job = &snapshot.job.reference;
    let late = format!("{job} did not start within {} s", waited.as_secs());
    let pods = snapshot.pods();
    let condition = |pod: &Pod| {
        let conditions = pod.status.as_ref()?.conditions.clone()?;
        let unscheduled = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some((pod.metadata.name.clone()?, unscheduled.message.unwrap_or_default()))
    };
    let report = if let Some((pod, message)) = pods.iter().find_map(|pod| condition(pod)) {
        report(job, format!("{late}: Pod `{pod}` cannot be scheduled"), "Unschedulable").seen(message)
    } else if let Some(event) = snapshot.events.iter().rev().find(|e| e.type_.as_deref() == Some("Warning")) {
        let reason = event.reason.clone().unwrap_or_default();
        report(job, format!("{late}: {reason}"), &reason).seen(event.message.clone().unwrap_or_default())
    } else if let Some(pod) = pods.iter().find(|pod| !main_containers(pod).any(has_started)) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        report(job, format!("{late}: Pod `{name}` is pending"), "Pending")
            .hint(Command::kubectl_in(&job.namespace, &["describe", "pod"]).name(&name).comment("shows its Events"))
    } else {
        report(job, format!("{late}: it has no Pod"), "NoPod")
            .hint("check that kube-controller-manager works: `kubectl -n kube-system get pods`")
    };
    Error::JobStartup(Box::new(report))
}

fn report(job: &JobReference, what: String, reason: &str) -> Report {
    job.report(what).fact("reason", reason)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    const LIMIT: Duration = Duration::from_secs(600);

    fn snapshot(spec: &Value, pods: &[Value]) -> JobSnapshot {
        view_with(spec, &json!({}), pods)
    }

    fn view_with(spec: &Value, status: &Value, pods: &[Value]) -> JobSnapshot {
        let metadata = json!({"namespace": "etl", "name": "train", "uid": "u", "creationTimestamp": MADE});
        let job = json!({"metadata": metadata, "spec": spec, "status": status});
        let mut snapshot = JobSnapshot::new(ObservedJob::read(&job).unwrap());
        for pod in pods {
            snapshot.apply_pod_object(pod.clone(), false);
        }
        snapshot
    }

    fn job(pods: &[Value]) -> JobSnapshot {
        snapshot(&json!({"template": {}}), pods)
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

    /// When the Jobs of these tests are made.
    const MADE: &str = "2026-01-01T00:00:00Z";

    /// So many seconds after that.
    fn at(seconds: u64) -> Timestamp {
        MADE.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
    }

    /// When a view that never changes is given up, and with which words.
    fn given_up(snapshot: &JobSnapshot) -> Option<(Duration, String)> {
        given_up_by_a_follower_of(0, snapshot)
    }

    /// The same, where the following begins so many seconds after the Job was made.
    fn given_up_by_a_follower_of(seconds: u64, snapshot: &JobSnapshot) -> Option<(Duration, String)> {
        let begin = Instant::now();
        let mut startup = StartupTimeout::new(LIMIT);
        let mut now = begin;
        for _ in 0..10 {
            match startup.evaluate(now, at(seconds) + (now - begin), snapshot) {
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
        let mut snapshot = job(&[]);
        let event = json!({"metadata": {}, "type": "Warning", "reason": "FailedCreate", "message": "pods \"x\" is forbidden: exceeded quota: q",
            "involvedObject": {"uid": "u"}});
        snapshot.events = vec![serde_json::from_value(event).unwrap()];
        let (after, words) = given_up(&snapshot).unwrap();
        assert_eq!(after, LIMIT);
        assert!(words.contains("exceeded quota"), "{words}");
    }

    #[tokio::test]
    async fn nothing_is_given_up_while_suspended_running_or_managed_by_another_controller() {
        assert!(given_up(&snapshot(&json!({"template": {}, "suspend": true}), &[])).is_none());
        assert!(given_up(&snapshot(&json!({"template": {}, "managedBy": "kueue.x-k8s.io/multikueue"}), &[])).is_none());
        assert!(given_up(&job(&[running()])).is_none());
    }

    #[tokio::test]
    async fn progress_starts_the_timer_anew() {
        let begin = Instant::now();
        let mut startup = StartupTimeout::new(LIMIT);
        let mut look =
            |seconds: u64, pod| startup.evaluate(begin + Duration::from_secs(seconds), at(seconds), &job(&[pod]));
        look(0, waiting("ImagePullBackOff")).unwrap();
        look(300, running()).unwrap();
        let again = look(599, waiting("ImagePullBackOff")).unwrap();
        assert_eq!(again, Some(begin + Duration::from_secs(599) + LIMIT));
    }

    #[tokio::test]
    async fn what_others_have_waited_counts_but_everybody_looks_for_a_while() {
        let cases = [(0, 600), (200, 400), (570, 30), (599, 30), (86_400, 30)];
        for (begins, lasts) in cases {
            for pods in [&[] as &[Value], &[waiting("ImagePullBackOff")]] {
                let (after, words) = given_up_by_a_follower_of(begins, &job(pods)).unwrap();
                assert_eq!(after, Duration::from_secs(lasts), "{begins}: {words}");
                assert!(words.contains(&format!("{} s", begins + lasts)), "{words}");
            }
        }
        let begin = Instant::now();
        let short = StartupTimeout::new(Duration::from_secs(10)).evaluate(begin, at(600), &job(&[])).unwrap();
        assert_eq!(short, Some(begin + Duration::from_secs(10)), "no longer than without anybody before");
    }

    #[tokio::test]
    async fn what_others_have_waited_counts_from_the_resumption_and_not_once_anything_has_started() {
        let plain = json!({"template": {}});
        let resumed =
            json!({"startTime": "2026-01-01T00:05:00Z", "conditions": [{"type": "Suspended", "status": "False"}]});
        let being_resumed = json!({"startTime": MADE, "conditions": [{"type": "Suspended", "status": "True"}]});
        let restarted = json!({"metadata": {"name": "q", "uid": "q"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 1,
             "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}});
        let mut replacement = waiting("ErrImagePull");
        replacement["metadata"]["creationTimestamp"] = json!("2026-01-01T00:08:00Z");
        let cases = [
            ("resumed five minutes ago", view_with(&plain, &resumed, &[]), 300),
            ("being resumed", view_with(&plain, &being_resumed, &[]), 600),
            ("a Pod has failed", view_with(&plain, &json!({"failed": 1}), &[waiting("ErrImagePull")]), 600),
            ("it has run", job(&[restarted]), 600),
            ("the Pod before has gone uncounted", job(&[replacement]), 480),
        ];
        for (name, snapshot, lasts) in cases {
            let (after, _) = given_up_by_a_follower_of(600, &snapshot).unwrap();
            assert_eq!(after, Duration::from_secs(lasts), "{name}");
        }
    }

    #[tokio::test]
    async fn job_whose_pods_nobody_sees_is_not_given_up() {
        let plain = json!({"template": {}});
        for status in [json!({"active": 1, "ready": 1}), json!({"active": 1}), json!({"failed": 1})] {
            assert!(given_up(&view_with(&plain, &status, &[])).is_none(), "{status}");
        }
        assert!(given_up(&view_with(&plain, &json!({"active": 0}), &[])).is_some());
    }

    #[tokio::test]
    async fn job_that_is_paused_is_not_given_up_and_one_that_is_resumed_has_its_whole_time() {
        for paused in [json!({"template": {}, "suspend": true}), json!({"template": {}, "parallelism": 0})] {
            assert!(given_up(&snapshot(&paused, &[])).is_none(), "{paused}");
            assert!(given_up(&snapshot(&paused, &[waiting("ErrImagePull")])).is_none(), "{paused}");
            let begin = Instant::now();
            let mut startup = StartupTimeout::new(LIMIT);
            startup.evaluate(begin, at(0), &snapshot(&paused, &[])).unwrap();
            let day = Duration::from_secs(86_400);
            let next = startup.evaluate(begin + day, at(86_400), &job(&[])).unwrap();
            assert_eq!(next, Some(begin + day + LIMIT), "{paused}");
        }
    }

    #[tokio::test]
    async fn pause_of_the_controllers_backoff_after_a_failed_pod_is_not_counted() {
        let mut snapshot = job(&[]);
        snapshot.apply_pod_object(json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Failed"}}), false);
        assert!(given_up(&snapshot).is_none());
    }
}
