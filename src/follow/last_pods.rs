//! Lists the Pods of a Job that is over: it gets what the watch has not shown yet, before the Pods are deleted.
//!
//! Promise: the list is repeated as long as it can succeed and there is time, like every other request. It costs one
//! list if the first answer is good.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Failure, Pauses},
    job_api::{pods::lean_pods_of_job, refusal_budget::RefusalBudget},
    model::{message::Message, observed_job::JobReference},
};

/// Whether the identity may see Pods, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PodVisibility {
    /// No answer has come yet.
    #[default]
    Unknown,
    /// Pods were seen.
    Seen,
    /// The request was refused, this is final, and the log says so.
    Refused,
}

/// Lists all Pods of the Job; returns the last failure once a refusal is final or the deadline has passed.
pub(crate) async fn last_pods(
    cluster: &Cluster,
    job: &JobReference,
    pod_visibility: PodVisibility,
    deadline: Instant,
) -> Result<Vec<Arc<Pod>>, Failure> {
    let cluster = cluster.until(deadline);
    let mut budget = if pod_visibility == PodVisibility::Seen {
        RefusalBudget::of_one_that_worked()
    } else {
        RefusalBudget::default()
    };
    let pauses = Pauses::new(cluster.next_seed());
    loop {
        tokio::time::sleep_until(pauses.next().min(deadline)).await;
        let failure = match lean_pods_of_job(&cluster, job).await {
            Ok(pods) => return Ok(pods),
            Err(failure) => failure,
        };
        if budget.ends_with(&failure) || Instant::now() >= deadline {
            return Err(failure);
        }
    }
}

/// The message that says what is missing without the Pods.
pub(crate) fn missing(job: &JobReference, failure: &Failure) -> Message {
    let text = format!(
        "Whether all Pods of {job} were seen is not known, for they cannot be listed at its end ({}): the log and the \
         exit codes of some may be missing",
        failure.message()
    );
    Message::warning("pods-incomplete", text)
}
