//! Frees a fixed name: takes over, deletes or waits for the Job that has it, as [`super::decide_fixed_name`] says.
//!
//! Promise: nothing is touched but what this task has made; of anybody else a Job on its way out is waited for, and no
//! more. Every wait ends when the startup timeout has passed since the submission began, with an error that names the
//! Job, its owner and us. A Job of this task that is stuck on its way out is explained, and freed where the user lets
//! us.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::{
    JobOrigin, Submission, Submitted,
    decide_fixed_name::{NameHolder, left_behind, name_holder},
    name_taken,
};
use crate::{
    cluster::{Failure, Pauses},
    delete::{self, ReleaseRule, Removal, Wait, WaitEnd},
    diagnose::{collect::examine, explain, findings},
    error::Error,
    identity,
    job_api::{api_call::ApiCall, owner_patch},
    model::{conditions, message::Message, observed_job::ObservedJob},
};

/// A finished Job is deleted in a moment; what takes longer is waited for, explained, and freed.
const DELETED_WITHIN: Duration = Duration::from_secs(5);

/// What the way was freed from so far.
pub(crate) struct FixedNameClaim<'a> {
    submission: Submission<'a>,
    /// What was said, by uid and code.
    reported: HashSet<(String, String)>,
    /// The uids of earlier tries' Jobs with which there was nothing to go on.
    settled: HashSet<String>,
}

impl<'a> FixedNameClaim<'a> {
    pub(crate) fn new(submission: Submission<'a>) -> Self {
        Self { submission, reported: HashSet::new(), settled: HashSet::new() }
    }

    /// Returns once no Job has the name any more, or with the one that this try goes on with.
    pub(crate) async fn free(&mut self, mut job: ObservedJob) -> Result<Option<Submitted>, Error> {
        let Submission { cluster, request, observer, .. } = self.submission;
        let release = ReleaseRule { policy: request.release_stuck, after: request.release_after() };
        let removal = Removal { release, messages: Some(observer), ..Removal::new(cluster, self.deadline()) };
        // A DELETE without effect is not repeated at once.
        let pauses = Pauses::new(cluster.next_seed());
        loop {
            pauses.turn().await;
            let holder = self.holder(&job);
            match &holder {
                NameHolder::Ours => {
                    let made_by_try = request.attempt.try_number;
                    return Ok(Some(Submitted { job, origin: JobOrigin::Adopted, made_by_try }));
                }
                NameHolder::Superseded(owner) => return Err(owner_patch::taken_over(&job.reference, owner)),
                NameHolder::Foreign => return Err(name_taken(request, &job)),
                NameHolder::Earlier => {
                    self.settled.insert(job.reference.uid.clone());
                    if let Some(inherited) = self.earlier(&job).await? {
                        return Ok(Some(inherited));
                    }
                }
                NameHolder::Delete => self.delete(&job).await?,
                NameHolder::AwaitAcknowledgement | NameHolder::AwaitEnd | NameHolder::AwaitGone { .. } => {
                    self.report_waiting(&job);
                }
            }
            let judge = |newer: &ObservedJob| match self.holder(newer) {
                NameHolder::AwaitGone { ours } if holder == (NameHolder::AwaitGone { ours }) => Wait::GoOn { ours },
                now @ (NameHolder::AwaitAcknowledgement | NameHolder::AwaitEnd) if now == holder => {
                    Wait::GoOn { ours: false }
                }
                _ => Wait::Stop,
            };
            match removal.until_gone(job, &judge).await? {
                WaitEnd::Gone { last, .. } => {
                    self.gone(&last).await?;
                    return Ok(None);
                }
                WaitEnd::Stopped(newer) => job = newer,
                WaitEnd::StillThere(newer) => return Err(self.in_vain(&newer).await),
            }
        }
    }

    /// What the Job means now.
    fn holder(&self, job: &ObservedJob) -> NameHolder {
        let request = self.submission.request;
        match name_holder(&request.attempt, request.lookup, job) {
            NameHolder::Earlier if self.settled.contains(&job.reference.uid) => left_behind(job),
            NameHolder::AwaitAcknowledgement if self.had_its_time(job) => NameHolder::Delete,
            holder => holder,
        }
    }

    fn deadline(&self) -> Instant {
        self.submission.begin + self.submission.request.startup_timeout()
    }

    /// Goes on with an earlier try's Job, or ends it. One that is stuck then is waited for like any other.
    async fn earlier(&self, job: &ObservedJob) -> Result<Option<Submitted>, Error> {
        let Some(metadata) = job.attempt_metadata.clone() else { return Ok(None) };
        match Box::pin(self.submission.earlier(job.clone(), &metadata, None)).await {
            Err(error @ Error::DeletionUnconfirmed(_)) => match self.submission.newest(&job.reference).await? {
                Some(_) => Ok(None),
                None => Err(error),
            },
            settled => settled,
        }
    }

