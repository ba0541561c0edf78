//! Creates the one Job of an attempt, or finds that it has one already.
//!
//! Promise: whatever is lost or refused on the way, an attempt has at most one unfinished Job, because its name
//! is fixed before the first POST and every doubt is settled by a GET of that name. A first try sends one POST
//! and asks nothing before it. Jobs of earlier tries are taken over, used, or ended as [`crate::submit::decide`] says;
//! an object that is not provably ours is never touched.
//!
//! `from_cron_job` reads the `CronJob` of a request that names one, `predecessors` settles what earlier tries left, `create`
//! sends the POST and judges its answer, and `fixed_name` frees a fixed name. [`decide`] and [`decide_fixed_name`] are
//! their tables, and [`request`] is what the operator asks for.

mod create;
pub mod decide;
pub mod decide_fixed_name;
mod fixed_name;
mod from_cron_job;
pub mod marking;
mod predecessors;
pub mod request;

use request::JobRequest;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    delete,
    error::Error,
    identity::{self, JobName, Namespace},
    model::{
        handoff::Handoff,
        message::{Message, MessageSink},
        observed_job::{JobReference, ObservedJob},
        policies::PredecessorPolicy,
    },
};

/// How an attempt came to its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOrigin {
    /// By its own POST.
    Created,
    /// It had made it before: the reply was lost, or the try was started twice.
    Adopted,
    /// From an earlier try, still running.
    TakenOver,
    /// From an earlier try, finished well but never acknowledged.
    OutcomeUsed,
}

/// A Job that this attempt owns.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// Its state.
    pub job: ObservedJob,
    /// How it came to be ours.
    pub origin: JobOrigin,
    /// The try that made it.
    pub made_by_try: u32,
}

/// What a submission tells while it goes on.
pub trait SubmissionObserver: MessageSink {
    /// A POST under this name is about to leave: from now on a Job of ours may exist.
    fn trying(&self, namespace: &Namespace, name: &JobName);
    /// That POST was refused for good: no Job can come of it.
    fn refused(&self);
}

/// Gives the attempt its Job, and what whoever follows it has to know.
pub async fn submit(
    cluster: &Cluster,
    request: &JobRequest,
    observer: &dyn SubmissionObserver,
) -> Result<(Submitted, Handoff), Error> {
    let namespace = match request.namespace()? {
        Some(namespace) => namespace,
        None => cluster.namespace().await?,
    };
    let made = match &request.from_cron_job {
        Some(name) => Some(from_cron_job::read(cluster, request, &namespace, name).await?),
        None => None,
    };
    let request = made.as_ref().unwrap_or(request);
    for message in request.said() {
        observer.emit(message.clone());
    }
    let submitted = submitted(cluster, request, &namespace, observer).await?;
    let handoff = request.handoff(&submitted.job.reference);
    Ok((submitted, handoff))
}

async fn submitted(
    cluster: &Cluster,
    request: &JobRequest,
    namespace: &Namespace,
    observer: &dyn SubmissionObserver,
) -> Result<Submitted, Error> {
    // A wrong manifest is reported before anything is requested or deleted.
    request.draft(0, namespace, request.ttl_plan().at_creation)?;
    let submission = Submission { cluster, request, namespace, observer, begin: Instant::now() };
    if request.attempt.try_number > 1
        && request.policy != PredecessorPolicy::Ignore
        && let Some(inherited) = Box::pin(submission.inherit()).await?
    {
        return Ok(inherited);
    }
    submission.create().await
}

/// One submission under way.
#[derive(Clone, Copy)]
struct Submission<'a> {
    cluster: &'a Cluster,
    request: &'a JobRequest,
    namespace: &'a Namespace,
    observer: &'a dyn SubmissionObserver,
    begin: Instant,
}

impl Submission<'_> {
    /// Waits until the Pods of a Job that is on its way out have ended.
    async fn pods_ended(&self, job: &JobReference) -> Result<(), Error> {
        let deadline = Instant::now() + self.request.handover_timeout();
        self.confirmed(delete::pods_ended(self.cluster, job, deadline).await)
    }

    /// The same where a line says what is known of the Job.
    async fn await_pods(&self, job: &JobReference, what: String) -> Result<(), Error> {
        let seconds = self.request.handover_timeout_seconds;
        let text = format!("{job} {what}: waiting up to {seconds} s for its Pods to end");
        self.observer.emit(Message::warning("predecessor-leaving", text));
        self.pods_ended(job).await
    }

    /// Ends a wait for work to stop. If the end is not confirmed, that is no error with `replace_lost`.
    fn confirmed(&self, ended: Result<(), Error>) -> Result<(), Error> {
        match ended {
            Err(error @ Error::DeletionUnconfirmed(_)) if self.request.replace_lost => {
                self.observer.emit(Message::in_spite_of(
                    &error,
                    "pods-may-still-run",
                    "replace_lost=True: this try starts although Pods may still run",
                ));
                Ok(())
            }
            ended => ended,
        }
    }
}

fn name_taken(request: &JobRequest, seen: &ObservedJob) -> Error {
    let job = &seen.reference;
    let theirs = seen
        .attempt_metadata
        .as_ref()
        .map_or_else(|| "unknown: the Job has no annotations of this package".to_owned(), identity::describe);
    let hint = if request.fixed_name.is_some() && request.lookup {
        "a fixed name serves one task: give this one another `name`, or name_policy=\"unique\"; a Job that nobody needs \
         is deleted with `unique-k8s-job delete`"
    } else {
        "if two Airflow deployments share this namespace, give each its own `[unique_k8s_job] deployment_id`"
    };
    Error::NameTaken(Box::new(
        job.report(format!("{job} exists and belongs to another attempt; it was left untouched"))
            .seen(format!("its owner: {theirs}"))
            .seen(format!("we are: {}", request.attempt.describe()))
            .hint(hint),
    ))
}
