//! Sends DELETEs: none without a uid, and that of a Job never without a policy, for the default of batch/v1 Jobs orphans
//! the Pods and leaves the work running.

use serde_json::{Value, json};

use crate::{
    cluster::{Answer, Cluster, Failure},
    identity::{Namespace, PodName},
    model::{observed_job::JobReference, policies::Propagation},
    resource::Object,
};

/// DELETE of a Job, with its resourceVersion where what was seen of it decided.
pub(crate) async fn delete_job(
    cluster: &Cluster,
    job: &JobReference,
    policy: Propagation,
    version: Option<&str>,
) -> Result<Answer, Failure> {
    let mut options = options_for_job(job, policy);
    if let Some(version) = version {
        options["preconditions"]["resourceVersion"] = json!(version);
    }
    cluster.delete(job.object(), &options).await
}

/// DELETE of a Pod.
pub(crate) async fn delete_pod(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &PodName,
    uid: &str,
) -> Result<Answer, Failure> {
    cluster.delete(Object::Pod(namespace, name), &options(uid)).await
}

/// The `DeleteOptions` for a Job.
pub(crate) fn options_for_job(job: &JobReference, policy: Propagation) -> Value {
    let mut options = options(&job.uid);
    options["propagationPolicy"] = json!(policy.as_str());
    options
}

fn options(uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}})
}
