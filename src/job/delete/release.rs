//! Frees a Job that waits for the garbage collector: when (pure), and how.
//!
//! `orphan` and `foregroundDeletion` are removed by the garbage collector of kube-controller-manager alone. Where it is
//! frozen, away, or its UPDATE is refused by a webhook, they stay for ever. A second DELETE with the policy Background
//! strips both in the API server itself: it is no UPDATE, needs no garbage collector and only the verb `delete`.
//! Source: `deletionFinalizersForGarbageCollection` in kubernetes `apiserver/pkg/registry/generic/registry/store.go`.
//! What a finalizer of anybody else stands for is not known here, so it is never touched.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{order::Propagation, owned::delete_options, pods};
use crate::{
    cluster::{Cluster, Failure, Resource},
    job::seen::{JobReference, SeenJob},
};

/// The garbage collector's own finalizers.
const OF_GARBAGE_COLLECTOR: [&str; 2] = ["orphan", "foregroundDeletion"];

/// Which stuck Jobs are freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePolicy {
    /// None.
    Never,
    /// Those whose deletion was asked for here, and those that carry our annotations.
    #[default]
    Ours,
    /// Every Job that this order names, whoever deleted it before.
    Gc,
}

/// What to do about a Job that is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Free it now.
    Release,
    /// Look again after this long.
    LookAgain(Duration),
    /// It is not freed from here.
    Leave(Stuck),
}

/// Why a stuck Job is not freed.
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

/// How long a Job has stood still while it was being deleted.
#[derive(Debug, Clone)]
pub struct Standstill {
    seen_first: Instant,
    /// How long its deletion was under way when it was seen first.
    before: Duration,
    looked: Option<(Instant, Fingerprint)>,
}

/// What changes when anything moves: the versions of the Job and of its Pods.
pub type Fingerprint = Vec<(String, String)>;

impl Standstill {
    /// Begins with a Job whose deletion has been under way for so long, by its `deletionTimestamp`.
    #[must_use]
    pub fn new(now: Instant, under_way: Duration) -> Self {
        Self { seen_first: now, before: under_way, looked: None }
    }

    /// Judges a look at the Job and its Pods. A Job is freed only if nothing moved between two looks.
    pub fn look(
        &mut self,
        now: Instant,
        fingerprint: Fingerprint,
        after: Duration,
        policy: ReleasePolicy,
        ours: bool,
        finalizers: &[String],
    ) -> Verdict {
        if let Some(stuck) = never_released(policy, ours, finalizers) {
            return Verdict::Leave(stuck);
        }
        let between = after.clamp(Duration::from_secs(1), Duration::from_secs(5));
        let under_way = self.before + now.saturating_duration_since(self.seen_first);
        let still = self
            .looked
            .as_ref()
            .is_some_and(|(at, before)| now.saturating_duration_since(*at) >= between && *before == fingerprint);
        let moved = self.looked.as_ref().is_none_or(|(_, before)| *before != fingerprint);
        if moved {
            self.looked = Some((now, fingerprint));
        }
        if still && under_way >= after {
            return Verdict::Release;
        }
        // Look a while before the time has come, so that the second look can be decisive.
        let since_look = self.looked.as_ref().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at));
        Verdict::LookAgain(between.saturating_sub(since_look).max(after.saturating_sub(under_way)))
    }
}

/// Why a Job with these finalizers is not freed, whatever time passes.
pub(super) fn never_released(policy: ReleasePolicy, ours: bool, finalizers: &[String]) -> Option<Stuck> {
    let foreign = |finalizer: &String| !OF_GARBAGE_COLLECTOR.contains(&finalizer.as_str());
    if finalizers.is_empty() {
        Some(Stuck::NothingHolds)
    } else if finalizers.iter().any(foreign) {
        Some(Stuck::ForeignFinalizer)
    } else {
        match policy {
            ReleasePolicy::Never => Some(Stuck::Policy),
            ReleasePolicy::Ours if !ours => Some(Stuck::NotOurs),
            ReleasePolicy::Ours | ReleasePolicy::Gc => None,
        }
    }
}

/// Whether a Job's Pods lose, or may have lost, their owner with it.
#[must_use]
pub(super) fn orphans(job: &SeenJob) -> bool {
    job.finalizers().iter().any(|finalizer| finalizer == "orphan")
}

/// What is compared between two looks. Without the right to list Pods the Job alone speaks.
pub async fn fingerprint(cluster: &Cluster, job: &SeenJob) -> Result<Fingerprint, Failure> {
    let mut versions = match pods::versions(cluster, &job.reference).await {
        Ok(versions) => versions,
        Err(failure) if failure.code() == Some(403) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    versions.push((job.reference.uid.clone(), job.resource_version.clone()));
    Ok(versions)
}

/// Sends the second DELETE: with the policy Background and the uid. The Job is gone once a GET finds it no more.
pub async fn release(cluster: &Cluster, job: &JobReference) -> Result<(), Failure> {
    let options = delete_options(Propagation::Background, &job.uid, None);
    match cluster.delete(Resource::Jobs, &job.namespace, &job.name, &options).await {
        Ok(_) => Ok(()),
        // Gone, or another Job has its name.
        Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn print(version: &str) -> Fingerprint {
        vec![("job".into(), version.into())]
    }

    /// The moment at which a Job that never moves is freed, from its first look on.
    fn released(under_way: Duration, after: Duration) -> Option<Duration> {
        let begin = Instant::now();
        let (mut standstill, mut now) = (Standstill::new(begin, under_way), begin);
        for _ in 0..10 {
            match standstill.look(now, print("1"), after, ReleasePolicy::Gc, false, &["orphan".into()]) {
                Verdict::Release => return Some(now - begin),
                Verdict::LookAgain(pause) => now += pause,
                Verdict::Leave(_) => return None,
            }
        }
        panic!("never decided");
    }

    #[tokio::test]
    async fn job_that_stands_still_is_freed_when_its_time_has_come_and_not_before_a_second_look() {
        assert_eq!(released(Duration::ZERO, AFTER), Some(AFTER));
        assert_eq!(released(seconds(50), AFTER), Some(seconds(10)));
        assert_eq!(released(seconds(7200), AFTER), Some(seconds(5)), "two looks are five seconds apart");
        assert_eq!(released(seconds(7200), Duration::ZERO), Some(seconds(1)));
    }

    #[tokio::test]
    async fn job_that_moves_is_looked_at_again() {
        let begin = Instant::now();
        let mut standstill = Standstill::new(begin, seconds(7200));
        let mut look = |at: u64, version: &str| {
            let now = begin + seconds(at);
            standstill.look(now, print(version), AFTER, ReleasePolicy::Ours, true, &["foregroundDeletion".into()])
        };
        assert_eq!(look(0, "1"), Verdict::LookAgain(seconds(5)));
        assert_eq!(look(5, "2"), Verdict::LookAgain(seconds(5)), "a Pod of it has moved");
        assert_eq!(look(10, "2"), Verdict::Release);
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
            assert_eq!(never_released(policy, ours, &finalizers), expected, "{policy:?} {ours} {finalizers:?}");
        }
    }
}
