//! Decides when to give up on a Job that cannot start, because Kubernetes never does. Pure: the time is an argument. Why
//! it cannot start, the findings say.
//!
//! An image name that can never work fails the Job after [`HOPELESS_AFTER`]. Pull and configuration errors, Pods that
//! get no node, and Jobs that get no Pod fail it after the startup timeout. Progress restarts a timer. No timer runs
//! while the Job is paused (suspended, or of parallelism 0), another controller manages it, or it has Pods that cannot
//! be seen here.
//!
//! Followers that follow a Job one after the other share one startup timeout: until anything of the Job has started,
//! the timeout counts from the Job's start by the clock of the API server. Each follower waits for at least
//! [`AT_LEAST`] all the same.
//!
//! A Pod whose init containers run is not idle, so that timeout does not end it. The init timeout does, if there is one:
//! it counts from the start of the first init container of a Pod until another container of it has started. An init
//! container of the restart policy `Always` counts as one of the others.
//!
//! A Job that Kueue has suspended is paused, so neither of these ends it. The queue timeout does, if there is one: it
//! counts from the suspension, which is a new one after an eviction.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use tokio::time::Instant;

use crate::{
    diagnose::{self, Code, Finding, Severity},
    error::Error,
    model::{
        conditions::suspended_since,
        job::managed_by_another,
        observed_job::JobReference,
        pod::{
            all_containers, earliest_start, has_started, init_containers, is_running, is_sidecar, main_containers,
            phase_is_terminal,
        },
        pod_reason::pod_condition,
        snapshot::JobSnapshot,
    },
};

/// The limit that is over, as a user knows it.
const LIMIT_NAME: &str = "startup_timeout_seconds";
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
    /// How long the init containers of a Pod may run.
    init_limit: Option<Duration>,
    /// How long the Job may wait in a queue of Kueue.
    queue_limit: Option<Duration>,
    /// When the first init container of each Pod started, by its uid.
    init_since: BTreeMap<String, Timestamp>,
}

/// Why a Job is given up: after which time, and what is known without the findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    waited: Duration,
    /// A word for programs.
    reason: String,
    /// What does not start, as a sentence.
    what: String,
    /// What Kubernetes says about it.
    message: String,
    /// Which timeout was over.
    limit: &'static str,
}

impl GivenUp {
    /// The error. It begins with the first finding, because a notification shows little more than that.
    #[must_use]
    pub fn error(self, job: &JobReference, found: &[Finding]) -> Error {
        let Self { waited, reason, what, message, limit } = self;
        let why = found.iter().find(|finding| {
            finding.severity != Severity::Info
                || matches!(finding.code, Code::InitContainerWaiting | Code::KueueNotAdmitted)
        });
        let why = why.or(found.first()).map_or(what, |finding| finding.cause.clone());
        let waited = format!("given up after {} s ({limit})", waited.as_secs());
        let report = job.report(format!("Job `{}` did not start: {why}", job.name)).fact("reason", reason).seen(waited);
        let report = if message.is_empty() || !found.is_empty() { report } else { report.seen(message) };
        Error::JobStartup(Box::new(diagnose::explain(report, found)))
    }
}

impl StartupTimeout {
    /// Makes the timers for this startup timeout; none is no limit.
    #[must_use]
    pub fn new(limit: Duration, init_limit: Option<Duration>, queue_limit: Option<Duration>) -> Self {
        Self {
            limit,
            idle_since: None,
            bad_since: BTreeMap::new(),
            went_on: false,
            init_limit,
            queue_limit,
            init_since: BTreeMap::new(),
        }
    }

