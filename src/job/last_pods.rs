//! Lists the Pods of a Job that is over: what the watch had not shown yet, and what nobody can see once they are deleted.
//!
//! Promise: asked again as long as there is hope and time, like every other request for them. Cost where the first answer
//! is good: one list.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{delete::by_controller_uid, message::Message, patience::Patience, seen::JobReference, view::lean_pod};
use crate::cluster::{Cluster, Failure, Resource, retry};

/// What is known of the right to see Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sight {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// Some came.
    Seen,
    /// They were refused for good, which was said.
    Refused,
}

/// All Pods of the Job there are; the last failure where refusals are final or the deadline has come.
pub(super) async fn last_pods(
    cluster: &Cluster,
    job: &JobReference,
    sight: Sight,
    deadline: Instant,
) -> Result<Vec<Arc<Pod>>, Failure> {
    let cluster = cluster.until(deadline);
    let by_uid = by_controller_uid(job);
    let mut patience = if sight == Sight::Seen { Patience::of_one_that_worked() } else { Patience::default() };
    let mut pauses = retry::backoff(cluster.next_seed(), None);
    loop {
        let failure = match cluster.list(Resource::Pods, &job.namespace, &by_uid).await {
            Ok(listed) => return Ok(listed.items.into_iter().filter_map(lean_pod).collect()),
            Err(failure) => failure,
        };
        if patience.ends_with(&failure) || Instant::now() >= deadline {
            return Err(failure);
        }
        let pause = Instant::now() + pauses.next().unwrap_or(retry::LONGEST_PAUSE);
        tokio::time::sleep_until(pause.min(deadline)).await;
    }
}

/// What is missing without them.
pub(super) fn missing(job: &JobReference, failure: &Failure) -> Message {
    let text = format!(
        "Whether all Pods of {job} were seen is not known, for they cannot be listed at its end ({}): the log and the \
         exit codes of some may be missing",
        failure.message()
    );
    Message::warning("pods-incomplete", text)
}
