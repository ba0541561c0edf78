//! Sees one Job of an order to its end: DELETE, gone, its work stopped; frees it where it is stuck and may be freed.

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
    job_watch::{JobWatch, JobWatchState},
    owned::{CONFLICTS, delete_options, may_still_run, reasons, still_there},
    pods::{FoundBy, Ownership, PodsEnd, PodsWatcher},
    release::{
        ReleaseResult, ReleaseVerdict, StuckDetector, never_released, orphans, release, release_message,
        resource_versions,
    },
    request::{DeleteRequest, SkipReason, WaitFor},
};
use crate::{
    cluster::{Cluster, Failure, Pauses, retry},
    diagnose::{Facts, Known, Probe, dry_run::by_admission, explain, findings},
    error::{Error, Report},
    job_api::{api_call::ApiCall, jobs::get_job},
    model::{
        conditions,
        message::{Message, Say},
        observed_job::{JobReference, ObservedJob},
        policies::{Propagation, ReleasePolicy},
    },
    resource::Verb as RequestVerb,
};

/// A Job that is on its way out for so long is explained in the log.
const EXPLAIN_AFTER: Duration = Duration::from_secs(12);
/// Of so many Jobs of one order, in the log and again in errors: each costs some five requests.
const EXPLAINED: usize = 5;
/// Pause before a look at its Pods that was not answered is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the Jobs of one order share.
pub(crate) struct RemovalContext<'a> {
    /// Asks nothing after the deadline.
    pub cluster: &'a Cluster,
    /// For reasons, which are asked for at the deadline.
    pub beyond: &'a Cluster,
    pub order: &'a DeleteRequest,
    pub sightings: &'a JobWatch,
    pub pods: &'a PodsWatcher,
    pub deadline: Instant,
    /// DELETEs under way at once.
    pub deletes: Semaphore,
    /// Looks under way at once.
    pub looks: Semaphore,
    /// How many Jobs were explained.
    pub explained: AtomicUsize,
    pub say: &'a dyn Say,
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

enum Sent {
    Removed,
    Terminating { job: Box<ObservedJob>, by_us: bool },
    Skipped(SkipReason),
}

