//! Deletes a Job that an attempt owns, and confirms that it and its work are gone.
//!
//! The DELETE carries uid and resourceVersion, so that nothing is deleted that changed since its owner was read.
//! Cost: GET, DELETE, then GETs with growing pauses until gone, and at least one list of Pods.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    deleted_by::DeletedBy,
    pods::{FoundBy, Ownership, PodsWatcher},
    progress::{DeletionProgress, answered},
    removal::Removal,
    unconfirmed::{may_still_run, not_known},
};
use crate::{
    cluster::Cluster,
    error::Error,
    identity::Owner,
    job_api::{api_call::ApiCall, jobs::get_job_or_error},
    model::{message::MessageSink, observed_job::JobReference},
};

/// How much longer than its limit a deletion may wait for an answer.
pub const NO_ANSWER: Duration = Duration::from_secs(3);

/// Deletes the Job if `owner` still owns it, and returns once it is gone and its Pods have ended.
/// `within` limits the confirmation, not the DELETE itself.
pub async fn delete_owned(cluster: &Cluster, job: &JobReference, owner: &Owner, within: Duration) -> Result<(), Error> {
    delete(cluster, job, owner, || Instant::now() + within, None).await
}

/// The same within a limit for all of it, and what was done as a sentence. `messages` hears that the deletion has begun, and
/// every so often that it goes on. Whatever the API server does, this returns
/// [`NO_ANSWER`] after `deadline`, and tells what is known by then.
pub async fn delete_owned_until(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    deadline: Instant,
    messages: &dyn MessageSink,
) -> Result<String, Error> {
    match delete(&cluster.until(deadline + NO_ANSWER), job, owner, || deadline, Some(messages)).await {
        Ok(()) => Ok(format!("{job} (uid {}) is deleted, and its Pods have ended", job.uid)),
        Err(error) if Instant::now() >= deadline => Err(not_known(&job.namespace, &job.name, error)),
        Err(error) => Err(error),
    }
}

/// `deadline` is asked for once the DELETE was answered.
async fn delete(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    deadline: impl FnOnce() -> Instant,
    messages: Option<&dyn MessageSink>,
) -> Result<(), Error> {
    let by = DeletedBy::Owner(owner);
    let mut removal = Removal { messages, ..Removal::new(cluster, Instant::now()) };
    let sending = async {
        match get_job_or_error(cluster, job).await? {
            Some(found) => removal.send(by, found).await.map(Some),
            None => Ok(None),
        }
    };
    let Some(sent) = answered(job, messages, Box::pin(sending)).await? else {
        let stopping = DeletionProgress::of_gone(job);
        return stopping.told(messages, Box::pin(stopped(cluster, job, Ownership::Owned, deadline()))).await;
    };
    removal.deadline = deadline();
    let stopping = DeletionProgress::of(&sent.found);
    if let Some(messages) = messages {
        messages.emit(stopping.begun());
    }
    let pods = watcher(cluster, job, removal.deadline);
    stopping.told(messages, Box::pin(removal.confirm(by, sent, &pods))).await.map(drop)
}

/// Returns once no Pod of a Job that somebody else deletes runs any more. Deletes nothing.
pub async fn pods_ended(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    stopped(cluster, job, Ownership::Watched, deadline).await
}

/// Returns once no Pod of a Job that is gone runs any more.
async fn stopped(cluster: &Cluster, job: &JobReference, whose: Ownership, deadline: Instant) -> Result<(), Error> {
    let ended = watcher(cluster, job, deadline).ended(job, FoundBy::ControllerUid, whose, deadline).await;
    let end = ended.map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?;
    if end.live.is_empty() { Ok(()) } else { Err(may_still_run(cluster, job, &end.live, true).await) }
}

/// Lists Pods until the deadline, and once more when it has come.
fn watcher(cluster: &Cluster, job: &JobReference, deadline: Instant) -> PodsWatcher {
    PodsWatcher::start(cluster.until(deadline + NO_ANSWER), job.namespace.clone(), |_| {})
}
