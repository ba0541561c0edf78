//! Frees a Job that waits for the garbage collector: when (pure), and how.
//!
//! `orphan` and `foregroundDeletion` are removed by the garbage collector of kube-controller-manager alone. Where it is
//! frozen, away, or its UPDATE is refused by a webhook, they stay for ever. A second DELETE with the policy Background
//! strips both in the API server itself: it is no UPDATE, needs no garbage collector and only the verb `delete`.
//! Source: `deletionFinalizersForGarbageCollection` in kubernetes `apiserver/pkg/registry/generic/registry/store.go`.
//! What a finalizer of anybody else stands for is not known here, so it is never touched.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::pods;
use crate::{
    cluster::{Cluster, Failure},
    job_api::{deletes::delete_job, jobs::get_job},
    model::{
        message::Message,
        observed_job::ObservedJob,
        policies::{Propagation, ReleasePolicy},
    },
};

/// Two checks between which nothing changed are at least this far apart.
const APART: Duration = Duration::from_secs(1);
/// The same, after something has changed again and again.
const FAR_APART: Duration = Duration::from_secs(5);
/// The last check but one comes this long before a Job may be released.
const AHEAD: Duration = Duration::from_secs(5);

/// The garbage collector's own finalizers.
pub const OF_GARBAGE_COLLECTOR: [&str; 2] = ["orphan", "foregroundDeletion"];

/// What to do about a Job that is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseVerdict {
    /// Release it now.
    Release,
    /// Check again after this long.
    CheckAgain(Duration),
}

/// Why a stuck Job is not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stuck {
    /// A finalizer that only its owner may remove.
    ForeignFinalizer,
    /// The policy is `never`.
    Policy,
    /// Its deletion was not ours, and neither is the Job.
    NotOurs,
    /// Nothing holds it: the API server is about to remove it.
    NothingHolds,
}

/// Which Jobs are released, and after how long without progress.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseRule {
    /// Which Jobs.
    pub policy: ReleasePolicy,
    /// How long a Job must have been on its way out.
    pub after: Duration,
}

impl ReleaseRule {
    /// The rule that releases nothing.
    pub const NEVER: Self = Self { policy: ReleasePolicy::Never, after: Duration::ZERO };

    /// Why a Job with these finalizers is not released, whatever time passes.
    pub(crate) fn keeps(self, ours: bool, finalizers: &[String]) -> Option<Stuck> {
        let foreign = |finalizer: &String| !OF_GARBAGE_COLLECTOR.contains(&finalizer.as_str());
        if finalizers.is_empty() {
            Some(Stuck::NothingHolds)
        } else if finalizers.iter().any(foreign) {
            Some(Stuck::ForeignFinalizer)
        } else {
            match self.policy {
                ReleasePolicy::Never => Some(Stuck::Policy),
                ReleasePolicy::Ours if !ours => Some(Stuck::NotOurs),
                ReleasePolicy::Ours | ReleasePolicy::Gc => None,
            }
        }
    }
}

/// How long a Job has stood still while it was being deleted.
#[derive(Debug, Clone)]
pub struct StuckDetector {
    rule: ReleaseRule,
    first_observed: Instant,
    /// How long its deletion was under way when it was seen first.
    before: Duration,
    last_observation: Option<(Instant, ResourceVersions)>,
    /// How often something had moved when its time had come.
    moves: u32,
    /// Whether it was released.
    pub(super) released: bool,
}

/// What changes when anything moves: the versions of the Job and of its Pods.
pub type ResourceVersions = Vec<(String, String)>;

impl StuckDetector {
    /// Begins with a Job whose deletion has been under way for so long, by its `deletionTimestamp`.
    #[must_use]
    pub fn new(rule: ReleaseRule, now: Instant, under_way: Duration) -> Self {
        Self { rule, first_observed: now, before: under_way, last_observation: None, moves: 0, released: false }
    }

