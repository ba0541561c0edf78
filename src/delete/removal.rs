//! Until a Job is gone: the one loop of everybody who deletes a Job, or waits for the end of somebody else's deletion.
//!
//! Promise: gone means that a GET by name finds nothing or another uid; an outage proves nothing and is waited for, as long
//! as there is time. A Job that the garbage collector holds is freed where the rule says so. A deletion is over once the
//! Pods have stopped, too. What the callers differ in is data: whose deletion it is ([`DeletedBy`]), the [`ReleaseRule`],
//! whether a watch shows the Jobs, who is told meanwhile, and the deadline.
//! Cost of a Job that goes at once: DELETE, GET, and a list of Pods that up to a hundred Jobs share.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    deleted_by::DeletedBy,
    job_watch::{JobStates, JobWatch},
    owned::NO_ANSWER,
    pods::{FoundBy, Ownership, PodsEnd, PodsWatcher},
    release::{
        ReleaseResult, ReleaseRule, ReleaseVerdict, StuckDetector, orphans, release, release_message, resource_versions,
    },
    request::{SkipReason, WaitFor},
    unconfirmed::{may_still_run, not_tried, reasons, still_there},
};
use crate::{
    cluster::{Cluster, Failure, Pauses, retry},
    diagnose::{Facts, Known, Probe, dry_run::by_admission, explain, findings, message},
    error::Error,
    job_api::{api_call::ApiCall, deletes::delete_job, jobs::get_job},
    model::{
        conditions,
        message::{Message, MessageSink},
        observed_job::{JobReference, ObservedJob},
        policies::Propagation,
    },
    resource::Verb,
};

/// A DELETE whose resourceVersion was overtaken by a status update is sent again up to this often.
const CONFLICTS: u32 = 10;
/// DELETEs, and GETs, under way at once.
const AT_ONCE: usize = 16;
/// How long one GET is tried before others have their turn.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// A Job that is on its way out for so long is explained in the log.
const EXPLAIN_AFTER: Duration = Duration::from_secs(12);
/// Of so many Jobs, in the log and again in errors: each costs some five requests.
const EXPLAINED: usize = 5;
/// Pause before its Pods are listed again where the list was not answered.
const LIST_AGAIN: Duration = Duration::from_secs(2);

/// How Jobs are removed, one or many of them at once.
pub(crate) struct Removal<'a> {
    /// For the last GET, and for the reasons, also asked after the deadline.
    pub cluster: &'a Cluster,
    /// When the wait ends.
    pub deadline: Instant,
    /// Which Jobs are freed.
    pub release: ReleaseRule,
    /// What shows the Jobs; without it they are asked for, with growing pauses.
    pub watch: Option<&'a JobWatch>,
    /// Who hears what happens meanwhile, and why a Job does not go.
    pub messages: Option<&'a dyn MessageSink>,
    /// DELETEs under way at once.
    pub deletes: Semaphore,
    /// GETs under way at once.
    pub gets: Semaphore,
    /// How many Jobs were explained.
    pub explained: AtomicUsize,
}

/// What became of one Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemovalEnd {
    /// It is gone, and so is its work, but for Pods that were to stay.
    Gone {
        /// Whether it was freed from finalizers of the garbage collector.
        released: bool,
        /// Pods that were deleted from here.
        pods_deleted: BTreeSet<String>,
        /// Pods that stay.
        pods_kept: BTreeSet<String>,
    },
    /// Its deletion was accepted, and nobody waits for more.
    Accepted,
    /// It was left alone.
    Skipped(SkipReason),
}

/// A Job as it was found, and after its DELETE.
pub(crate) struct Sent {
    pub found: ObservedJob,
    newest: ObservedJob,
    /// Whether it is on its way out because of this DELETE.
    by_us: bool,
    skipped: Option<SkipReason>,
}

/// What a state of a Job means to whoever waits until it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It is waited for.
    GoOn {
        /// Whether the deletion or the Job is ours, so that `release_stuck="ours"` means it.
        ours: bool,
    },
    /// It is not waited for any more.
    Stop,
}

/// How such a wait ended.
pub(crate) enum WaitEnd {
    /// The Job is gone.
    Gone {
        /// Its last state.
        last: ObservedJob,
        /// Whether it was freed.
        released: bool,
    },
    /// A state of it is not waited for.
    Stopped(ObservedJob),
    /// It is there at the deadline.
    StillThere(ObservedJob),
}

impl<'a> Removal<'a> {
    /// One that frees nothing, watches nothing and tells nobody.
    pub fn new(cluster: &'a Cluster, deadline: Instant) -> Self {
        Self {
            cluster,
            deadline,
            release: ReleaseRule::NEVER,
            watch: None,
            messages: None,
            deletes: Semaphore::new(AT_ONCE),
            gets: Semaphore::new(AT_ONCE),
            explained: AtomicUsize::new(0),
        }
    }

    /// Deletes one Job that was found, and returns once it is gone and its work has stopped.
    pub async fn delete(&self, by: DeletedBy<'_>, found: ObservedJob, pods: &PodsWatcher) -> Result<RemovalEnd, Error> {
        let sent = self.send(by, found).await?;
        self.confirm(by, sent, pods).await
    }

