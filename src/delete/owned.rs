//! Deletes a Job that an attempt owns, and confirms that it and its work are gone.
//!
//! The DELETE carries uid and resourceVersion, so that nothing is deleted that changed since its owner was read.
//! Cost: GET, DELETE, then GETs with backoff until gone, and at least one list of Pods.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::pods::{FoundBy, LivePod, Ownership, PodsWatcher};
use crate::{
    cluster::{Cluster, Pauses, retry},
    diagnose::{Finding, collect::examine, explain, findings},
    error::{Error, Report},
    identity::{JobName, Namespace, Owner},
    job_api::{api_call::ApiCall, jobs::get_job, owner_patch::taken_over},
    model::{
        observed_job::{JobReference, ObservedJob},
        policies::Propagation,
    },
};

/// A DELETE whose resourceVersion was overtaken by a status update is sent again up to this often.
pub(crate) const CONFLICTS: u32 = 10;

/// How much longer than its limit a deletion may wait for an answer.
pub const NO_ANSWER: Duration = Duration::from_secs(3);

/// Deletes the Job if `owner` still owns it, and returns once it is gone and its Pods have ended.
/// `within` limits the confirmation, not the DELETE itself.
pub async fn delete_owned(cluster: &Cluster, job: &JobReference, owner: &Owner, within: Duration) -> Result<(), Error> {
    send(cluster, job, owner).await?;
    confirm(cluster, job, Instant::now() + within).await
}

/// The same within a limit for all of it. Whatever the API server does, this returns [`NO_ANSWER`] after `deadline`, and
/// tells what is known by then.
pub async fn delete_owned_until(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    deadline: Instant,
) -> Result<(), Error> {
    let cluster = &cluster.until(deadline + NO_ANSWER);
    let deleted = async {
        send(cluster, job, owner).await?;
        confirm(cluster, job, deadline).await
    };
    deleted
        .await
        .map_err(|error| if Instant::now() >= deadline { not_known(&job.namespace, &job.name, error) } else { error })
}

/// The error of a deletion of which the API server did not tell in time how it went.
#[must_use]
pub fn not_known(namespace: &Namespace, name: &JobName, error: Error) -> Error {
    let Error::ApiUnreachable(cause) = error else { return error };
    let mut report = Report::new(format!("Whether Job `{namespace}/{name}` is deleted is not known"))
        .seen(cause.message.clone())
        .hint("look once the API server answers, and delete it by hand; a later try of a task looks for it, too")
        .fact("name", name.to_string())
        .fact("namespace", namespace.to_string());
    report.seen.extend(cause.seen);
    for (fact, value) in cause.facts {
        report.facts.entry(fact).or_insert(value);
    }
    Error::DeletionUnconfirmed(Box::new(report))
}

async fn send(cluster: &Cluster, job: &JobReference, owner: &Owner) -> Result<(), Error> {
    let pauses = Pauses::new(cluster.next_seed());
    for conflict in 0.. {
        pauses.soon().await;
        let Some(seen) = get_job(cluster, job).await.map_err(|f| ApiCall::GetJob(job).failed(f, None))? else { break };
        match seen.marks.as_ref().map(|marks| &marks.owner) {
            Some(now) if now == owner => {}
            Some(other) => return Err(taken_over(job, other)),
            None => return Err(Error::internal(format!("{job} has no owner and was left alone"))),
        }
        if seen.deletion_timestamp().is_some() {
            break;
        }
        let options = delete_options(Propagation::Background, &seen.reference.uid, Some(&seen.resource_version));
        match cluster.delete(job.object(), &options).await {
            Ok(_) => break,
            Err(failure) if failure.code() == Some(404) => break,
            Err(failure) if failure.code() == Some(409) && conflict < CONFLICTS => {}
            Err(failure) => {
                let limit = Some(cluster.timing().retry_for);
                return Err(ApiCall::DeleteJob(job).failed(failure, limit));
            }
        }
    }
    Ok(())
}

async fn confirm(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    confirm_gone(cluster, job, deadline).await?;
    all_ended(cluster, job, Ownership::Owned, deadline).await
}

/// The body of a DELETE: never without a policy and a uid.
pub(crate) fn delete_options(policy: Propagation, uid: &str, version: Option<&str>) -> Value {
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
    let pauses = Pauses::between(retry::FIRST_PAUSE, Duration::from_millis(500), cluster.next_seed());
    loop {
        tokio::time::sleep_until(pauses.next().min(deadline)).await;
        let Some(seen) = get_job(cluster, job).await.map_err(|f| ApiCall::GetJob(job).failed(f, None))? else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(still_there(cluster, job, &seen, true).await);
        }
    }
}

/// Returns once no Pod of a Job that somebody else deletes runs any more. Deletes nothing.
pub async fn pods_ended(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<(), Error> {
    all_ended(cluster, job, Ownership::Watched, deadline).await
}

async fn all_ended(cluster: &Cluster, job: &JobReference, whose: Ownership, deadline: Instant) -> Result<(), Error> {
    let watcher = PodsWatcher::start(cluster.until(deadline + NO_ANSWER), job.namespace.clone(), |_| {});
    let end = watcher
        .ended(job, FoundBy::ControllerUid, whose, deadline)
        .await
        .map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?;
    if end.live.is_empty() { Ok(()) } else { Err(may_still_run(cluster, job, &end.live, true).await) }
}

/// The error about a Job that does not go, with the reasons that the cluster shows.
pub(crate) async fn still_there(cluster: &Cluster, job: &JobReference, seen: &ObservedJob, reasons: bool) -> Error {
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
pub(crate) async fn may_still_run(cluster: &Cluster, job: &JobReference, live: &[LivePod], reasons: bool) -> Error {
    let mut report = Report::new(format!("The Pods of {job} have not ended, although it is being deleted"))
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone())
        .fact("pods", live.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>());
    for LivePod { name, node } in live.iter().take(NAMED) {
        let node = node.as_deref().unwrap_or("no node yet");
        report = report.seen(format!("Pod `{name}` may still run, on `{node}`"));
    }
    if live.len() > NAMED {
        report = report.seen(format!("and {} more Pods", live.len() - NAMED));
    }
    let report = report.hint(
        "a Pod that does not obey SIGTERM is killed after its terminationGracePeriodSeconds (30 by default); if its node \
         is lost, it ends when the node comes back or is deleted",
    );
    Error::DeletionUnconfirmed(Box::new(if reasons { explained(cluster, job, report).await } else { report }))
}

/// At most so many Pods are named in an error's text; all are in its facts.
const NAMED: usize = 10;
/// How long the reasons may take: they only explain.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why a Job does not go, as far as the cluster tells soon.
pub(crate) async fn reasons(cluster: &Cluster, job: &JobReference) -> Vec<Finding> {
    let cluster = cluster.until(Instant::now() + EXPLAIN_WITHIN);
    Box::pin(examine(&cluster, job)).await.map(|facts| findings(&facts)).unwrap_or_default()
}

async fn explained(cluster: &Cluster, job: &JobReference, report: Report) -> Report {
    let reasons = reasons(cluster, job).await;
    if reasons.is_empty() { report } else { explain(report, &reasons) }
}
