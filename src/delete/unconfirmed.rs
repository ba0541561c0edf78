//! The errors of a deletion that was not seen to its end: what is still there, and why, as far as the cluster tells.

use std::time::Duration;

use tokio::time::Instant;

use super::pods::LivePod;
use crate::{
    cluster::Cluster,
    diagnose::{Finding, collect::examine, explain, findings},
    error::{Error, Report},
    identity::{JobName, Namespace},
    model::observed_job::{JobReference, ObservedJob},
};

/// At most so many Pods are named in an error's text; all are in its facts.
const NAMED: usize = 10;
/// How long the reasons may take: they only explain.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(5);

/// The error about a Job that does not go, with the reasons that the cluster shows.
pub(crate) async fn still_there(cluster: &Cluster, seen: &ObservedJob, reasons: bool) -> Error {
    let job = &seen.reference;
    let since =
        seen.deletion_timestamp().map_or_else(|| "never accepted".to_owned(), |time| format!("accepted at {time}"));
    let mut report = job
        .report(format!("{job} is still there although its deletion was asked for"))
        .seen(format!("deletion {since}, uid {}", job.uid))
        .fact("finalizers", seen.finalizers().to_vec());
    for finalizer in seen.finalizers() {
        report = report.seen(format!("finalizer `{finalizer}`"));
    }
    let report = report.hint(
        "`orphan` and `foregroundDeletion` are removed by the garbage collector of kube-controller-manager: check that \
         it works; other finalizers are removed by whoever put them there",
    );
    unconfirmed(cluster, job, report, reasons).await
}

/// The error about a Job whose work may go on, with the reasons that the cluster shows.
pub(crate) async fn may_still_run(cluster: &Cluster, job: &JobReference, live: &[LivePod], reasons: bool) -> Error {
    let mut report = job
        .report(format!("The Pods of {job} have not ended, although it is being deleted"))
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
    unconfirmed(cluster, job, report, reasons).await
}

/// The error about a Job whose turn did not come in time.
pub(crate) fn not_tried(job: &JobReference) -> Error {
    let report = job.report(format!("{job} was not deleted: `timeout` was over before its DELETE was sent"));
    let report = report.hint("give a longer `timeout`, or delete again: that goes on where this one ended");
    Error::DeletionUnconfirmed(Box::new(report))
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

/// Why a Job does not go, as far as the cluster tells soon.
pub(crate) async fn reasons(cluster: &Cluster, job: &JobReference) -> Vec<Finding> {
    let cluster = cluster.until(Instant::now() + EXPLAIN_WITHIN);
    Box::pin(examine(&cluster, job)).await.map(|facts| findings(&facts)).unwrap_or_default()
}

pub(crate) async fn unconfirmed(cluster: &Cluster, job: &JobReference, report: Report, reasons: bool) -> Error {
    let found = if reasons { self::reasons(cluster, job).await } else { Vec::new() };
    Error::DeletionUnconfirmed(Box::new(if found.is_empty() { report } else { explain(report, &found) }))
}
