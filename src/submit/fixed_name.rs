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
    decide_fixed_name::{NameHolder, in_the_way, left_behind},
    name_taken,
};
use crate::{
    cluster::{Failure, retry},
    delete::{self, ReleaseResult, ReleaseVerdict, StuckDetector, release, release_message, resource_versions},
    diagnose::{collect::examine, explain, findings},
    error::{Error, Report},
    identity,
    job_api::{api_call::ApiCall, owner_patch},
    model::{conditions, message::Message, observed_job::ObservedJob},
};

/// The longest pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A finished Job is deleted in a moment; what takes longer is waited for, explained, and freed.
const DELETED_WITHIN: Duration = Duration::from_secs(5);
/// A Job that is on its way out for so long is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(10);

/// What the way was freed from so far.
pub(crate) struct FixedNameClaim<'a> {
    submission: Submission<'a>,
    /// What was said, by uid and kind.
    said: HashSet<(String, &'static str)>,
    /// The uids of earlier tries' Jobs with which there was nothing to go on.
    settled: HashSet<String>,
    leaving: Option<Leaving>,
}

/// A Job on its way out.
struct Leaving {
    uid: String,
    since: Instant,
    detector: StuckDetector,
    next_release: Option<Instant>,
    explained: bool,
}

impl<'a> FixedNameClaim<'a> {
    pub(crate) fn new(submission: Submission<'a>) -> Self {
        Self { submission, said: HashSet::new(), settled: HashSet::new(), leaving: None }
    }

    /// Returns once no Job has the name any more, or with the one that this try goes on with.
    pub(crate) async fn free(&mut self, mut job: ObservedJob) -> Result<Option<Submitted>, Error> {
        let Submission { cluster, order, .. } = self.submission;
        let mut pauses = retry::backoff(cluster.next_seed(), None);
        loop {
            let mut judged = in_the_way(&order.attempt, order.lookup, &job);
            if judged == NameHolder::Earlier && !self.settled.insert(job.reference.uid.clone()) {
                judged = left_behind(&job);
            } else if judged == NameHolder::Earlier {
                if let Some(inherited) = self.earlier(&job).await? {
                    return Ok(Some(inherited));
                }
                let Some(newer) = self.get_again(&job).await? else {
                    self.gone(&job).await?;
                    return Ok(None);
                };
                let same = newer.reference.uid == job.reference.uid;
                job = newer;
                if !same {
                    continue;
                }
                judged = left_behind(&job);
            }
            match judged {
                NameHolder::Ours => {
                    let made_by_try = order.attempt.try_number;
                    return Ok(Some(Submitted { job, origin: JobOrigin::Adopted, made_by_try }));
                }
                NameHolder::Superseded(owner) => return Err(owner_patch::taken_over(&job.reference, &owner)),
                NameHolder::Foreign | NameHolder::Earlier => return Err(name_taken(order, &job)),
                NameHolder::Delete => self.delete(&job).await?,
                NameHolder::AwaitAcknowledgement if self.had_its_time(&job) => self.delete(&job).await?,
                NameHolder::AwaitAcknowledgement | NameHolder::AwaitEnd => self.say_waiting(&job),
                NameHolder::AwaitGone { ours } => self.leaving(&job, ours).await?,
            }
            match self.get_again(&job).await? {
                None => {
                    self.gone(&job).await?;
                    return Ok(None);
                }
                Some(newer) => job = newer,
            }
            if Instant::now() >= self.deadline() {
                return Err(self.in_vain(&job).await);
            }
            let pause = pauses.next().unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            let next_release = self.leaving.as_ref().and_then(|leaving| leaving.next_release);
            let due = next_release.filter(|at| *at > Instant::now()).unwrap_or(self.deadline());
            tokio::time::sleep_until((Instant::now() + pause).min(due).min(self.deadline())).await;
        }
    }

    fn deadline(&self) -> Instant {
        self.submission.begin + self.submission.order.startup_timeout()
    }

    /// Goes on with an earlier try's Job, or ends it. One that is stuck then is waited for like any other.
    async fn earlier(&self, job: &ObservedJob) -> Result<Option<Submitted>, Error> {
        let Some(marks) = job.marks.clone() else { return Ok(None) };
        match Box::pin(self.submission.earlier(job.clone(), &marks, None)).await {
            Err(error @ Error::DeletionUnconfirmed(_)) => match self.get_again(job).await? {
                Some(newer) if newer.reference.uid == job.reference.uid => Ok(None),
                _ => Err(error),
            },
            settled => settled,
        }
    }

    /// Whoever made it has had the time to read its log to the end.
    fn had_its_time(&self, job: &ObservedJob) -> bool {
        let Some(ended) = conditions::ended_at(&job.job) else { return true };
        // Negative where the clocks differ: then it has just ended.
        let age = Duration::try_from(self.submission.cluster.now().duration_since(ended)).unwrap_or_default();
        age >= self.submission.order.handover_timeout()
    }

