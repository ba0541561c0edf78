//! After the verdict: the outcome is acknowledged, and the Job goes when its user wants it to.
//!
//! Promise: whatever happens here changes no verdict; what could not be done is told as a warning that says how long
//! the Job stays. First the acknowledgement with the TTL of the outcome, then the deletion where `on_finish` asks for
//! one: a worker that dies in between leaves a Job that cleans itself up.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    delete,
    error::Error,
    identity::Owner,
    job_api::{
        api_call::ApiCall,
        owner_patch::{self, Written},
    },
    model::{
        message::Message,
        observed_job::JobReference,
        policies::{CleanUp, Finish},
    },
};

/// How long an acknowledgement is tried.
const ACKNOWLEDGE_FOR: Duration = Duration::from_secs(10);
/// How long the deletion of a finished Job is waited for: its Pods have ended, so it should go at once.
const DELETE_FOR: Duration = Duration::from_secs(20);
/// The same where a sidecar runs on: its termination grace period is 30 s by default.
const DELETE_LINGERING_FOR: Duration = Duration::from_secs(60);

/// Writes that the verdict over this Job is reached, with the TTL of its outcome, and deletes it where that is wanted.
/// Returns what there is to say. Fails only where another attempt owns the Job.
pub async fn acknowledge(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    clean_up: &CleanUp,
    finish: Finish,
) -> Result<Vec<Message>, Error> {
    let mut said = Vec::new();
    if clean_up.patch_jobs {
        let write = owner_patch::acknowledge(cluster, job, owner, clean_up.ttl_after(finish.state), finish.exit_code);
        said.extend(written(job, clean_up, write).await?);
    }
    if let Some(why) = clean_up.deletes(finish) {
        let within = if finish.lingering { DELETE_LINGERING_FOR } else { DELETE_FOR };
        said.push(delete(cluster, job, owner, within, why).await);
    }
    Ok(said)
}

async fn written(
    job: &JobReference,
    clean_up: &CleanUp,
    write: impl Future<Output = Written>,
) -> Result<Option<Message>, Error> {
    let why = match tokio::time::timeout(ACKNOWLEDGE_FOR, write).await {
        Ok(Written::Done(_) | Written::Gone) => return Ok(None),
        Ok(Written::OwnedBy(other)) => return Err(owner_patch::taken_over(job, &other)),
        Ok(Written::Failed(failure)) => ApiCall::Acknowledge(job).failed(failure, None).to_string(),
        Err(_) => format!("Its acknowledgement was not answered within {} s", ACKNOWLEDGE_FOR.as_secs()),
    };
    let kept =
        clean_up.ttl_at_creation.map_or("until somebody deletes it".to_owned(), |s| format!("for {s} s after its end"));
    Ok(Some(Message::warning("not-acknowledged", format!("The outcome stands, but the Job is kept {kept}. {why}"))))
}

async fn delete(cluster: &Cluster, job: &JobReference, owner: &Owner, within: Duration, why: &str) -> Message {
    match delete::delete_owned_until(cluster, job, owner, Instant::now() + within, &|_| {}).await {
        Ok(done) => Message::info("job-deleted", format!("{done} ({why})")),
        Err(error) => Message::warning(
            "job-not-deleted",
            format!("The outcome stands, but {job}, which was to be deleted ({why}), may still be there: {error}"),
        ),
    }
}
