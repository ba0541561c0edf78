//! Lists Pods as they are now: those of a Job, or those that a selector finds.
//!
//! Promise: the Pods of a Job are found by its uid, whoever owns them now. A list is read to its last page.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::{
    cluster::{Cluster, Failure},
    identity::Namespace,
    model::{
        observed_job::JobReference,
        pod::{by_controller_uid, lean_pod},
    },
    resource::{Resource, Selector},
};

/// Lists the Pods of a namespace that match.
pub(crate) async fn list_pods(
    cluster: &Cluster,
    namespace: &Namespace,
    selector: &Selector,
) -> Result<Vec<Pod>, Failure> {
    Ok(cluster.list(Resource::Pods, namespace, selector).await?.items.into_iter().map(read).collect())
}

/// Lists the Pods of a Job.
pub(crate) async fn pods_of_job(cluster: &Cluster, job: &JobReference) -> Result<Vec<Pod>, Failure> {
    list_pods(cluster, &job.namespace, &by_controller_uid(job)).await
}

/// Lists the Pods of a Job for callers that keep many: without what following a Job does not need.
pub(crate) async fn lean_pods_of_job(cluster: &Cluster, job: &JobReference) -> Result<Vec<Arc<Pod>>, Failure> {
    let listed = cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await?;
    Ok(listed.items.into_iter().filter_map(lean_pod).collect())
}

/// A Pod that cannot be read whole is one of which nothing says that it has ended.
fn read(object: Value) -> Pod {
    let metadata = object["metadata"].clone();
    serde_json::from_value(object)
        .unwrap_or_else(|_| Pod { metadata: serde_json::from_value(metadata).unwrap_or_default(), ..Pod::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::pod::work_has_stopped;

    #[test]
    fn pod_that_cannot_be_read_has_not_ended() {
        let pod = read(json!({"metadata": {"name": "p"}, "spec": {"containers": 3}, "status": {"phase": "Succeeded"}}));
        assert_eq!((pod.metadata.name.as_deref(), work_has_stopped(&pod)), (Some("p"), false));
    }
}