    /// Judges a new state of the Job and its Pods. A Job is released only if nothing changed between two checks.
    pub fn observe(&mut self, now: Instant, fingerprint: ResourceVersions) -> ReleaseVerdict {
        let is_due = self.due_in(now).is_zero();
        match &self.last_observation {
            Some((at, before)) if *before == fingerprint => {
                if is_due && now.saturating_duration_since(*at) >= self.apart() {
                    return ReleaseVerdict::Release;
                }
            }
            last_observation => {
                self.moves += u32::from(is_due && last_observation.is_some());
                self.last_observation = Some((now, fingerprint));
            }
        }
        ReleaseVerdict::CheckAgain(self.pause(now))
    }

    /// The pause until the next check. Two checks matter: one is [`AHEAD`] of the moment at which the Job may be released,
    /// and one is at that moment.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Duration {
        let due_in = self.due_in(now);
        let until_the_last_two = due_in.saturating_sub(AHEAD);
        if !until_the_last_two.is_zero() {
            return until_the_last_two;
        }
        let Some((at, _)) = &self.last_observation else { return Duration::ZERO };
        due_in.max(self.apart().saturating_sub(now.saturating_duration_since(*at)))
    }

    fn due_in(&self, now: Instant) -> Duration {
        self.rule.after.saturating_sub(self.before + now.saturating_duration_since(self.first_observed))
    }

    /// The checks grow further apart while another client changes the Job.
    fn apart(&self) -> Duration {
        (APART * 2_u32.saturating_pow(self.moves.saturating_sub(1))).min(FAR_APART)
    }
}

/// Whether a Job's Pods lose, or may have lost, their owner with it.
#[must_use]
pub(crate) fn orphans(job: &ObservedJob) -> bool {
    job.finalizers().iter().any(|finalizer| finalizer == "orphan")
}

/// What is compared between two checks. Without the right to list Pods it is the Job alone.
pub async fn resource_versions(cluster: &Cluster, job: &ObservedJob) -> Result<ResourceVersions, Failure> {
    let mut versions = match pods::versions(cluster, &job.reference).await {
        Ok(versions) => versions,
        Err(failure) if failure.is_forbidden() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    versions.push((job.reference.uid.clone(), job.resource_version.clone()));
    Ok(versions)
}

/// What became of the second DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseResult {
    /// It was accepted, or the Job was gone: a GET shows which.
    Sent,
    /// The Job is not as it was seen: check again.
    Changed,
}

/// Sends the second DELETE, with the policy Background, if the Job is exactly as it was seen.
///
/// A GET right before shows that. The DELETE itself names the uid alone: one that takes finalizers away and names a
/// resourceVersion is always refused with 409 (Kubernetes 1.36: `Precondition failed: ResourceVersion in precondition: ,
/// ResourceVersion in object meta: 580`).
pub async fn release(cluster: &Cluster, job: &ObservedJob) -> Result<ReleaseResult, Failure> {
    match get_job(cluster, &job.reference).await? {
        None => return Ok(ReleaseResult::Sent),
        Some(newer) if newer.resource_version != job.resource_version => return Ok(ReleaseResult::Changed),
        Some(_) => {}
    }
    match delete_job(cluster, &job.reference, Propagation::Background, None).await {
        Ok(_) => Ok(ReleaseResult::Sent),
        // Gone, or another Job has its name.
        Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(ReleaseResult::Sent),
        Err(failure) => Err(failure),
    }
}