    async fn delete(&mut self, job: &ObservedJob) -> Result<(), Error> {
        let Some(marks) = &job.marks else { return Err(name_taken(self.submission.order, job)) };
        let whose = identity::describe(marks);
        let text = format!("{} has the fixed name and is over: it is deleted first ({whose})", job.reference);
        self.say_once(job, "predecessor-deleted", |text| Message::info("predecessor-deleted", text), text);
        let deleted = delete::delete_owned(self.submission.cluster, &job.reference, &marks.owner, DELETED_WITHIN).await;
        match deleted {
            // It changed hands since it was read, or is not gone yet: the next look judges it anew.
            Ok(()) | Err(Error::TakenOver(_) | Error::DeletionUnconfirmed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says what holds a Job that is on its way out, and frees it where that is due.
    async fn leaving(&mut self, job: &ObservedJob, ours: bool) -> Result<(), Error> {
        let Submission { cluster, order, .. } = self.submission;
        let now = Instant::now();
        if self.leaving.as_ref().is_none_or(|leaving| leaving.uid != job.reference.uid) {
            let under_way = job.deletion_timestamp().map(|since| cluster.now().duration_since(since));
            let under_way = under_way.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
            let detector = StuckDetector::new(now, under_way);
            let next_release = Some(now + detector.pause(now, order.release_after()));
            let uid = job.reference.uid.clone();
            self.leaving = Some(Leaving { uid, since: now, detector, next_release, explained: false });
            self.say_waiting(job);
        }
        let Some(leaving) = &mut self.leaving else { return Ok(()) };
        if leaving.next_release.is_some_and(|at| at <= now) {
            let held = job.finalizers();
            let print = resource_versions(cluster, job)
                .await
                .map_err(|f| self.submission.cannot(ApiCall::ListPods(&job.reference), f))?;
            let after = order.release_after();
            leaving.next_release = match leaving.detector.observe(now, print, after, order.release_stuck, ours, held) {
                ReleaseVerdict::LookAgain(pause) => Some(now + pause),
                // The finalizers may change.
                ReleaseVerdict::Leave(_) => Some(now + LOOK_EVERY),
                ReleaseVerdict::Release => {
                    let freed = release(cluster, job).await;
                    match freed.map_err(|failure| self.submission.cannot(ApiCall::FreeJob(&job.reference), failure))? {
                        ReleaseResult::Changed => Some(now + LOOK_EVERY),
                        ReleaseResult::Sent => {
                            self.submission.tell.say(release_message(job));
                            None
                        }
                    }
                }
            };
        }
        if !leaving.explained && now >= leaving.since + EXPLAIN_AFTER {
            leaving.explained = true;
            if let Ok(facts) = examine(cluster, &job.reference).await {
                for finding in findings(&facts) {
                    self.submission.tell.say(Message::warning(finding.code.name(), finding.to_string()));
                }
            }
        }
        Ok(())
    }

    /// The Job is gone: its work must have stopped, too, before ours begins; that of a finished Job has. Pods of a
    /// stranger's are only spoken of.
    async fn gone(&self, job: &ObservedJob) -> Result<(), Error> {
        let Submission { cluster, order, tell, .. } = self.submission;
        let ours = match in_the_way(&order.attempt, order.lookup, job) {
            NameHolder::AwaitGone { ours } => ours,
            NameHolder::Foreign => false,
            _ => true,
        };
        if ours && conditions::finished(&job.job).is_some() {
            return Ok(());
        }
        if ours {
            return self.submission.handover(&job.reference).await;
        }
        match delete::pods_ended(cluster, &job.reference, Instant::now()).await {
            Err(error @ Error::DeletionUnconfirmed(_)) => {
                tell.say(Message::warning("pods-may-still-run", error.to_string()));
                Ok(())
            }
            ended => ended,
        }
    }

    fn say_waiting(&mut self, job: &ObservedJob) {
        let (code, what) = if job.deletion_timestamp().is_some() {
            let held = job.finalizers().join(", ");
            let held = if held.is_empty() { String::new() } else { format!(", held by {held}") };
            ("name-leaving", format!("is being deleted{held}"))
        } else if conditions::finished(&job.job).is_some() {
            ("name-unacknowledged", "has just finished, and its try may still read its log".to_owned())
        } else {
            ("name-in-use", "has not finished".to_owned())
        };
        let whose = job.marks.as_ref().map_or_else(|| "nobody we know".to_owned(), identity::describe);
        let seconds = self.submission.order.startup_timeout_seconds;
        let text =
            format!("{} has the fixed name, belongs to {whose}, and {what}: waiting up to {seconds} s", job.reference);
        self.say_once(job, code, |text| Message::warning(code, text), text);
    }

    fn say_once(&mut self, job: &ObservedJob, kind: &'static str, message: impl Fn(String) -> Message, text: String) {
        if self.said.insert((job.reference.uid.clone(), kind)) {
            self.submission.tell.say(message(text));
        }
    }

    async fn get_again(&self, job: &ObservedJob) -> Result<Option<ObservedJob>, Error> {
        let Submission { cluster, .. } = self.submission;
        let found = cluster.get(job.reference.object()).await;
        let object = found.map_err(|failure| self.submission.cannot(ApiCall::GetJob(&job.reference), failure))?;
        Ok(object.map(|object| ObservedJob::read(&object)).transpose()?)
    }

    /// The error at the end of the startup timeout.
    async fn in_vain(&self, job: &ObservedJob) -> Error {
        let Submission { cluster, order, .. } = self.submission;
        let leaving = job.deletion_timestamp().is_some();
        let state = if leaving { "is still being deleted" } else { "has not finished" };
        let whose = job.marks.as_ref().map_or_else(|| "nobody we know".to_owned(), identity::describe);
        let mut report = Report::new(format!(
            "{} has the fixed name and {state}: waited {} s for it",
            job.reference, order.startup_timeout_seconds
        ))
        .seen(format!("its owner: {whose}"))
        .seen(format!("we are: {}", order.attempt.describe()))
        .hint("let the runs of this task follow one another (`max_active_runs=1`), or use name_policy=\"unique\"")
        .fact("name", job.reference.name.clone())
        .fact("namespace", job.reference.namespace.clone())
        .fact("uid", job.reference.uid.clone());
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
