//! The Job of a `CronJob` that is in the cluster, as it is at this moment.
//!
//! The Job gets no `ownerReference`: as one of the `CronJob`'s own it would be deleted by its history limit, perhaps before
//! its outcome is recorded, and with the `CronJob` itself.

use super::request::JobRequest;
use crate::{
    cluster::Cluster,
    error::{Error, Report},
    identity::{CronJobName, Namespace},
    resource::{Object, Resource, Verb},
    text::Command,
};

/// The request with what its `CronJob` says.
pub(super) async fn read(
    cluster: &Cluster,
    request: &JobRequest,
    namespace: &Namespace,
    name: &CronJobName,
) -> Result<JobRequest, Error> {
    let what = format!("CronJob `{namespace}/{name}`");
    let found = cluster.get(Object::CronJob(namespace, name)).await.map_err(|failure| {
        let limit = Some(cluster.timing().retry_for);
        failure.into_error(&format!("read {what}"), Verb::Get, Resource::CronJobs, limit)
    })?;
    let Some(cron_job) = found else {
        return Err(Error::ApiRefused(Box::new(
            Report::new(format!("{what} does not exist, so nothing of it can be run"))
                .seen("404 NotFound")
                .hint(
                    Command::kubectl_in(namespace, &["get", "cronjobs"])
                        .comment("or correct from_cron_job or the namespace"),
                )
                .fact("status", 404)
                .fact("reason", "NotFound")
                .fact("path", "from_cron_job"),
        )));
    };
    request.with_cron_job(namespace, cron_job)
}
