//! Creates the one Job of an attempt, or finds that it has one already.
//!
//! Promise: whatever is lost or refused on the way, an attempt has at most one unfinished Job, because its name
//! is fixed before the first POST and every doubt is settled by looking at that name. A first try sends one POST
//! and asks nothing before it. Jobs of earlier tries are taken over, used, or ended as [`super::settle`] says;
//! an object that is not provably ours is never touched.
//!
//! [`inheritance`] settles what earlier tries left, [`creation`] sends the POST and judges its answer, [`way`] frees
//! the name where it is a fixed one. The decisions are those of [`super::settle`] and [`super::fixed_name`].

mod creation;
mod inheritance;
mod way;

use serde::Serialize;
use tokio::time::Instant;

use super::{
    delete,
    message::{Message, Say},
    order::{Order, Policy},
    seen::{JobReference, SeenJob},
};
use crate::{
    cluster::Cluster,
    error::{Error, Report},
    identity,
};

/// How an attempt came to its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
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
    pub job: SeenJob,
    /// How it came to be ours.
    pub origin: Origin,
    /// The try that made it.
    pub made_by_try: u32,
}

/// What a submission tells while it goes on.
pub trait Tell: Say {
    /// A POST under this name is about to leave: from now on a Job of ours may exist.
    fn trying(&self, namespace: &str, name: &str);
    /// That POST was refused for good: no Job can come of it.
    fn refused(&self);
}

/// Gives the attempt its Job.
pub async fn submit(cluster: &Cluster, order: &Order, tell: &dyn Tell) -> Result<Submitted, Error> {
    let namespace = order.namespace(&cluster.namespace().await?);
    // What is wrong with the manifest is said before anything is asked or deleted.
    order.draft(0, &namespace, order.ttl_plan().at_creation)?;
    let submission = Submission { cluster, order, namespace: &namespace, tell, begin: Instant::now() };
    if order.attempt.try_number > 1
        && order.policy != Policy::Ignore
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
    order: &'a Order,
    namespace: &'a str,
    tell: &'a dyn Tell,
    begin: Instant,
}

impl Submission<'_> {
    /// Waits until the Pods of a Job that is on its way out have ended.
    async fn handover(&self, job: &JobReference) -> Result<(), Error> {
        match delete::pods_ended(self.cluster, job, Instant::now() + self.order.handover_timeout()).await {
            Err(error @ Error::DeletionUnconfirmed(_)) if self.order.replace_lost => {
                self.tell.say(Message::warning(
                    "pods-may-still-run",
                    format!("replace_lost=True: going on although\n{error}"),
                ));
                Ok(())
            }
            ended => ended,
        }
    }
}

fn name_taken(order: &Order, seen: &SeenJob) -> Error {
    let job = &seen.reference;
    let theirs = seen
        .marks
        .as_ref()
        .map_or_else(|| "nobody we know: it carries none of our annotations".to_owned(), identity::describe);
    let hint = if order.fixed_name.is_some() && order.lookup {
        "a fixed name serves one task: give this one another `name`, or name_policy=\"unique\"; a Job that nobody needs \
         is deleted with `unique-k8s-job delete`"
    } else {
        "if two Airflow deployments share this namespace, give each its own `[unique_k8s_job] deployment_id`"
    };
    Error::NameTaken(Box::new(
        Report::new(format!("{job} exists and belongs to another attempt; it was left untouched"))
            .seen(format!("its owner: {theirs}"))
            .seen(format!("we are: {}", order.attempt.describe()))
            .hint(hint)
            .fact("name", job.name.clone())
            .fact("namespace", job.namespace.clone())
            .fact("uid", job.uid.clone()),
    ))
}