    /// Sends the DELETE, with the uid, and with the resourceVersion where what was seen decided.
    pub async fn send(&self, by: DeletedBy<'_>, found: ObservedJob) -> Result<Sent, Error> {
        let _permit = self.deletes.acquire().await;
        let cluster = if by.deletes_late() { self.cluster.clone() } else { self.in_time() };
        let sent = |found, newest, by_us| Ok(Sent { found, newest, by_us, skipped: None });
        let mut job = found.clone();
        let pauses = Pauses::new(self.cluster.next_seed());
        for conflict in 0.. {
            pauses.soon().await;
            if let Some(why) = by.skips(&job)? {
                return Ok(Sent { found, newest: job, by_us: false, skipped: Some(why) });
            }
            if job.deletion_timestamp().is_some() {
                // A DELETE of ours whose reply was lost is ours, unless somebody's left another trace.
                let by_us = conflict > 0 && orphans(&job) == (by.propagation() == Propagation::Orphan);
                return sent(found, job, by_us);
            }
            if !by.deletes_late() && Instant::now() >= self.deadline {
                return Err(not_tried(&job.reference));
            }
            let version = by.judges_state().then_some(job.resource_version.as_str());
            match delete_job(&cluster, &job.reference, by.propagation(), version).await {
                Ok(answer) if answer["kind"] == "Status" => return sent(found, job, false),
                // An answer that is no Job says no more than that the DELETE was accepted: a GET tells.
                Ok(object) => return sent(found, ObservedJob::read(&object).unwrap_or(job), true),
                Err(failure) if failure.is_not_found() => return sent(found, job, false),
                // Changed, or replaced, since it was read.
                Err(failure) if failure.code() == Some(409) && conflict < CONFLICTS => {
                    let newer = self.get(&cluster, &job.reference, ANSWERED_WITHIN).await;
                    match newer.map_err(|failure| ApiCall::GetJob(&job.reference).failed(failure, None))? {
                        Some(newer) => job = newer,
                        None => return sent(found, job, false),
                    }
                }
                Err(failure) => return Err(self.refused(job, failure)),
            }
        }
        unreachable!("the last conflict returns")
    }

    /// Returns once the Job is gone and its Pods have stopped.
    pub async fn confirm(&self, by: DeletedBy<'_>, sent: Sent, pods: &PodsWatcher) -> Result<RemovalEnd, Error> {
        let Sent { found, newest, by_us, skipped } = sent;
        match skipped {
            Some(why) => return Ok(RemovalEnd::Skipped(why)),
            None if by.waits_for() == WaitFor::Accepted => return Ok(RemovalEnd::Accepted),
            None => {}
        }
        let job = &found.reference;
        if let Some(since) = found.deletion_timestamp() {
            let text = format!("{job} is being deleted already since {since}");
            self.tell(Message::info("already-deleting", text));
        }
        let orphaned = orphans(&found) || orphans(&newest);
        let ours = |job: &ObservedJob| Wait::GoOn { ours: by_us || job.attempt_metadata.is_some() };
        let released = match self.until_gone(newest, &ours).await? {
            WaitEnd::Gone { released, .. } => released,
            WaitEnd::Stopped(seen) | WaitEnd::StillThere(seen) => {
                return Err(still_there(self.cluster, &seen, self.may_explain()).await);
            }
        };
        let foreign = found.deletion_timestamp().is_some() && found.attempt_metadata.is_none();
        let whose = by.ownership(orphaned, foreign);
        let end = match pods.ended(job, FoundBy::of(&found), whose, self.deadline).await {
            Ok(end) => end,
            // The Job had ended; Pods that may not be seen are the garbage collector's. An owner wants to see it.
            Err(failure)
                if failure.is_forbidden()
                    && whose != Ownership::Owned
                    && conditions::finished(&found.job).is_some() =>
            {
                PodsEnd::default()
            }
            Err(failure) => return Err(ApiCall::ListPods(job).failed(failure, None)),
        };
        if !end.live.is_empty() {
            return Err(may_still_run(self.cluster, job, &end.live, self.may_explain()).await);
        }
        Ok(RemovalEnd::Gone { released, pods_deleted: end.deleted, pods_kept: end.kept })
    }

