//! Reads Jobs: one by its uid, one by its name, many by a selector.
//!
//! Promise: another Job of the same name is never taken for the Job, and an answer that is not a Job is a failed
//! answer.

use crate::{
    cluster::{Cluster, Failure},
    error::Error,
    identity::{JobName, Namespace},
    job_api::api_call::ApiCall,
    model::observed_job::{JobReference, ObservedJob},
    resource::{Object, Resource, Selector},
};

/// Reads the newest state of exactly this Job; `None` if it is gone or another Job has its name.
pub async fn get_job(cluster: &Cluster, job: &JobReference) -> Result<Option<ObservedJob>, Failure> {
    let seen = find_job(cluster, &job.namespace, &job.name).await?;
    Ok(seen.filter(|seen| seen.reference.uid == job.uid))
}

/// Reads the Job that has this name, whoever made it.
pub(crate) async fn find_job(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &JobName,
) -> Result<Option<ObservedJob>, Failure> {
    let object = cluster.get(Object::Job(namespace, name)).await?;
    Ok(object.map(|object| ObservedJob::read(&object)).transpose()?)
}

/// As [`get_job`], with the error of the request.
pub(crate) async fn get_job_or_error(cluster: &Cluster, job: &JobReference) -> Result<Option<ObservedJob>, Error> {
    get_job(cluster, job).await.map_err(|failure| ApiCall::GetJob(job).failed(failure, None))
}

/// As [`find_job`], with the error of the request.
pub(crate) async fn find_job_or_error(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &JobName,
) -> Result<Option<ObservedJob>, Error> {
    let found = find_job(cluster, namespace, name).await;
    found.map_err(|failure| ApiCall::GetJob(&named(namespace, name)).failed(failure, None))
}

/// Lists all Jobs of a namespace that match.
pub(crate) async fn list_jobs(
    cluster: &Cluster,
    namespace: &Namespace,
    selector: &Selector,
) -> Result<Vec<ObservedJob>, Failure> {
    let listed = cluster.list(Resource::Jobs, namespace, selector).await?;
    Ok(listed.items.iter().map(ObservedJob::read).collect::<Result<_, _>>()?)
}

/// The words by which an error names a Job of which only the name is known.
pub(crate) fn named(namespace: &Namespace, name: &JobName) -> String {
    format!("Job `{namespace}/{name}`")
}
