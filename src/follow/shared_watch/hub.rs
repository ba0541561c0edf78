//! Feeds an [`Index`] from one list and watch of Jobs and one of Pods, as long as somebody holds the hub.
//!
//! Promise: whatever happens to a watch (410, 401, a sudden 403, a restart of the API server, a half-open link), it
//! recovers by itself, and the waiters hear of it only if it lasts. Cost while nothing happens: each watch is renewed
//! once a minute.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::index::{Index, Keep};
use crate::{
    cluster::{Cluster, Failure, Pauses, Start, WatchEvent, watch_as},
    identity::{ACKNOWLEDGED, MANAGED_BY, Namespace, OURS},
    job_api::refusable_watch::RefusableWatch,
    model::{observed_job::ObservedJob, pod::lean_pod},
    resource::{Resource, Selector},
};

/// The waiters are not told about a watch that fails for less than this: an API server restarts in some seconds.
const REPORT_AFTER: Duration = Duration::from_secs(10);

/// The two watches of a namespace.
pub(crate) struct Hub {
    index: Arc<Mutex<Index>>,
    keep: Keep,
    watches: [JoinHandle<()>; 2],
}

impl Hub {
    /// Starts the watches. This must be called inside a tokio runtime.
    pub fn start(cluster: &Cluster, namespace: &Namespace, keep: Keep) -> Self {
        let index = Arc::new(Mutex::new(Index::new(keep)));
        let ours = format!("{MANAGED_BY}={OURS}");
        let (jobs, pods) = match keep {
            Keep::All => (Selector::labels(format!("{ours},!{ACKNOWLEDGED}")), Selector::labels(ours)),
            Keep::Waited => (Selector::default(), Selector::default()),
        };
        let watches = [
            tokio::spawn(feed(cluster.clone(), namespace.clone(), jobs, Arc::clone(&index), JobFeed)),
            tokio::spawn(feed(cluster.clone(), namespace.clone(), pods, Arc::clone(&index), PodFeed)),
        ];
        Self { index, keep, watches }
    }

    /// Whether this hub watches the Job.
    pub fn watches(&self, job: &ObservedJob) -> bool {
        let ours = job.job.metadata.labels.managed_by.as_deref() == Some(OURS);
        self.keep == Keep::Waited || (ours && !job.acknowledged())
    }

    pub fn index(&self) -> MutexGuard<'_, Index> {
        locked(&self.index)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

fn locked(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object as it was read from an answer.
enum Read<T> {
    Understood(T),
    /// The Job of this uid is in a state that cannot be understood: its waiter has to send a GET.
    Unclear(String, Failure),
    /// The object is not ours.
    Foreign,
}

/// A resource and its place in the index.
trait WatchFeed: Copy + Send + 'static {
    type Object: Send + 'static;
    const RESOURCE: Resource;

    fn read(object: Value) -> Read<Self::Object>;
    fn apply(index: &mut Index, object: Self::Object, gone: bool);
    fn relist(index: &mut Index, objects: Vec<Self::Object>);
}

#[derive(Clone, Copy)]
struct JobFeed;

impl WatchFeed for JobFeed {
    type Object = Arc<ObservedJob>;
    const RESOURCE: Resource = Resource::Jobs;

    fn read(object: Value) -> Read<Self::Object> {
        match ObservedJob::read(&object) {
            Ok(seen) => Read::Understood(Arc::new(seen)),
            Err(error) => {
                let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                Read::Unclear(uid, error.into())
            }
        }
    }

    fn apply(index: &mut Index, job: Self::Object, gone: bool) {
        if gone {
            index.remove_job(job);
        } else {
            index.apply_job(job);
        }
    }

    fn relist(index: &mut Index, jobs: Vec<Self::Object>) {
        index.relist_jobs(jobs);
    }
}

#[derive(Clone, Copy)]
struct PodFeed;

impl WatchFeed for PodFeed {
    type Object = Arc<Pod>;
    const RESOURCE: Resource = Resource::Pods;

    fn read(object: Value) -> Read<Self::Object> {
        lean_pod(object).map_or(Read::Foreign, Read::Understood)
    }

    fn apply(index: &mut Index, pod: Self::Object, gone: bool) {
        index.apply_pod(pod, gone);
    }

    fn relist(index: &mut Index, pods: Vec<Self::Object>) {
        index.relist_pods(pods);
    }
}

async fn feed<F: WatchFeed>(
    cluster: Cluster,
    namespace: Namespace,
    selector: Selector,
    index: Arc<Mutex<Index>>,
    _: F,
) {
    let pauses = Pauses::new(cluster.next_seed());
    let events = watch_as(cluster, F::RESOURCE, namespace, selector, Start::List, pauses, F::read);
    let mut watch = RefusableWatch::of_many(events, REPORT_AFTER);
    loop {
        let event = watch.next().await;
        let mut index = locked(&index);
        match event {
            Ok(WatchEvent::Applied(read)) => feed_one::<F>(&mut index, read, false),
            Ok(WatchEvent::Deleted(read)) => feed_one::<F>(&mut index, read, true),
            Ok(WatchEvent::Relisted(all)) => {
                let (mut understood, mut unclear) = (Vec::new(), Vec::new());
                for read in all {
                    match read {
                        Read::Understood(object) => understood.push(object),
                        Read::Unclear(uid, failure) => unclear.push((uid, failure)),
                        Read::Foreign => {}
                    }
                }
                F::relist(&mut index, understood);
                for (uid, failure) in unclear {
                    index.unclear(&uid, failure);
                }
            }
            Ok(WatchEvent::Opened) => {}
            Ok(WatchEvent::Steady) => index.works(F::RESOURCE),
            Ok(WatchEvent::Interrupted(failure)) => index.interrupted(F::RESOURCE, failure),
            Err(failure) => index.refused(F::RESOURCE, failure),
        }
    }
}

fn feed_one<F: WatchFeed>(index: &mut Index, read: Read<F::Object>, gone: bool) {
    match read {
        Read::Understood(object) => F::apply(index, object, gone),
        Read::Unclear(uid, failure) => index.unclear(&uid, failure),
        Read::Foreign => {}
    }
}
