//! A person's order at work: finds the Jobs it means, deletes them side by side, and tells what becomes of each.
//!
//! Cost: one GET, or the pages of one list; for each Job a DELETE and a GET; lists of Pods that up to a hundred Jobs
//! share; one watch of Jobs if any of them does not go at once, and then a look at those every 15 s (without the right
//! to watch every 2 to 15 s), at most eight a second in all.
//! An order by selector finds Pods through their Jobs: given again after its Jobs are gone, it cannot know of Pods that
//! still run. The error of the first time names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::{
    absent::Absent,
    deleted_by::DeletedBy,
    job_watch::JobWatch,
    owned::NO_ANSWER,
    pods::PodsWatcher,
    progress::saying,
    removal::{Removal, RemovalEnd},
    request::{DeleteRequest, DeleteTarget},
};
use crate::{
    cluster::Cluster,
    error::{Error, Report},
    identity::{JobName, Namespace, search_selector},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, list_jobs, named},
    },
    model::{
        message::{Message, MessageSink},
        observed_job::{JobReference, ObservedJob},
    },
    resource::Selector,
};

/// At most this many Jobs are told in an error; each is told as it happens.
const NAMED: usize = 5;

/// Hears what becomes of the Jobs of an order.
pub trait DeletionListener: MessageSink {
    /// A Job is gone, or its deletion was accepted where nobody waits for more. `pods_kept` are its Pods that stay; all
    /// others have ended.
    fn deleted(&self, job: JobReference, pods_kept: BTreeSet<String>);
}

/// What became of the Jobs of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeletedJobs {
    /// Names of those that are gone, or whose deletion was accepted.
    pub deleted: Vec<String>,
    /// Those of them that had to be freed from finalizers of the garbage collector.
    pub released: Vec<String>,
    /// Names of Pods that nobody else deleted.
    pub pods_deleted: Vec<String>,
    /// Names of Pods that stay, because they were orphaned on purpose.
    pub pods_kept: Vec<String>,
    /// Those left alone, and why.
    pub skipped: BTreeMap<String, String>,
}

/// Carries an order out to its end.
pub async fn delete_jobs(
    beyond: &Cluster,
    order: &DeleteRequest,
    news: &Arc<dyn DeletionListener>,
) -> Result<DeletedJobs, Error> {
    let deadline = Instant::now() + order.timeout();
    let cluster = &beyond.until(deadline);
    let namespace = match &order.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.namespace().await?,
    };
    // Pods are looked at once more when the deadline has come.
    let pods = PodsWatcher::start(beyond.until(deadline + NO_ANSWER), namespace.clone(), Arc::clone(news));
    let jobs = find(cluster, order, &namespace).await?;
    if jobs.is_empty() {
        return Absent { cluster, order, namespace: &namespace, pods: &pods, deadline, messages: news }.settle().await;
    }
    let watch = JobWatch::new(cluster.clone(), namespace, watched(order, &jobs), Arc::clone(news));
    let removal = Removal {
        release: order.release(),
        watch: Some(&watch),
        messages: Some(news),
        ..Removal::new(beyond, deadline)
    };
    let (by, removal, pods) = (DeletedBy::Person(order), &removal, &pods);
    let names = jobs.iter().map(|job| job.reference.name.to_string()).collect();
    let mut running: FuturesUnordered<_> = jobs
        .into_iter()
        .map(|job| async move {
            let reference = job.reference.clone();
            (reference, Box::pin(removal.delete(by, job, pods)).await)
        })
        .collect();
    // One failure among many is told as it happens; a single one is the error itself.
    let many = running.len() > 1;
    let (mut done, mut failed) = (DeletedJobs::default(), Vec::new());
    let mut left: BTreeSet<String> = names;
    while let Some((job, end)) = saying(Some(news), |seconds| waiting_for(&left, seconds), running.next()).await {
        left.remove(job.name.as_str());
        match end {
            Ok(RemovalEnd::Gone { released, pods_deleted, pods_kept }) => {
                if released {
                    done.released.push(job.name.to_string());
                }
                done.pods_deleted.extend(pods_deleted);
                done.pods_kept.extend(pods_kept.iter().cloned());
                done.deleted.push(job.name.to_string());
                news.deleted(job, pods_kept);
            }
            Ok(RemovalEnd::Accepted) => {
                done.deleted.push(job.name.to_string());
                news.deleted(job, BTreeSet::new());
            }
            Ok(RemovalEnd::Skipped(why)) => {
                news.emit(Message::info("job-skipped", format!("{job} is left alone: {why}")));
                done.skipped.insert(job.name.into(), why.to_string());
            }
            Err(error) => {
                if many {
                    news.emit(Message::warning("job-not-deleted", error.to_string()));
                }
                failed.push((job.name.into(), error));
            }
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(together(failed, &done)) }
}