/// The message about a Job that was released.
#[must_use]
pub fn release_message(job: &ObservedJob) -> Message {
    let text = format!(
        "{} has not changed and is held by {}: a second DELETE (policy Background) releases it",
        job.reference,
        job.finalizers().join(", ")
    );
    Message::warning("job-released", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: ReleaseRule = ReleaseRule { policy: ReleasePolicy::Ours, after: Duration::from_secs(60) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn print(version: &str) -> ResourceVersions {
        vec![("job".into(), version.into())]
    }

    /// The moment at which a Job that never changes is released, from its first check on.
    fn released(under_way: Duration, after: Duration) -> Duration {
        let begin = Instant::now();
        let rule = ReleaseRule { policy: ReleasePolicy::Gc, after };
        let (mut detector, mut now) = (StuckDetector::new(rule, begin, under_way), begin);
        for _ in 0..10 {
            match detector.observe(now, print("1")) {
                ReleaseVerdict::Release => return now - begin,
                ReleaseVerdict::CheckAgain(pause) => now += pause,
            }
        }
        panic!("never decided");
    }

    #[tokio::test]
    async fn job_that_stands_still_is_freed_when_its_time_has_come_and_not_before_a_second_look() {
        let cases = [
            ("the order is there from the beginning", 0, 60, 60),
            ("it comes late", 50, 60, 10),
            ("it comes at the last moment", 59, 60, 1),
            ("it comes too late", 7200, 60, 1),
            ("no time is to pass", 7200, 0, 1),
        ];
        for (name, under_way, after, expected) in cases {
            assert_eq!(released(seconds(under_way), seconds(after)), seconds(expected), "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_looks_long_before_a_job_may_be_freed() {
        let begin = Instant::now();
        let mut detector = StuckDetector::new(OURS, begin, seconds(10));
        assert_eq!(detector.pause(begin), seconds(45));
        let mut observe = |at: u64| {
            let now = begin + seconds(at);
            detector.observe(now, print("1"))
        };
        assert_eq!(observe(45), ReleaseVerdict::CheckAgain(seconds(5)));
        assert_eq!(observe(47), ReleaseVerdict::CheckAgain(seconds(3)), "its time has not come");
        assert_eq!(observe(50), ReleaseVerdict::Release);
    }

    #[tokio::test]
    async fn job_that_moves_is_looked_at_again() {
        let begin = Instant::now();
        let mut detector = StuckDetector::new(OURS, begin, seconds(7200));
        let mut observe = |at: u64, version: &str| {
            let now = begin + seconds(at);
            detector.observe(now, print(version))
        };
        assert_eq!(observe(0, "1"), ReleaseVerdict::CheckAgain(seconds(1)));
        assert_eq!(observe(1, "2"), ReleaseVerdict::CheckAgain(seconds(1)), "a Pod of it has moved");
        assert_eq!(observe(2, "3"), ReleaseVerdict::CheckAgain(seconds(2)), "and again: somebody is at work");
        assert_eq!(observe(3, "3"), ReleaseVerdict::CheckAgain(seconds(1)));
        assert_eq!(observe(4, "4"), ReleaseVerdict::CheckAgain(seconds(4)));
        assert_eq!(observe(8, "5"), ReleaseVerdict::CheckAgain(seconds(5)));
        assert_eq!(observe(13, "6"), ReleaseVerdict::CheckAgain(seconds(5)));
        assert_eq!(observe(18, "6"), ReleaseVerdict::Release);
    }

    #[tokio::test]
    async fn who_is_freed_is_this_table() {
        use ReleasePolicy::{Gc, Never, Ours};
        let cases: [(ReleasePolicy, bool, &[&str], Option<Stuck>); 8] = [
            (Ours, true, &["orphan"], None),
            (Ours, true, &["foregroundDeletion"], None),
            (Ours, false, &["orphan"], Some(Stuck::NotOurs)),
            (Gc, false, &["orphan"], None),
            (Never, true, &["orphan"], Some(Stuck::Policy)),
            (Gc, true, &["example.com/backup"], Some(Stuck::ForeignFinalizer)),
            (Gc, true, &["orphan", "example.com/backup"], Some(Stuck::ForeignFinalizer)),
            (Gc, true, &[], Some(Stuck::NothingHolds)),
        ];
        for (policy, ours, finalizers, expected) in cases {
            let finalizers: Vec<_> = finalizers.iter().map(|text| (*text).to_owned()).collect();
            let rule = ReleaseRule { policy, after: Duration::ZERO };
            assert_eq!(rule.keeps(ours, &finalizers), expected, "{policy:?} {ours} {finalizers:?}");
        }
    }
}