    /// Whoever made it has had the time to read its log to the end.
    fn had_its_time(&self, job: &ObservedJob) -> bool {
        let Some(ended) = conditions::ended_at(&job.job) else { return true };
        // Negative where the clocks differ: then it has just ended.
        let age = Duration::try_from(self.submission.cluster.now().duration_since(ended)).unwrap_or_default();
        age >= self.submission.request.handover_timeout()
    }

    async fn delete(&mut self, job: &ObservedJob) -> Result<(), Error> {
        let Some(metadata) = &job.attempt_metadata else { return Err(name_taken(self.submission.request, job)) };
        let whose = identity::describe(metadata);
        let text = format!("{} has the fixed name and is over: it is deleted first ({whose})", job.reference);
        self.report_once(job, Message::info("predecessor-deleted", text));
        let deleted =
            delete::delete_owned(self.submission.cluster, &job.reference, &metadata.owner, DELETED_WITHIN).await;
        match deleted {
            // It changed hands since it was read, or is not gone yet: the next look judges it anew.
            Ok(()) | Err(Error::TakenOver(_) | Error::DeletionUnconfirmed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The Job is gone: its work must have stopped, too, before ours begins; that of a finished Job has. Pods of a
    /// stranger's are only spoken of.
    async fn gone(&self, job: &ObservedJob) -> Result<(), Error> {
        let Submission { cluster, request, observer, .. } = self.submission;
        let ours = match name_holder(&request.attempt, request.lookup, job) {
            NameHolder::AwaitGone { ours } => ours,
            NameHolder::Foreign => false,
            _ => true,
        };
        if ours && conditions::finished(&job.job).is_some() {
            return Ok(());
        }
        if ours {
            return self.submission.pods_ended(&job.reference).await;
        }
        match delete::pods_ended(cluster, &job.reference, Instant::now()).await {
            Err(error @ Error::DeletionUnconfirmed(_)) => {
                observer.emit(Message::warning("pods-may-still-run", error.to_string()));
                Ok(())
            }
            ended => ended,
        }
    }

    fn report_waiting(&mut self, job: &ObservedJob) {
        let (code, what) = if job.deletion_timestamp().is_some() {
            let held = job.finalizers().join(", ");
            let held = if held.is_empty() { String::new() } else { format!(", held by {held}") };
            ("name-leaving", format!("is being deleted{held}"))
        } else if conditions::finished(&job.job).is_some() {
            ("name-unacknowledged", "has just finished, and its try may still read its log".to_owned())
        } else {
            ("name-in-use", "has not finished".to_owned())
        };
        let whose = job.attempt_metadata.as_ref().map_or_else(|| "an unknown owner".to_owned(), identity::describe);
        let seconds = self.submission.request.startup_timeout_seconds;
        let text =
            format!("{} has the fixed name, belongs to {whose}, and {what}: waiting up to {seconds} s", job.reference);
        self.report_once(job, Message::warning(code, text));
    }

    fn report_once(&mut self, job: &ObservedJob, message: Message) {
        if self.reported.insert((job.reference.uid.clone(), message.code.clone())) {
            self.submission.observer.emit(message);
        }
    }

    /// The error at the end of the startup timeout.
    async fn in_vain(&self, job: &ObservedJob) -> Error {
        let Submission { cluster, request, .. } = self.submission;
        let leaving = job.deletion_timestamp().is_some();
        let state = if leaving { "is still being deleted" } else { "has not finished" };
        let whose = job.attempt_metadata.as_ref().map_or_else(|| "unknown".to_owned(), identity::describe);
        let text = format!(
            "{} has the fixed name and {state}: waited {} s for it",
            job.reference, request.startup_timeout_seconds
        );
        let mut report = job
            .reference
            .report(text)
            .seen(format!("its owner: {whose}"))
            .seen(format!("we are: {}", request.attempt.describe()))
            .hint("let the runs of this task follow one another (`max_active_runs=1`), or use name_policy=\"unique\"");
        if leaving && let Ok(facts) = examine(cluster, &job.reference).await {
            report = explain(report, &findings(&facts));
        }
        Error::NameTaken(Box::new(report))
    }
}

impl Submission<'_> {
    /// The error of a request of this submission: each is sent again and again.
    pub(crate) fn cannot(&self, call: ApiCall<'_>, failure: Failure) -> Error {
        call.failed(failure, Some(self.cluster.timing().retry_for))
    }
}