impl RemovalContext<'_> {
    /// Deletes one Job, as the order says.
    pub async fn delete(&self, job: ObservedJob) -> Result<RemovalEnd, Error> {
        let reference = job.reference.clone();
        let found_terminating = job.deletion_timestamp().is_some();
        let finished = conditions::finished(&job.job).is_some();
        let foreign = found_terminating && job.marks.is_none();
        let found_by = found_by(&job);
        let mut orphaned = orphans(&job);
        let sent = {
            let _permit = self.deletes.acquire().await;
            self.send(job).await?
        };
        let released = match sent {
            Sent::Skipped(why) => return Ok(RemovalEnd::Skipped(why)),
            _ if self.order.wait_for == WaitFor::Accepted => return Ok(RemovalEnd::Accepted),
            Sent::Removed => self.until_gone(&reference, false).await?,
            Sent::Terminating { job, by_us } => {
                orphaned |= orphans(&job);
                if found_terminating {
                    self.say_found_terminating(&job);
                }
                self.until_gone(&reference, by_us).await?
            }
        };
        let whose = match self.order.propagation_policy {
            Propagation::Orphan => Ownership::Kept,
            // Somebody else may have meant to keep them: only an explicit order is stronger.
            _ if orphaned && foreign && self.order.release_stuck != ReleasePolicy::Gc => Ownership::Kept,
            Propagation::Background | Propagation::Foreground if orphaned => Ownership::Orphaned,
            Propagation::Background | Propagation::Foreground => Ownership::Collected,
        };
        let end = match self.pods.ended(&reference, found_by, whose, self.deadline).await {
            Ok(end) => end,
            // The Job had ended; Pods that may not be seen are the garbage collector's.
            Err(failure) if failure.code() == Some(403) && finished => PodsEnd::default(),
            Err(failure) => return Err(ApiCall::ListPods(&reference).failed(failure, None)),
        };
        if !end.live.is_empty() {
            return Err(may_still_run(self.beyond, &reference, &end.live, self.may_explain()).await);
        }
        Ok(RemovalEnd::Gone { released, pods_deleted: end.deleted, pods_kept: end.kept })
    }

    async fn send(&self, mut job: ObservedJob) -> Result<Sent, Error> {
        let pauses = Pauses::new(self.cluster.next_seed());
        for conflict in 0.. {
            pauses.soon().await;
            if let Some(skip) = self.order.skips(&job) {
                return Ok(Sent::Skipped(skip));
            }
            if job.deletion_timestamp().is_some() {
                // A DELETE of ours whose reply was lost is ours, unless somebody's left another trace.
                let by_us = conflict > 0 && orphans(&job) == (self.order.propagation_policy == Propagation::Orphan);
                return Ok(Sent::Terminating { job: Box::new(job), by_us });
            }
            if Instant::now() >= self.deadline {
                return Err(not_tried(&job.reference));
            }
            let version = self.order.judges_state().then_some(job.resource_version.as_str());
            let options = delete_options(self.order.propagation_policy, &job.reference.uid, version);
            match self.cluster.delete(job.reference.object(), &options).await {
                Ok(answer) if answer["kind"] == "Status" => return Ok(Sent::Removed),
                Ok(object) => {
                    return Ok(Sent::Terminating { job: Box::new(ObservedJob::read(&object)?), by_us: true });
                }
                Err(failure) if failure.code() == Some(404) => return Ok(Sent::Removed),
                // Changed, or replaced, since it was read.
                Err(failure) if failure.code() == Some(409) && conflict < CONFLICTS => {
                    match self
                        .get(&job.reference)
                        .await
                        .map_err(|failure| ApiCall::GetJob(&job.reference).failed(failure, None))?
                    {
                        Some(newer) => job = newer,
                        None => return Ok(Sent::Removed),
                    }
                }
                Err(failure) => return Err(self.refused(job, failure)),
            }
        }
        unreachable!("the last conflict returns")
    }

    /// Returns once a GET does not find the Job any more, and whether it had to be freed.
    async fn until_gone(&self, reference: &JobReference, by_us: bool) -> Result<bool, Error> {
        // What goes at once costs no watch.
        let mut job = match self.get(reference).await {
            Ok(None) => return Ok(false),
            Ok(Some(job)) => job,
            Err(failure) => return Err(ApiCall::GetJob(reference).failed(failure, None)),
        };
        let mut states = self.sightings.subscribe(reference);
        let (mut released, mut explained) = (false, false);
        // The watch may tell again and again that it is gone.
        let missing = Pauses::new(self.cluster.next_seed());
        let begin = Instant::now();
        let mut detector = StuckDetector::new(begin, self.under_way(&job));
        let (mut next_look, mut next_release) =
            (begin, Some(begin + detector.pause(begin, self.order.release_after())));
        let explain = begin + EXPLAIN_AFTER;
        loop {
            let last = Instant::now() >= self.deadline;
            if next_look <= Instant::now() || last {
                let cluster = if last { self.beyond } else { self.cluster };
                match self.get_with(cluster, reference).await {
                    Ok(None) => return Ok(released),
                    Ok(Some(newer)) if newer.resource_version == job.resource_version => {}
                    Ok(Some(newer)) => {
                        job = newer;
                        rearm(&mut next_release, released);
                    }
                    // An outage is waited for, as long as the order lasts.
                    Err(failure) if retry::may_repeat(RequestVerb::Get, &failure) && !last => {}
                    Err(failure) => return Err(ApiCall::GetJob(reference).failed(failure, None)),
                }
                next_look = Instant::now() + self.sightings.pause(&states.latest(), begin.elapsed());
            }
            if last {
                return Err(still_there(self.beyond, reference, &job, self.may_explain()).await);
            }
            if next_release.is_some_and(|at| at <= Instant::now()) {
                match self.release_if_stuck(&job, by_us, &mut detector).await? {
                    Release::Judge(next) => next_release = next,
                    Release::Changed => {
                        (next_look, next_release) = (Instant::now(), Some(Instant::now() + LOOK_AGAIN));
                        continue;
                    }
                    Release::Done => {
                        (released, next_look, next_release) = (true, Instant::now(), None);
                        continue;
                    }
                }
            }
            if !explained && explain <= Instant::now() {
                explained = true;
                self.explain(&job).await;
            }
            let timers = [Some(next_look), next_release, (!explained).then_some(explain), Some(self.deadline)];
            let timer = timers.into_iter().flatten().min().unwrap_or(self.deadline);
            tokio::select! {
                state = states.next() => match state {
                    JobWatchState::Present(newer) => {
                        job = Arc::unwrap_or_clone(newer);
                        rearm(&mut next_release, released);
                    }
                    JobWatchState::Unseen => {}
                    JobWatchState::Missing => next_look = next_look.min(missing.next()),
                    blind @ JobWatchState::Blind => {
                        next_look = next_look.min(Instant::now() + self.sightings.pause(&blind, begin.elapsed()));
                    }
                },
                () = tokio::time::sleep_until(timer) => {}
            }
        }
    }

    /// Frees the Job where that is due.
    async fn release_if_stuck(
        &self,
        job: &ObservedJob,
        by_us: bool,
        detector: &mut StuckDetector,
    ) -> Result<Release, Error> {
        let reference = &job.reference;
        // To free a Job whose Pods are to stay would have them collected.
        let policy = match self.order.propagation_policy {
            Propagation::Orphan => ReleasePolicy::Never,
            Propagation::Background | Propagation::Foreground => self.order.release_stuck,
        };
        let ours = by_us || job.marks.is_some();
        if never_released(policy, ours, job.finalizers()).is_some() {
            return Ok(Release::Judge(None));
        }
        let fingerprint = match resource_versions(self.cluster, job).await {
            Ok(fingerprint) => fingerprint,
            Err(failure) if retry::may_repeat(RequestVerb::List, &failure) => {
                return Ok(Release::Judge(Some(Instant::now() + LOOK_AGAIN)));
            }
            Err(failure) => return Err(ApiCall::ListPods(reference).failed(failure, None)),
        };
        let after = self.order.release_after();
        match detector.observe(Instant::now(), fingerprint, after, policy, ours, job.finalizers()) {
            ReleaseVerdict::LookAgain(pause) => Ok(Release::Judge(Some(Instant::now() + pause))),
            ReleaseVerdict::Leave(_) => Ok(Release::Judge(None)),
            ReleaseVerdict::Release => {
                let freed = release(self.cluster, job).await;
                let freed = freed.map_err(|failure| ApiCall::FreeJob(reference).failed(failure, None))?;
                if freed == ReleaseResult::Changed {
                    return Ok(Release::Changed);
                }
                self.say(release_message(job));
                Ok(Release::Done)
            }
        }
    }

    async fn explain(&self, job: &ObservedJob) {
        if !self.may_explain() {
            return;
        }
        let found = reasons(self.cluster, &job.reference).await;
        for finding in &found {
            self.say(Message::warning(finding.code.name(), finding.to_string()));
        }
        if found.is_empty() {
            self.say(Message::warning("job-not-gone", format!("{} is still being deleted", job.reference)));
        }
    }

    fn may_explain(&self) -> bool {
        self.explained.fetch_add(1, Ordering::Relaxed) < 2 * EXPLAINED
    }

    /// The API server's no, with the reason that it shows.
    fn refused(&self, job: ObservedJob, failure: Failure) -> Error {
        let reference = job.reference.clone();
        let mut facts = Facts::new(self.cluster.now(), job.reference.clone(), Some(Arc::new(job)));
        facts.job_delete = Known::Seen(Probe::Refused(failure.message()));
        let limit = Some(self.cluster.timing().retry_for);
        let admission = by_admission(&failure);
        let error = ApiCall::DeleteJob(&reference).failed(failure, limit);
        if admission { error.with_report(|report| explain(report, &findings(&facts))) } else { error }
    }

    fn say_found_terminating(&self, job: &ObservedJob) {
        let since = job.deletion_timestamp().map_or_else(String::new, |time| format!(" since {time}"));
        self.say(Message::info("already-deleting", format!("{} is being deleted already{since}", job.reference)));
    }

    fn say(&self, message: Message) {
        self.say.say(message);
    }

    async fn get(&self, job: &JobReference) -> Result<Option<ObservedJob>, Failure> {
        self.get_with(self.cluster, job).await
    }

    async fn get_with(&self, cluster: &Cluster, job: &JobReference) -> Result<Option<ObservedJob>, Failure> {
        let _permit = self.looks.acquire().await;
        let cluster = cluster.until(Instant::now() + ANSWERED_WITHIN);
        get_job(&cluster, job).await
    }

    /// How long a deletion has been under way, by the clock of the API server.
    fn under_way(&self, job: &ObservedJob) -> Duration {
        let since = job.deletion_timestamp().map(|time| self.cluster.now().duration_since(time));
        since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
    }
}

