//! A person's order at work: finds the Jobs it means, deletes them side by side, and tells what becomes of each.
//!
//! Cost: one GET, or the pages of one list; for each Job a DELETE and a GET; lists of Pods that up to a hundred Jobs
//! share; one watch of Jobs if any of them does not go at once.

use std::{collections::BTreeMap, sync::atomic::AtomicUsize, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, mpsc},
    task::JoinHandle,
    time::Instant,
};

use super::{
    job::{End, Shared},
    order::{DeleteOrder, Target, WaitFor},
    owned::{cannot_see_pods, may_still_run},
    pods::{CONTROLLER_UID, Ownership, PodsWatcher},
    sightings::Sightings,
};
use crate::{
    cluster::{Cluster, Resource, Selector, Verb},
    error::{Error, Report},
    job::{
        message::Message,
        seen::{JobReference, SeenJob},
    },
};

/// The label with the Job's name that the Job controller puts on Pods.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// DELETEs under way at once.
const AT_ONCE: usize = 16;
/// How much longer than its limit an order waits for an answer.
const NO_ANSWER: Duration = Duration::from_secs(5);
/// At most this many Jobs are named in an error; all are told one by one.
const NAMED: usize = 5;

/// What an order tells.
#[derive(Debug)]
pub enum News {
    /// A sentence for the log.
    Message(Message),
    /// A Job is gone and its work has stopped, or its deletion was accepted where nobody waits for more.
    Deleted(JobReference),
    /// The end.
    Ended(DeletedJobs),
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
    /// Those left alone, and why.
    pub skipped: BTreeMap<String, String>,
}

/// An order at work. Dropping it stops the watching; what was accepted goes on in the cluster.
pub struct Deletion {
    task: JoinHandle<()>,
    inbox: AsyncMutex<mpsc::UnboundedReceiver<Result<News, Error>>>,
}

impl Deletion {
    /// Starts the order. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, order: DeleteOrder) -> Self {
        let (news, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let tell = |piece: News| {
                let _ = news.send(Ok(piece));
            };
            let cluster = cluster.within(order.timeout());
            let end = Box::pin(work(&cluster, &order, &tell, &news)).await;
            let _ = news.send(end.map(News::Ended));
        });
        Self { task, inbox: AsyncMutex::new(inbox) }
    }

    /// The next piece of news; `None` after the last one.
    pub async fn next(&self) -> Option<Result<News, Error>> {
        self.inbox.lock().await.recv().await
    }

    /// Stops watching.
    pub fn close(&self) {
        self.task.abort();
    }
}