    /// Waits until the Job is gone, frees it where that is due, and says why it does not go. `judge` is asked about each
    /// state whether it is still waited for.
    pub async fn until_gone(
        &self,
        mut job: ObservedJob,
        judge: &(dyn Fn(&ObservedJob) -> Wait + Sync),
    ) -> Result<WaitEnd, Error> {
        let begin = Instant::now();
        let mut states = JobStates::new(self.watch, job.reference.clone(), self.cluster.next_seed());
        let mut detector = StuckDetector::new(self.release, begin, self.under_way(&job));
        let mut judged = job.resource_version.clone();
        let mut next_release = Some(begin + detector.pause(begin));
        let mut explain = self.messages.map(|_| begin + EXPLAIN_AFTER);
        loop {
            let last = Instant::now() >= self.deadline;
            if states.next_get() <= Instant::now() || last {
                let answered = if last {
                    self.get(self.cluster, &job.reference, NO_ANSWER).await
                } else {
                    self.get(&self.in_time(), &job.reference, ANSWERED_WITHIN).await
                };
                match answered {
                    Ok(None) => return Ok(WaitEnd::Gone { last: job, released: detector.released }),
                    Ok(Some(newer)) => job = newer,
                    Err(failure) if retry::may_repeat(Verb::Get, &failure) && !last => {}
                    Err(failure) => return Err(ApiCall::GetJob(&job.reference).failed(failure, None)),
                }
                states.asked();
            }
            if last {
                return Ok(WaitEnd::StillThere(job));
            }
            let Wait::GoOn { ours } = judge(&job) else { return Ok(WaitEnd::Stopped(job)) };
            if job.resource_version != judged {
                judged.clone_from(&job.resource_version);
                // What kept it from being freed may be gone.
                next_release.get_or_insert_with(Instant::now);
            }
            if next_release.is_some_and(|at| at <= Instant::now()) {
                next_release = self.release_if_stuck(&job, ours, &mut detector, &mut states).await?;
            }
            if explain.take_if(|at| *at <= Instant::now()).is_some() {
                self.explain(&job).await;
            }
            let timers = [Some(states.next_get()), next_release, explain];
            let timer = timers.into_iter().flatten().fold(self.deadline, Instant::min);
            tokio::select! {
                newer = states.next() => if let Some(newer) = newer { job = Arc::unwrap_or_clone(newer) },
                () = tokio::time::sleep_until(timer) => {}
            }
        }
    }

    /// Frees the Job where that is due. Returns when it is judged again; `None` where only a change of it can matter.
    async fn release_if_stuck(
        &self,
        job: &ObservedJob,
        ours: bool,
        detector: &mut StuckDetector,
        states: &mut JobStates<'_>,
    ) -> Result<Option<Instant>, Error> {
        let kept = detector.released || self.release.keeps(ours, job.finalizers()).is_some();
        if kept || job.deletion_timestamp().is_none() {
            return Ok(None);
        }
        let cluster = self.in_time();
        let versions = match resource_versions(&cluster, job).await {
            Ok(versions) => versions,
            Err(failure) if retry::may_repeat(Verb::List, &failure) => {
                return Ok(Some(Instant::now() + LIST_AGAIN));
            }
            Err(failure) => return Err(ApiCall::ListPods(&job.reference).failed(failure, None)),
        };
        if let ReleaseVerdict::CheckAgain(pause) = detector.observe(Instant::now(), versions) {
            return Ok(Some(Instant::now() + pause));
        }
        let freed = release(&cluster, job).await;
        let freed = freed.map_err(|failure| ApiCall::FreeJob(&job.reference).failed(failure, None))?;
        states.ask();
        if freed == ReleaseResult::Changed {
            return Ok(Some(Instant::now() + LIST_AGAIN));
        }
        detector.released = true;
        self.tell(release_message(job));
        Ok(None)
    }

    async fn explain(&self, job: &ObservedJob) {
        if job.deletion_timestamp().is_none() || !self.may_explain() {
            return;
        }
        let found = reasons(&self.in_time(), &job.reference).await;
        for finding in &found {
            self.tell(message(finding));
        }
        if found.is_empty() {
            self.tell(Message::warning("job-not-gone", format!("{} is still being deleted", job.reference)));
        }
    }

    fn may_explain(&self) -> bool {
        self.explained.fetch_add(1, Ordering::Relaxed) < 2 * EXPLAINED
    }

    /// The API server's no, with the reason that it shows.
    fn refused(&self, job: ObservedJob, failure: Failure) -> Error {
        let reference = job.reference.clone();
        let mut facts = Facts::new(self.cluster.now(), reference.clone(), Some(Arc::new(job)));
        facts.job_delete = Known::Seen(Probe::Refused(failure.message()));
        let limit = Some(self.cluster.timing().retry_for);
        let admission = by_admission(&failure);
        let error = ApiCall::DeleteJob(&reference).failed(failure, limit);
        if admission { error.with_report(|report| explain(report, &findings(&facts))) } else { error }
    }

    fn tell(&self, message: Message) {
        if let Some(messages) = self.messages {
            messages.emit(message);
        }
    }

    /// The cluster for what is asked before the deadline.
    fn in_time(&self) -> Cluster {
        self.cluster.until(self.deadline)
    }

    async fn get(
        &self,
        cluster: &Cluster,
        job: &JobReference,
        within: Duration,
    ) -> Result<Option<ObservedJob>, Failure> {
        let _permit = self.gets.acquire().await;
        get_job(&cluster.until(Instant::now() + within), job).await
    }

    /// How long a deletion has been under way, by the clock of the API server.
    fn under_way(&self, job: &ObservedJob) -> Duration {
        let since = job.deletion_timestamp().map(|time| self.cluster.now().duration_since(time));
        since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
    }
}