    /// Returns why to give up now, or the moment of the next evaluation that can matter.
    ///
    /// `now` and `time` are the same moment, `time` by the clock of the API server.
    pub fn evaluate(
        &mut self,
        now: Instant,
        time: Timestamp,
        snapshot: &JobSnapshot,
    ) -> Result<Option<Instant>, GivenUp> {
        if snapshot.job.pause().is_some() || snapshot.end.is_some() || managed_elsewhere(snapshot) {
            self.idle_since = None;
            self.bad_since.clear();
            self.went_on = true;
            return self.queue_timeout(now, time, snapshot);
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
                return Err(GivenUp { waited, ..trouble.clone() });
            }
            wait_until(deadline);
        }

        if let Some((pod, container, since)) = self.oldest_init(snapshot)
            && let Some(limit) = self.init_limit
        {
            let waited = Duration::try_from(time.duration_since(since)).unwrap_or_default();
            if waited >= limit {
                return Err(GivenUp {
                    waited,
                    reason: "InitContainerWaiting".to_owned(),
                    what: format!("init container `{container}` of Pod `{pod}` runs and does not end"),
                    message: String::new(),
                    limit: "init_timeout_seconds",
                });
            }
            wait_until(now + limit.saturating_sub(waited));
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

    /// Whether a Job that is held in a queue has waited for long enough, counted from its suspension.
    fn queue_timeout(
        &self,
        now: Instant,
        server_time: Timestamp,
        snapshot: &JobSnapshot,
    ) -> Result<Option<Instant>, GivenUp> {
        let (Some(limit), Some(queue), None) = (self.queue_limit, snapshot.job.held_in_queue(), &snapshot.end) else {
            return Ok(None);
        };
        let job = &snapshot.job.job;
        let Some(since) = suspended_since(job) else { return Ok(None) };
        let waited = Duration::try_from(server_time.duration_since(since)).unwrap_or_default();
        if waited < limit {
            return Ok(Some(now + limit.saturating_sub(waited)));
        }
        Err(GivenUp {
            waited,
            reason: "KueueNotAdmitted".to_owned(),
            what: format!("Kueue has not admitted it in the queue `{queue}`"),
            message: String::new(),
            limit: "queue_timeout_seconds",
        })
    }

    /// The Pod whose init containers have run for the longest, of those that run: its name, the container, since when.
    fn oldest_init(&mut self, snapshot: &JobSnapshot) -> Option<(String, String, Timestamp)> {
        self.init_limit?;
        let mut running = BTreeMap::new();
        for (uid, seen) in snapshot.pods.iter().filter(|(_, seen)| !seen.gone && !phase_is_terminal(&seen.pod)) {
            if let Some(runs) = init_runs(&seen.pod) {
                running.insert(uid.clone(), (seen.pod.metadata.name.clone().unwrap_or_default(), runs));
            }
        }
        self.init_since.retain(|uid, _| running.contains_key(uid));
        let runs = running.into_iter().map(|(uid, (pod, (container, started)))| {
            // A container that was started again has forgotten when it began.
            let since = self.init_since.entry(uid).or_insert(started);
            *since = (*since).min(started);
            (pod, container, *since)
        });
        runs.min_by_key(|(.., since)| *since)
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
        snapshot.pods.values().filter(|seen| !seen.gone).any(|seen| all_containers(&seen.pod).any(is_running));
    !running && (waiting || (snapshot.pods.is_empty() && !anything_started(snapshot)))
}

fn pending(pod: &Pod) -> bool {
    pod.status.as_ref().is_none_or(|status| status.phase.as_deref().is_none_or(|phase| phase == "Pending"))
}

fn managed_elsewhere(snapshot: &JobSnapshot) -> bool {
    snapshot.job.job.spec.as_ref().is_some_and(managed_by_another)
}

/// The init container of a Pod that comes before all others which still wait, and when the first one started.
fn init_runs(pod: &Pod) -> Option<(String, Timestamp)> {
    if main_containers(pod).any(has_started) {
        return None;
    }
    let inits = || init_containers(pod).filter(|container| !is_sidecar(pod, container));
    let started = inits().filter_map(earliest_start).min()?;
    let done = |container: &&ContainerStatus| {
        let end = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        end.is_some_and(|end| end.exit_code == 0)
    };
    let now = inits().find(|container| !done(container))?;
    Some((now.name.clone(), started))
}

fn troubles(snapshot: &JobSnapshot) -> BTreeMap<(String, String), GivenUp> {
    let mut found = BTreeMap::new();
    for (uid, seen) in snapshot.pods.iter().filter(|(_, seen)| !seen.gone) {
        for container in all_containers(&seen.pod) {
            let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) else { continue };
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if HOPELESS.contains(&reason) || PATIENT.contains(&reason) {
                let pod = seen.pod.metadata.name.as_deref().unwrap_or_default();
                let trouble = GivenUp {
                    waited: Duration::ZERO,
                    reason: reason.to_owned(),
                    what: format!("container `{}` of Pod `{pod}` cannot start: {reason}", container.name),
                    message: waiting.message.clone().unwrap_or_default(),
                    limit: if HOPELESS.contains(&reason) { "waiting cannot help" } else { LIMIT_NAME },
                };
                found.insert((uid.clone(), container.name.clone()), trouble);
            }
        }
    }
    found
}

/// What is known of a Job of which nothing runs, without the findings.
fn nothing_runs(snapshot: &JobSnapshot, waited: Duration) -> GivenUp {
    let pods = snapshot.pods();
    let unscheduled = pods.iter().find_map(|pod| {
        let condition = pod_condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
        Some((pod.metadata.name.clone()?, condition.message.clone().unwrap_or_default()))
    });
    let (reason, what, message) = if let Some((pod, message)) = unscheduled {
        ("Unschedulable", format!("Pod `{pod}` cannot be scheduled"), message)
    } else if let Some(pod) = pods.iter().find(|pod| !main_containers(pod).any(has_started)) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let last = snapshot.events.iter().rfind(|event| event.involved_object.uid == pod.metadata.uid);
        let last = last.map_or_else(String::new, |event| {
            format!("the last Event about it: {}", event.message.as_deref().unwrap_or_default())
        });
        ("Pending", format!("Pod `{name}` is pending, and nothing tells why"), last)
    } else {
        ("NoPod", "it has no Pod, and nothing tells why".to_owned(), String::new())
    };
    GivenUp { waited, reason: reason.to_owned(), what, message, limit: LIMIT_NAME }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    /// The findings about it.
    fn found(snapshot: &JobSnapshot, seconds: u64) -> Vec<Finding> {
        let mut facts =
            diagnose::Facts::new(at(seconds), snapshot.job.reference.clone(), Some(Arc::clone(&snapshot.job)));
        facts.pods = diagnose::Known::Seen(snapshot.pods.values().map(|seen| Arc::clone(&seen.pod)).collect());
        facts.events = diagnose::Known::Seen(snapshot.events.clone());
        facts.given_up = true;
        diagnose::findings(&facts)
    }

