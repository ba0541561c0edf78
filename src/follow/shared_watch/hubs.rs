//! The hubs of one cluster in this process, by namespace.
//!
//! Our own Jobs share one. Each Job made by others is watched by its name; from [`TOGETHER`] of them in a namespace on,
//! those that come share one watch without a selector: it tells of every Job there, which a few who wait do not need, but
//! a thousand watches by name, and as many of Pods, would be renewed 33 times a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{hub::Hub, index::Keep, subscription::Subscription, unattended::Unattended};
use crate::{cluster::Cluster, identity::Namespace, model::handoff::Handoff};

/// So many Jobs of others in a namespace are watched one by one.
const TOGETHER: usize = 20;

/// Where those who wait find the watch that they share.
pub struct Hubs {
    cluster: Cluster,
    running: Mutex<HashMap<(Namespace, Scope), Weak<Hub>>>,
    alone: Mutex<HashMap<Namespace, Weak<()>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Ours,
    Everything,
}

/// How a Job is watched.
pub(crate) enum WatchChoice {
    /// With others.
    Shared(Box<Subscription>),
    /// By itself; the token is held as long as that is so.
    Alone(Arc<()>),
}

impl Hubs {
    /// No watch yet.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, running: Mutex::default(), alone: Mutex::default() }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A place to wait for this Job. Must run inside a tokio runtime.
    pub(crate) fn place(&self, handoff: &Arc<Handoff>) -> WatchChoice {
        let namespace = &handoff.job.namespace;
        if handoff.owner.is_some() {
            return WatchChoice::Shared(Box::new(self.subscribe(handoff, Scope::Ours)));
        }
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let token = alone.get(namespace).and_then(Weak::upgrade).unwrap_or_default();
        // One count is ours.
        if Arc::strong_count(&token) > TOGETHER {
            return WatchChoice::Shared(Box::new(self.subscribe(handoff, Scope::Everything)));
        }
        alone.insert(namespace.clone(), Arc::downgrade(&token));
        WatchChoice::Alone(token)
    }

    /// The Jobs of a namespace that nobody waits for here; keeps the watch of our own going. Must run inside a tokio
    /// runtime.
    #[must_use]
    pub fn unattended(&self, namespace: &Namespace) -> Unattended {
        Unattended::new(self.hub(namespace, Scope::Ours))
    }

    fn subscribe(&self, handoff: &Arc<Handoff>, scope: Scope) -> Subscription {
        Subscription::new(self.hub(&handoff.job.namespace, scope), &self.cluster, handoff)
    }

    /// The watch of a namespace, which is started where it does not run.
    fn hub(&self, namespace: &Namespace, scope: Scope) -> Arc<Hub> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, hub| hub.strong_count() > 0);
        let key = (namespace.clone(), scope);
        running.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let keep = match scope {
                Scope::Ours => Keep::All,
                Scope::Everything => Keep::Waited,
            };
            let hub = Arc::new(Hub::start(&self.cluster, &key.0, keep));
            running.insert(key, Arc::downgrade(&hub));
            hub
        })
    }
}