/// What became of a Job that may be stuck.
enum Release {
    /// It is judged again at this moment, or once it changes.
    Judge(Option<Instant>),
    /// It is not as it was seen any more.
    Changed,
    /// It was freed.
    Done,
}

/// How long one look is tried before others have their turn.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// What kept it from being freed may be gone.
fn rearm(next_release: &mut Option<Instant>, released: bool) {
    if !released {
        next_release.get_or_insert_with(Instant::now);
    }
}

/// By which labels its Pods are found.
fn found_by(job: &ObservedJob) -> FoundBy {
    let spec = job.job.spec.as_ref();
    let by_hand = spec.filter(|spec| spec.manual_selector == Some(true)).and_then(|spec| spec.selector.as_ref());
    let labels = by_hand.and_then(|selector| selector.match_labels.as_ref()).filter(|labels| !labels.is_empty());
    labels.map_or(FoundBy::ControllerUid, |labels| {
        let terms: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        FoundBy::Selector(terms.join(","))
    })
}

fn not_tried(job: &JobReference) -> Error {
    Error::DeletionUnconfirmed(Box::new(
        Report::new(format!("{job} was not deleted: the time of the order was over before its turn"))
            .hint("give the order a longer timeout, or give it again: it goes on where this one ended")
            .fact("name", job.name.clone())
            .fact("namespace", job.namespace.clone())
            .fact("uid", job.uid.clone()),
    ))
}
