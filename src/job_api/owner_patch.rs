//! Makes the writes that only an owner may make: each is a JSON Patch that first tests the uid and the owner.
//!
//! Source for the escape of `/` as `~1`: RFC 6901. The API server answers a failed test with a bare 422, so after one
//! the Job is read to learn why.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Failure},
    error::Error,
    identity::{ACKNOWLEDGED, EXIT_CODE, LOG_POSITIONS, OWNER, Owner},
    job_api::jobs::get_job,
    model::observed_job::{JobReference, ObservedJob},
};

/// How a guarded write ended.
#[derive(Debug)]
pub enum Written {
    /// The write was stored; this is the new state.
    Done(Box<ObservedJob>),
    /// The Job is gone, or another Job has its name.
    Gone,
    /// Somebody else owns it.
    OwnedBy(Owner),
    /// The API server refused or failed.
    Failed(Failure),
}

/// Makes `new` the owner if `old` still is.
pub async fn take_over(cluster: &Cluster, job: &JobReference, old: &Owner, new: &Owner) -> Written {
    let change = [json!({"op": "replace", "path": annotation(OWNER), "value": new.to_string()})];
    write(cluster, job, old, new, &change).await
}

/// Writes the label `acknowledged`, and the user's TTL and the exit code if there are any.
pub async fn acknowledge(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    ttl: Option<u32>,
    exit_code: Option<i32>,
) -> Written {
    let mut changes = vec![json!({"op": "add", "path": label(ACKNOWLEDGED), "value": "true"})];
    if let Some(seconds) = ttl {
        changes.push(json!({"op": "add", "path": "/spec/ttlSecondsAfterFinished", "value": seconds}));
    }
    if let Some(code) = exit_code {
        changes.push(json!({"op": "add", "path": annotation(EXIT_CODE), "value": code.to_string()}));
    }
    write(cluster, job, owner, owner, &changes).await
}

/// Writes how far the log was delivered, in place of what was `stored` before.
pub async fn store_positions(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    stored: Option<&str>,
    positions: &str,
) -> Written {
    let mut changes = Vec::new();
    if let Some(stored) = stored {
        changes.push(json!({"op": "test", "path": annotation(LOG_POSITIONS), "value": stored}));
    }
    changes.push(json!({"op": "add", "path": annotation(LOG_POSITIONS), "value": positions}));
    write(cluster, job, owner, owner, &changes).await
}

/// Sends a guarded write. `done_as` is the owner that the Job has once the write was stored: if a repetition finds this
/// owner, the write is done, too.
async fn write(cluster: &Cluster, job: &JobReference, owner: &Owner, done_as: &Owner, changes: &[Value]) -> Written {
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": job.uid}),
        json!({"op": "test", "path": annotation(OWNER), "value": owner.to_string()}),
    ];
    patch.extend_from_slice(changes);
    match cluster.patch(job.object(), &Value::Array(patch)).await {
        Ok(object) => ObservedJob::read(&object)
            .map_or_else(|unreadable| Written::Failed(unreadable.into()), |seen| Written::Done(Box::new(seen))),
        Err(failure) if failure.is_not_found() => Written::Gone,
        Err(failure) if failure.code() == Some(422) => why_refused(cluster, job, owner, done_as, failure).await,
        Err(failure) => Written::Failed(failure),
    }
}

async fn why_refused(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    done_as: &Owner,
    refusal: Failure,
) -> Written {
    match get_job(cluster, job).await {
        Err(failure) => Written::Failed(failure),
        Ok(None) => Written::Gone,
        Ok(Some(seen)) => match seen.attempt_metadata.as_ref().map(|metadata| metadata.owner.clone()) {
            Some(now) if now == *owner => Written::Failed(refusal),
            Some(now) if now == *done_as => Written::Done(Box::new(seen)),
            Some(now) => Written::OwnedBy(now),
            None => Written::Failed(refusal),
        },
    }
}

/// The error of an attempt that finds another owner on its Job.
#[must_use]
pub fn taken_over(job: &JobReference, by: &Owner) -> Error {
    let try_number = by.try_number().map_or("another try".to_owned(), |number| format!("try {number}"));
    Error::TakenOver(Box::new(
        job.report(format!("{job} was taken over by {try_number}; this try stops without touching it"))
            .seen(format!("owner `{by}`")),
    ))
}

fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", escaped(key))
}

fn label(key: &str) -> String {
    format!("/metadata/labels/{}", escaped(key))
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