/// What an order still waits for, after so many seconds without news.
fn waiting_for(jobs: &BTreeSet<String>, seconds: u64) -> Message {
    let named: Vec<_> = jobs.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let (named, more) = (named.join(", "), jobs.len().saturating_sub(NAMED));
    let text = match (jobs.len(), more) {
        (1, _) => format!("Waiting until Job {named} is gone and its Pods have ended: no news for {seconds} s"),
        (_, 0) => format!("Waiting until Jobs {named} are gone and their Pods have ended: no news for {seconds} s"),
        (_, more) => format!(
            "Waiting until Jobs {named} and {more} more are gone and their Pods have ended: no news for {seconds} s"
        ),
    };
    Message::info("deleting", text)
}

/// The Jobs that the order means, whatever their state.
async fn find(cluster: &Cluster, order: &DeleteRequest, namespace: &Namespace) -> Result<Vec<ObservedJob>, Error> {
    let listed = async |selector: &Selector| {
        let limit = Some(cluster.timing().retry_for);
        let scope = format!("namespace `{namespace}`");
        let listed = list_jobs(cluster, namespace, selector).await;
        listed.map_err(|failure| ApiCall::ListJobs(&scope).failed(failure, limit))
    };
    match &order.target {
        DeleteTarget::Name { name, uid } => {
            let mut jobs: Vec<_> = get(cluster, namespace, name).await?.into_iter().collect();
            jobs.retain(|job| uid.as_ref().is_none_or(|uid| *uid == job.reference.uid));
            Ok(jobs)
        }
        DeleteTarget::Uid { uid } => {
            let mut jobs = listed(&Selector::default()).await?;
            jobs.retain(|job| job.reference.uid == *uid);
            Ok(jobs)
        }
        DeleteTarget::Listed { uids } => {
            let uids: BTreeSet<_> = uids.iter().collect();
            let mut jobs = listed(&ours()).await?;
            jobs.retain(|job| job.attempt_metadata.is_some() && uids.contains(&job.reference.uid));
            Ok(jobs)
        }
        DeleteTarget::Selector { labels } => listed(&Selector::labels(labels.clone())).await,
    }
}

/// All Jobs of ours.
fn ours() -> Selector {
    Selector::labels(search_selector(None, None, None))
}

pub(crate) async fn get(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &JobName,
) -> Result<Option<ObservedJob>, Error> {
    let limit = Some(cluster.timing().retry_for);
    let found = find_job(cluster, namespace, name).await;
    found.map_err(|failure| ApiCall::GetJob(&named(namespace, name)).failed(failure, limit))
}

/// What one watch has to show for all of them.
fn watched(order: &DeleteRequest, jobs: &[ObservedJob]) -> Selector {
    match (&order.target, jobs) {
        (DeleteTarget::Selector { labels }, _) => Selector::labels(labels.clone()),
        (DeleteTarget::Listed { .. }, _) => ours(),
        (_, [job, ..]) => Selector::name(&job.reference.name),
        (_, []) => Selector::default(),
    }
}

/// One error for many: the first few in full, all of them by name as the fact `failed`.
fn together(mut failed: Vec<(String, Error)>, done: &DeletedJobs) -> Error {
    if failed.len() == 1 && done == &DeletedJobs::default() {
        return failed.remove(0).1;
    }
    let count = failed.len();
    let mut report = Report::new(format!("{count} of {} Jobs are not deleted", count + done.deleted.len()));
    for (_, error) in failed.iter().take(NAMED) {
        let Report { message, seen, .. } = error.report();
        report = seen.iter().fold(report.seen(message), |report, evidence| report.seen(format!("  {evidence}")));
    }
    if count > NAMED {
        report = report.seen(format!("and {} more, each told above", count - NAMED));
    }
    if let Some(hint) = failed.iter().find_map(|(_, error)| error.report().hint.clone()) {
        report = report.hint(hint);
    }
    let findings: Vec<_> =
        failed.iter().filter_map(|(_, error)| error.report().facts.get("findings")?.as_array()).flatten().collect();
    report = report.fact("findings", json!(findings));
    report = report
        .fact(
            "failed",
            json!(
                failed.iter().map(|(name, error)| (name, error.report().message.clone())).collect::<BTreeMap<_, _>>()
            ),
        )
        .fact("deleted", json!(done.deleted))
        .fact("released", json!(done.released))
        .fact("pods_deleted", json!(done.pods_deleted))
        .fact("pods_kept", json!(done.pods_kept))
        .fact("skipped", json!(done.skipped));
    // What all of them are, the whole is; of different ones, what is left is that they are not deleted.
    let class = failed[0].1.class();
    if failed.iter().all(|(_, error)| error.class() == class) {
        failed.remove(0).1.with_report(|_| report)
    } else {
        Error::DeletionUnconfirmed(Box::new(report))
    }
}
