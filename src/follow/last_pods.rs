//! Lists the Pods of a Job that is over: what the watch had not shown yet, and what nobody can see once they are deleted.
//!
//! Promise: asked again as long as there is hope and time, like every other request for them. Cost where the first answer
//! is good: one list.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Failure, Pauses},
    job_api::refusal_budget::RefusalBudget,
    model::{
        message::Message,
        observed_job::JobReference,
        pod::{by_controller_uid, lean_pod},
    },
    resource::Resource,
};

/// What is known of the right to see Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PodVisibility {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// Some came.
    Seen,
    /// They were refused for good, which was said.
    Refused,
}

/// All Pods of the Job there are; the last failure where refusals are final or the deadline has come.
pub(crate) async fn last_pods(
    cluster: &Cluster,
    job: &JobReference,
    sight: PodVisibility,
    deadline: Instant,
) -> Result<Vec<Arc<Pod>>, Failure> {
    let cluster = cluster.until(deadline);
    let by_uid = by_controller_uid(job);
    let mut patience =
        if sight == PodVisibility::Seen { RefusalBudget::of_one_that_worked() } else { RefusalBudget::default() };
    let pauses = Pauses::new(cluster.next_seed());
    loop {
        tokio::time::sleep_until(pauses.next().min(deadline)).await;
        let failure = match cluster.list(Resource::Pods, &job.namespace, &by_uid).await {
            Ok(listed) => return Ok(listed.items.into_iter().filter_map(lean_pod).collect()),
            Err(failure) => failure,
        };
        if patience.ends_with(&failure) || Instant::now() >= deadline {
            return Err(failure);
        }
    }
}

/// What is missing without them.
pub(crate) fn missing(job: &JobReference, failure: &Failure) -> Message {
    let text = format!(
        "Whether all Pods of {job} were seen is not known, for they cannot be listed at its end ({}): the log and the \
         exit codes of some may be missing",
        failure.message()
    );
    Message::warning("pods-incomplete", text)
}