impl Drop for Deletion {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work(
    cluster: &Cluster,
    order: &DeleteOrder,
    tell: &(dyn Fn(News) + Sync),
    news: &mpsc::UnboundedSender<Result<News, Error>>,
) -> Result<DeletedJobs, Error> {
    let deadline = Instant::now() + order.timeout();
    let namespace = match &order.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.namespace().await?,
    };
    let say = news.clone();
    let pods = PodsWatcher::start(cluster.clone(), namespace.clone(), move |message| {
        let _ = say.send(Ok(News::Message(message)));
    });
    let jobs = find(cluster, order, &namespace).await?;
    if jobs.is_empty() {
        return nothing_there(cluster, order, &namespace, &pods, deadline, tell).await;
    }
    let sightings = Sightings::new(cluster.clone(), namespace, watched(order, &jobs));
    let shared =
        Shared { cluster, order, sightings: &sightings, pods: &pods, deadline, explained: AtomicUsize::new(0), tell };
    let permits = Semaphore::new(AT_ONCE);
    let mut running: FuturesUnordered<_> = jobs
        .into_iter()
        .map(|job| {
            let (shared, permits) = (&shared, &permits);
            async move {
                let reference = job.reference.clone();
                let end = tokio::time::timeout_at(deadline + NO_ANSWER, Box::pin(shared.delete(job, permits))).await;
                let end = end.unwrap_or_else(|_| Err(not_known(&reference, order.timeout())));
                (reference, end)
            }
        })
        .collect();
    let (mut done, mut failed) = (DeletedJobs::default(), Vec::new());
    while let Some((job, end)) = running.next().await {
        match end {
            Ok(End::Gone { released, pods_deleted }) => {
                if released {
                    done.released.push(job.name.clone());
                }
                done.pods_deleted.extend(pods_deleted);
                done.deleted.push(job.name.clone());
                tell(News::Deleted(job));
            }
            Ok(End::Accepted) => {
                done.deleted.push(job.name.clone());
                tell(News::Deleted(job));
            }
            Ok(End::Skipped(why)) => {
                tell(News::Message(Message::info("job-skipped", format!("{job} is left alone: {why}"))));
                done.skipped.insert(job.name, why.to_string());
            }
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(together(failed, done.deleted.len())) }
}

/// The Jobs that the order means, whatever their state.
async fn find(cluster: &Cluster, order: &DeleteOrder, namespace: &str) -> Result<Vec<SeenJob>, Error> {
    let read = |objects: Vec<serde_json::Value>| objects.iter().map(SeenJob::read).collect::<Result<Vec<_>, _>>();
    let listed = async |selector: &Selector| {
        let limit = Some(cluster.timing().retry_for);
        let listed = cluster.list(Resource::Jobs, namespace, selector).await.map_err(|failure| {
            failure.into_error(&format!("list the Jobs of namespace `{namespace}`"), Verb::List, Resource::Jobs, limit)
        })?;
        read(listed.items)
    };
    match &order.target {
        Target::Name { name, uid } => {
            let found = cluster.get(Resource::Jobs, namespace, name).await.map_err(|failure| {
                let what = format!("look at Job `{namespace}/{name}`");
                failure.into_error(&what, Verb::Get, Resource::Jobs, Some(cluster.timing().retry_for))
            })?;
            let mut jobs = read(found.into_iter().collect())?;
            jobs.retain(|job| uid.as_ref().is_none_or(|uid| *uid == job.reference.uid));
            Ok(jobs)
        }
        Target::Uid { uid } => {
            let mut jobs = listed(&Selector::default()).await?;
            jobs.retain(|job| job.reference.uid == *uid);
            Ok(jobs)
        }
        Target::Selector { labels } => listed(&Selector::labels(labels.clone())).await,
    }
}

/// What one watch has to show for all of them.
fn watched(order: &DeleteOrder, jobs: &[SeenJob]) -> Selector {
    match (&order.target, jobs) {
        (Target::Selector { labels }, _) => Selector::labels(labels.clone()),
        (_, [job, ..]) => Selector::fields(format!("metadata.name={}", job.reference.name)),
        (_, []) => Selector::default(),
    }
}

/// There is no such Job. Its Pods may be left, for example where an earlier try of this order was interrupted.
async fn nothing_there(
    cluster: &Cluster,
    order: &DeleteOrder,
    namespace: &str,
    pods: &PodsWatcher,
    deadline: Instant,
    tell: &(dyn Fn(News) + Sync),
) -> Result<DeletedJobs, Error> {
    let (name, uids) = match &order.target {
        Target::Selector { labels } => {
            let text = format!("No Job of namespace `{namespace}` has the labels `{labels}`: nothing to delete");
            tell(News::Message(Message::info("nothing-to-delete", text)));
            return Ok(DeletedJobs::default());
        }
        Target::Uid { uid } | Target::Name { uid: Some(uid), .. } => (uid.clone(), vec![uid.clone()]),
        Target::Name { name, uid: None } => (name.clone(), uids_of_pods(cluster, namespace, name).await?),
    };
    if let Ok(None) = cluster.get(Resource::Namespaces, "", namespace).await {
        return Err(Error::Configuration(Box::new(
            Report::new(format!("Cannot delete Job `{namespace}/{name}`: the namespace `{namespace}` does not exist"))
                .hint("correct the namespace; a Job of a namespace that is gone is gone, too"),
        )));
    }
    let text = format!("Job `{namespace}/{name}` does not exist: nothing to delete");
    tell(News::Message(Message::info("nothing-to-delete", text)));
    let mut done = DeletedJobs::default();
    if order.wait_for == WaitFor::Accepted {
        return Ok(done);
    }
    for uid in uids {
        let job = JobReference { namespace: namespace.to_owned(), name: name.clone(), uid };
        let end = pods.ended(&job, Ownership::Collected, deadline).await;
        let end = end.map_err(|failure| cannot_see_pods(&job, failure))?;
        if !end.live.is_empty() {
            return Err(may_still_run(cluster, &job, &end.live).await);
        }
        done.pods_deleted.extend(end.deleted);
    }
    Ok(done)
}

/// The uids of Jobs of this name that Pods still speak of.
async fn uids_of_pods(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<String>, Error> {
    let selector = Selector::labels(format!("{JOB_NAME}={name}"));
    let listed = cluster.list(Resource::Pods, namespace, &selector).await.map_err(|failure| {
        failure.into_error(&format!("list the Pods of Job `{namespace}/{name}`"), Verb::List, Resource::Pods, None)
    })?;
    let mut uids: Vec<_> = listed
        .items
        .iter()
        .filter_map(|pod| pod["metadata"]["labels"][CONTROLLER_UID].as_str().map(str::to_owned))
        .collect();
    uids.sort();
    uids.dedup();
    Ok(uids)
}

/// The error about a Job of which the API server said nothing until the limit.
fn not_known(job: &JobReference, limit: Duration) -> Error {
    Error::DeletionUnconfirmed(Box::new(
        Report::new(format!("Whether {job} is deleted is not known: the API server does not answer"))
            .seen(format!("{} s without an answer", (limit + NO_ANSWER).as_secs()))
            .hint("the same order again settles it once the API server answers")
            .fact("name", job.name.clone())
            .fact("namespace", job.namespace.clone())
            .fact("uid", job.uid.clone()),
    ))
}

/// One error for many: the first in full, the others by name.
fn together(mut failed: Vec<Error>, deleted: usize) -> Error {
    if failed.len() == 1 {
        return failed.remove(0);
    }
    let count = failed.len();
    let mut report =
        Report::new(format!("{count} of {} Jobs are not deleted", count + deleted)).fact("not_deleted", count);
    for error in failed.iter().take(NAMED) {
        report = report.seen(error.to_string().replace('\n', "\n  "));
    }
    if count > NAMED {
        report = report.seen(format!("and {} more", count - NAMED));
    }
    if let Some(hint) = failed.iter().find_map(|error| error.report().hint.clone()) {
        report = report.hint(hint);
    }
    Error::DeletionUnconfirmed(Box::new(report))
}
