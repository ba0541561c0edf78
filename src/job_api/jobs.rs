//! Reads Jobs: one by its uid, one by its name, many by a selector.
//!
//! Promise: a namesake is never taken for the Job, and what is not a Job is a failed answer.

use crate::{
    cluster::{Cluster, Failure},
    identity::{JobName, Namespace},
    model::observed_job::{JobReference, ObservedJob},
    resource::{Object, Resource, Selector},
};

/// The newest state of this very Job; `None` where it is gone or a namesake has its name.
pub async fn get_job(cluster: &Cluster, job: &JobReference) -> Result<Option<ObservedJob>, Failure> {
    let seen = find_job(cluster, &job.namespace, &job.name).await?;
    Ok(seen.filter(|seen| seen.reference.uid == job.uid))
}

/// The Job that has this name, whoever made it.
pub(crate) async fn find_job(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &JobName,
) -> Result<Option<ObservedJob>, Failure> {
    let object = cluster.get(Object::Job(namespace, name)).await?;
    Ok(object.map(|object| ObservedJob::read(&object)).transpose()?)
}

/// All Jobs of a namespace that match.
pub(crate) async fn list_jobs(
    cluster: &Cluster,
    namespace: &Namespace,
    selector: &Selector,
) -> Result<Vec<ObservedJob>, Failure> {
    let listed = cluster.list(Resource::Jobs, namespace, selector).await?;
    Ok(listed.items.iter().map(ObservedJob::read).collect::<Result<_, _>>()?)
}

/// How an error names a Job of which only the name is known.
pub(crate) fn named(namespace: &Namespace, name: &JobName) -> String {
    format!("Job `{namespace}/{name}`")
}
