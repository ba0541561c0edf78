//! Finds the Workload that Kueue has made for a Job, and where the Job stands in its queue.
//!
//! Promise: a cluster without Kueue is an answer and not an error. Cost: one list, and one read of the queue; a second one
//! of each where the first version of the API is not served. Where positions are not served or refused, they are asked
//! for once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    cluster::{Cluster, Failure},
    identity::QueueName,
    model::{
        observed_job::JobReference,
        workload::{FoundWorkload, JOB_UID, PendingWorkloads, QueuePosition},
    },
    resource::{KueueVersion, Resource, Selector},
    unreadable,
};

/// At most this many of the Workloads in a queue are read: that is some two hundred kilobytes.
const PENDING_READ: usize = 500;
/// How long the answer about a queue may take: it only explains.
const POSITION_WITHIN: Duration = Duration::from_secs(5);

/// Finds the Workload of this Job, by the uid of the Job.
pub(crate) async fn find_workload(cluster: &Cluster, job: &JobReference) -> Result<FoundWorkload, Failure> {
    let selector = Selector::labels(format!("{JOB_UID}={}", job.uid));
    for version in [KueueVersion::V1Beta1, KueueVersion::V1Beta2] {
        match cluster.list(Resource::Workloads(version), &job.namespace, &selector).await {
            Ok(listed) => {
                let Some(object) = listed.items.into_iter().next() else { return Ok(FoundWorkload::Missing) };
                // One that is not understood is there all the same.
                let unreadable = |why: unreadable::Unreadable| Failure::Unexpected {
                    instead_of: "a Workload".to_owned(),
                    why: why.to_string(),
                };
                return unreadable::from_value(&object).map(FoundWorkload::Found).map_err(unreadable);
            }
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(FoundWorkload::NotServed)
}

/// Reads where Jobs stand in their queues, as long as that is served and allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueuePositions {
    closed: Arc<AtomicBool>,
}

impl QueuePositions {
    /// Where the Job stands in this queue; none if that is not known.
    pub async fn find(&self, cluster: &Cluster, job: &JobReference, queue: &QueueName) -> Option<QueuePosition> {
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        match tokio::time::timeout(POSITION_WITHIN, pending(cluster, job, queue)).await.ok()? {
            Ok(pending) => pending.position(job.uid.as_str(), PENDING_READ),
            Err(failure) => {
                self.closed.fetch_or(failure.is_refusal(), Ordering::Relaxed);
                None
            }
        }
    }
}

async fn pending(cluster: &Cluster, job: &JobReference, queue: &QueueName) -> Result<PendingWorkloads, Failure> {
    let ask = |version| cluster.pending_workloads(version, &job.namespace, queue, PENDING_READ);
    let answer = match ask(KueueVersion::V1Beta2).await {
        Err(failure) if failure.is_not_found() => ask(KueueVersion::V1Beta1).await?,
        answer => answer?,
    };
    Ok(serde_json::from_value(answer).unwrap_or_default())
}
