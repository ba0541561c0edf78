//! Deletes a Job that an attempt owns, and confirms that it and its work are gone.
//!
//! Promise: "deleted" means that a GET by name finds nothing or another uid, and that no Pod of the Job runs any
//! more, or the error says which may still run, and where. The DELETE carries uid and resourceVersion, so that
//! nothing is deleted that changed since its owner was read, and always a propagation policy: the default of
//! batch/v1 Jobs orphans the Pods and leaves the work running.
//! Cost: GET, DELETE, then GETs with backoff until gone, and at least one list of Pods.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    ownership::{look, taken_over},
    seen::{JobReference, SeenJob},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Verb, retry},
    error::{Error, Report},
    identity::Owner,
};

/// The label that the Job controller puts on Pods; unlike their ownerReference it survives orphaning.
pub const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
/// A DELETE whose resourceVersion was overtaken by a status update is sent again up to this often.
const CONFLICTS: u32 = 10;

/// A Pod whose work has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePod {
    /// Its name.
    pub name: String,
    /// The node it was bound to.
    pub node: Option<String>,
}

/// Deletes the Job if `owner` still owns it, and returns once it is gone and its Pods have ended.
/// `within` limits the confirmation, not the DELETE itself.
pub async fn delete_owned(cluster: &Cluster, job: &JobReference, owner: &Owner, within: Duration) -> Result<(), Error> {
    for conflict in 0.. {
        let Some(seen) = look(cluster, job).await.map_err(|f| cannot_look(job, f))? else { break };
        match seen.marks.as_ref().map(|marks| &marks.owner) {
            Some(now) if now == owner => {}
            Some(other) => return Err(taken_over(job, other)),
            None => return Err(Error::internal(format!("{job} has no owner and was left alone"))),
        }
        if seen.deletion_timestamp().is_some() {
            break;
        }
        match cluster.delete(Resource::Jobs, &job.namespace, &job.name, &options(&seen)).await {
            Ok(_) => break,
            Err(failure) if failure.code() == Some(404) => break,
            Err(failure) if failure.code() == Some(409) && conflict < CONFLICTS => {}
            Err(failure) => {
                let limit = Some(cluster.timing().retry_for);
                return Err(failure.into_error(&format!("delete {job}"), Verb::Delete, Resource::Jobs, limit));
            }
        }
    }
    let deadline = Instant::now() + within;
    confirm_gone(cluster, job, deadline).await?;
    pods_ended(cluster, job, deadline).await
}

fn options(seen: &SeenJob) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": seen.reference.uid, "resourceVersion": seen.resource_version},
    })
}

async fn confirm_gone(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    let mut pauses = retry::backoff(cluster.next_seed(), None);
    loop {
        let Some(seen) = look(cluster, job).await.map_err(|f| cannot_look(job, f))? else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(still_there(job, &seen));
        }
        rest(&mut pauses, deadline).await;
    }
}

/// Returns once no Pod of the Job runs any more.
pub async fn pods_ended(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    let mut pauses = retry::backoff(cluster.next_seed(), None);
    loop {
        let live = live_pods(cluster, job).await.map_err(|failure| {
            failure.into_error(&format!("see whether the Pods of {job} have ended"), Verb::List, Resource::Pods, None)
        })?;
        if live.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(may_still_run(job, &live));
        }
        rest(&mut pauses, deadline).await;
    }
}

/// The Pods of a Job that have not ended, whoever owns them now.
pub async fn live_pods(cluster: &Cluster, job: &JobReference) -> Result<Vec<LivePod>, Failure> {
    let selector = Selector::labels(format!("{CONTROLLER_UID}={}", job.uid));
    let listed = cluster.list(Resource::Pods, &job.namespace, &selector).await?;
    let pods = listed.items.into_iter().filter_map(|object| serde_json::from_value::<Pod>(object).ok());
    let live = pods.filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    });
    Ok(live
        .map(|pod| LivePod {
            name: pod.metadata.name.unwrap_or_default(),
            node: pod.spec.and_then(|spec| spec.node_name),
        })
        .collect())
}

async fn rest(pauses: &mut impl Iterator<Item = Duration>, deadline: Instant) {
    let pause = pauses.next().unwrap_or(retry::LONGEST_PAUSE).min(Duration::from_secs(1));
    tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
}

fn cannot_look(job: &JobReference, failure: Failure) -> Error {
    failure.into_error(&format!("look at {job}"), Verb::Get, Resource::Jobs, None)
}

fn still_there(job: &JobReference, seen: &SeenJob) -> Error {
    let since =
        seen.deletion_timestamp().map_or_else(|| "never accepted".to_owned(), |time| format!("accepted at {time}"));
    let mut report = Report::new(format!("{job} is still there although its deletion was asked for"))
        .seen(format!("deletion {since}, uid {}", job.uid))
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone())
        .fact("finalizers", seen.finalizers().to_vec());
    for finalizer in seen.finalizers() {
        report = report.seen(format!("finalizer `{finalizer}`"));
    }
    Error::DeletionUnconfirmed(Box::new(report.hint(
        "`orphan` and `foregroundDeletion` are removed by the garbage collector of kube-controller-manager: check that \
         it works; other finalizers are removed by whoever put them there",
    )))
}

fn may_still_run(job: &JobReference, live: &[LivePod]) -> Error {
    let mut report = Report::new(format!("The Pods of {job} have not ended, although it is being deleted"))
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone())
        .fact("pods", live.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>());
    for LivePod { name, node } in live {
        let node = node.as_deref().unwrap_or("no node yet");
        report = report.seen(format!("Pod `{name}` may still run, on `{node}`"));
    }
    Error::DeletionUnconfirmed(Box::new(
        report.hint("a Pod that does not obey SIGTERM is killed after its terminationGracePeriodSeconds (30 by default); if its node \
             is lost, it ends when the node comes back or is deleted, and replace_lost=True does not wait for it"),
    ))
}
