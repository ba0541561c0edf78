//! Finds the Workload that Kueue has made for a Job.
//!
//! Promise: a cluster without Kueue is an answer and not an error. Cost: one list; a second one where the first version of
//! the API is not served.

use crate::{
    cluster::{Cluster, Failure},
    model::{
        observed_job::JobReference,
        workload::{FoundWorkload, JOB_UID},
    },
    resource::{KueueVersion, Resource, Selector},
};

/// Finds the Workload of this Job, by the uid of the Job.
pub(crate) async fn find_workload(cluster: &Cluster, job: &JobReference) -> Result<FoundWorkload, Failure> {
    let selector = Selector::labels(format!("{JOB_UID}={}", job.uid));
    for version in [KueueVersion::V1Beta1, KueueVersion::V1Beta2] {
        match cluster.list(Resource::Workloads(version), &job.namespace, &selector).await {
            Ok(listed) => {
                let mut read = listed.items.into_iter().filter_map(|object| serde_json::from_value(object).ok());
                return Ok(read.next().map_or(FoundWorkload::Missing, FoundWorkload::Found));
            }
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(FoundWorkload::NotServed)
}