    /// The same, where the following begins so many seconds after the Job was made.
    fn given_up_by_a_follower_of(seconds: u64, snapshot: &JobSnapshot) -> Option<(Duration, String)> {
        let begin = Instant::now();
        let mut startup = StartupTimeout::new(LIMIT, None, None);
        let mut now = begin;
        for _ in 0..10 {
            match startup.evaluate(now, at(seconds) + (now - begin), snapshot) {
                Err(error) => {
                    return Some((
                        now - begin,
                        error.error(&snapshot.job.reference, &found(snapshot, seconds)).to_string(),
                    ));
                }
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

    /// A Pod whose init container is in this state, and was started again so often.
    fn initializing(state: &Value, before: &Value, restarts: i32) -> JobSnapshot {
        let status = |name: &str, state: &Value| {
            json!({"name": name, "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state})
        };
        let mut init = status("wait-for-db", state);
        init["lastState"] = before.clone();
        init["restartCount"] = json!(restarts);
        let base = status("base", &json!({"waiting": {"reason": "PodInitializing"}}));
        job(&[json!({"metadata": {"namespace": "etl", "name": "p", "uid": "p"}, "spec": {"containers": []},
            "status": {"phase": "Pending", "initContainerStatuses": [init], "containerStatuses": [base]}})])
    }

    #[tokio::test]
    async fn job_in_a_queue_is_given_up_at_the_queue_timeout_only_and_an_eviction_starts_it_anew() {
        let held = |suspended: &str| {
            let condition = json!({"type": "Suspended", "status": "True", "lastTransitionTime": suspended});
            let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u",
                    "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"kueue.x-k8s.io/queue-name": "team-a"}},
                "spec": {"suspend": true, "template": {}}, "status": {"conditions": [condition]}});
            JobSnapshot::new(ObservedJob::read(&job).unwrap())
        };
        let begin = Instant::now();
        let mut without = StartupTimeout::new(LIMIT, None, None);
        assert_eq!(without.evaluate(begin, at(100_000), &held("2026-01-01T00:00:00Z")), Ok(None));
        let mut timeout = StartupTimeout::new(LIMIT, None, Some(Duration::from_secs(60)));
        let first = held("2026-01-01T00:00:00Z");
        assert_eq!(timeout.evaluate(begin, at(20), &first), Ok(Some(begin + Duration::from_secs(40))));
        assert_eq!(
            timeout.evaluate(begin, at(90), &held("2026-01-01T00:01:20Z")),
            Ok(Some(begin + Duration::from_secs(50)))
        );
        let given_up = timeout.evaluate(begin, at(60), &first).unwrap_err();
        let error = given_up.error(&first.job.reference, &found(&first, 60)).to_string();
        assert!(error.starts_with("Job `train` did not start: Job `etl/train` waits in the queue `team-a`"), "{error}");
        assert!(error.contains("given up after 60 s (queue_timeout_seconds)"), "{error}");
        assert!(timeout.evaluate(begin, at(60), &job(&[])).unwrap().is_some(), "a Job that is not held");
    }

    #[tokio::test]
    async fn init_container_that_does_not_end_is_given_up_at_its_own_limit_only() {
        let waits = initializing(&json!({"running": {"startedAt": "2026-01-01T00:00:10Z"}}), &json!(null), 0);
        let begin = Instant::now();
        let mut without = StartupTimeout::new(LIMIT, None, None);
        assert_eq!(without.evaluate(begin, at(100_000), &waits), Ok(None), "it is not idle");
        let mut timeout = StartupTimeout::new(LIMIT, Some(Duration::from_secs(60)), None);
        assert_eq!(timeout.evaluate(begin, at(30), &waits), Ok(Some(begin + Duration::from_secs(40))));
        // It fails and is started again: the time goes on.
        let ended = json!({"terminated": {"exitCode": 1, "startedAt": "2026-01-01T00:00:10Z"}});
        let again = initializing(&json!({"running": {"startedAt": "2026-01-01T00:00:50Z"}}), &ended, 1);
        assert_eq!(timeout.evaluate(begin, at(65), &again), Ok(Some(begin + Duration::from_secs(5))));
        let given_up = timeout.evaluate(begin, at(70), &again).unwrap_err();
        let error = given_up.error(&again.job.reference, &found(&again, 70)).to_string();
        assert!(
            error.starts_with("Job `train` did not start: Init container `wait-for-db` runs and does not end"),
            "{error}"
        );
        assert!(error.contains("given up after 60 s (init_timeout_seconds)"), "{error}");
        let past = timeout.evaluate(begin, at(100_000), &job(&[running()]));
        assert_eq!(past, Ok(None), "the others have started");
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
        let mut startup = StartupTimeout::new(LIMIT, None, None);
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
        let short =
            StartupTimeout::new(Duration::from_secs(10), None, None).evaluate(begin, at(600), &job(&[])).unwrap();
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
            let mut startup = StartupTimeout::new(LIMIT, None, None);
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
