//! Deletes a Job that an attempt owns, and confirms that it and its work are gone.
//!
//! The DELETE carries uid and resourceVersion, so that nothing is deleted that changed since its owner was read.
//! Cost: GET, DELETE, then GETs with backoff until gone, and at least one list of Pods.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    order::Propagation,
    pods::{FoundBy, LivePod, Ownership, PodsWatcher},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Verb, retry},
    error::{Error, Report},
    identity::Owner,
    job::{
        diagnosis::{Finding, explain, findings},
        examine::examine,
        ownership::{look, taken_over},
        seen::{JobReference, SeenJob},
    },
};

/// A DELETE whose resourceVersion was overtaken by a status update is sent again up to this often.
pub(super) const CONFLICTS: u32 = 10;

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
        let options = delete_options(Propagation::Background, &seen.reference.uid, Some(&seen.resource_version));
        match cluster.delete(Resource::Jobs, &job.namespace, &job.name, &options).await {
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
    all_ended(cluster, job, Ownership::Owned, deadline).await
}

/// The body of a DELETE: never without a policy and a uid.
pub(super) fn delete_options(policy: Propagation, uid: &str, version: Option<&str>) -> Value {
    let mut options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": policy.as_str(),
        "preconditions": {"uid": uid},
    });
    if let Some(version) = version {
        options["preconditions"]["resourceVersion"] = json!(version);
    }
    options
}

async fn confirm_gone(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    let mut pauses = retry::backoff(cluster.next_seed(), None);
    loop {
        let Some(seen) = look(cluster, job).await.map_err(|f| cannot_look(job, f))? else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(still_there(cluster, job, &seen, true).await);
        }
        let pause = pauses.next().unwrap_or(retry::LONGEST_PAUSE).min(Duration::from_secs(1));
        tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
    }
}

/// Returns once no Pod of a Job that somebody else deletes runs any more. Deletes nothing.
pub async fn pods_ended(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    all_ended(cluster, job, Ownership::Watched, deadline).await
}

async fn all_ended(cluster: &Cluster, job: &JobReference, whose: Ownership, deadline: Instant) -> Result<(), Error> {
    let watcher = PodsWatcher::start(cluster.clone(), job.namespace.clone(), |_| {});
    let end = watcher
        .ended(job, FoundBy::ControllerUid, whose, deadline)
        .await
        .map_err(|failure| cannot_see_pods(job, failure))?;
    if end.live.is_empty() { Ok(()) } else { Err(may_still_run(cluster, job, &end.live, true).await) }
}

pub(super) fn cannot_look(job: &JobReference, failure: Failure) -> Error {
    failure.into_error(&format!("look at {job}"), Verb::Get, Resource::Jobs, None)
}

pub(super) fn cannot_see_pods(job: &JobReference, failure: Failure) -> Error {
    failure.into_error(&format!("see whether the Pods of {job} have ended"), Verb::List, Resource::Pods, None)
}

/// The error about a Job that does not go, with the reasons that the cluster shows.
pub(super) async fn still_there(cluster: &Cluster, job: &JobReference, seen: &SeenJob, reasons: bool) -> Error {
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
    let report = report.hint(
        "`orphan` and `foregroundDeletion` are removed by the garbage collector of kube-controller-manager: check that \
         it works; other finalizers are removed by whoever put them there",
    );
    Error::DeletionUnconfirmed(Box::new(if reasons { explained(cluster, job, report).await } else { report }))
}

/// The error about a Job whose work may go on, with the reasons that the cluster shows.
pub(super) async fn may_still_run(cluster: &Cluster, job: &JobReference, live: &[LivePod], reasons: bool) -> Error {
    let mut report = Report::new(format!("The Pods of {job} have not ended, although it is being deleted"))
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone())
        .fact("pods", live.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>());
    for LivePod { name, node } in live {
        let node = node.as_deref().unwrap_or("no node yet");
        report = report.seen(format!("Pod `{name}` may still run, on `{node}`"));
    }
    let report = report.hint(
        "a Pod that does not obey SIGTERM is killed after its terminationGracePeriodSeconds (30 by default); if its node \
         is lost, it ends when the node comes back or is deleted",
    );
    Error::DeletionUnconfirmed(Box::new(if reasons { explained(cluster, job, report).await } else { report }))
}

/// How long the reasons may take: they only explain.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why a Job does not go, as far as the cluster tells soon.
pub(super) async fn reasons(cluster: &Cluster, job: &JobReference) -> Vec<Finding> {
    let cluster = cluster.until(Instant::now() + EXPLAIN_WITHIN);
    Box::pin(examine(&cluster, job)).await.map(|facts| findings(&facts)).unwrap_or_default()
}

async fn explained(cluster: &Cluster, job: &JobReference, report: Report) -> Report {
    let reasons = reasons(cluster, job).await;
    if reasons.is_empty() { report } else { explain(report, &reasons) }
}
