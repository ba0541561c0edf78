//! One watch of Jobs for all Jobs of one order that do not go at once.
//!
//! Opened by the first that needs it. What leaves the watch, or is missing after a gap, may be gone: whoever waits for
//! it looks by name, for absence is never an answer. Where watching is forbidden everybody looks from time to time.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    sync::watch::{Receiver, Sender, channel},
    task::JoinHandle,
};

use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Start, WatchEvent, watch},
    job::seen::{JobReference, SeenJob},
};

/// Pause between two looks where there is no watch.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the watch says of one Job. Newest value wins.
#[derive(Debug, Clone)]
pub(super) enum Sighting {
    /// Nothing yet.
    Unseen,
    /// This is its newest state.
    Present(Arc<SeenJob>),
    /// It left the watch, or a whole list is without it: look.
    Missing,
    /// Nothing is watched: look from time to time.
    Blind,
}

/// The watch, once somebody needs it.
pub(super) struct Sightings {
    cluster: Cluster,
    namespace: String,
    selector: Selector,
    jobs: Arc<Mutex<Jobs>>,
}

#[derive(Default)]
struct Jobs {
    by_uid: HashMap<String, Sender<Sighting>>,
    blind: bool,
    task: Option<JoinHandle<()>>,
}

impl Sightings {
    pub fn new(cluster: Cluster, namespace: String, selector: Selector) -> Self {
        Self { cluster, namespace, selector, jobs: Arc::default() }
    }

    /// What is seen of this Job from now on.
    pub fn subscribe(&self, job: &JobReference) -> Receiver<Sighting> {
        let mut jobs = lock(&self.jobs);
        let first = if jobs.blind { Sighting::Blind } else { Sighting::Unseen };
        let (sender, receiver) = channel(first);
        jobs.by_uid.insert(job.uid.clone(), sender);
        if jobs.task.is_none() {
            let (cluster, namespace, selector) = (self.cluster.clone(), self.namespace.clone(), self.selector.clone());
            jobs.task = Some(tokio::spawn(run(cluster, namespace, selector, Arc::clone(&self.jobs))));
        }
        receiver
    }
}

impl Drop for Sightings {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.jobs).task.take() {
            task.abort();
        }
    }
}

async fn run(cluster: Cluster, namespace: String, selector: Selector, jobs: Arc<Mutex<Jobs>>) {
    let mut events = watch(cluster, Resource::Jobs, namespace, selector, Start::List).boxed();
    while let Some(event) = events.next().await {
        if !lock(&jobs).apply(event) {
            return;
        }
    }
}

impl Jobs {
    /// Whether the watch goes on.
    fn apply(&mut self, event: WatchEvent) -> bool {
        match event {
            WatchEvent::Applied(object) => self.present(&object),
            WatchEvent::Deleted(object) => {
                let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                self.tell(uid, Sighting::Missing);
            }
            WatchEvent::Relisted(objects) => {
                let uids: HashSet<_> = objects.iter().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
                for (uid, sender) in &self.by_uid {
                    if !uids.contains(&uid.as_str()) {
                        sender.send_replace(Sighting::Missing);
                    }
                }
                for object in &objects {
                    self.present(object);
                }
            }
            WatchEvent::Opened => {}
            WatchEvent::Interrupted(failure) => {
                // A right that is missing does not come by asking; everything else heals.
                let refused =
                    matches!(failure, Failure::Unusable(_)) || matches!(failure.code(), Some(401 | 403 | 404));
                if refused {
                    self.blind = true;
                    for sender in self.by_uid.values() {
                        sender.send_replace(Sighting::Blind);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn present(&mut self, object: &serde_json::Value) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if self.by_uid.contains_key(uid)
            && let Ok(seen) = SeenJob::read(object)
        {
            self.tell(uid, Sighting::Present(Arc::new(seen)));
        }
    }

    fn tell(&mut self, uid: &str, sighting: Sighting) {
        self.by_uid.retain(|_, sender| !sender.is_closed());
        if let Some(sender) = self.by_uid.get(uid) {
            sender.send_replace(sighting);
        }
    }
}

fn lock(jobs: &Mutex<Jobs>) -> MutexGuard<'_, Jobs> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}
