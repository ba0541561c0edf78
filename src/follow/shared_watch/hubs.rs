//! Keeps the hubs of one cluster in this process, by namespace.
//!
//! Our own Jobs of a namespace share one hub. A Job made by others is watched by its name, because a watch without a
//! selector reports every Job of the namespace. If [`TOGETHER`] such Jobs of a namespace are waited for, further ones
//! share one watch without a selector all the same: a thousand watches by name, and as many of Pods, would be renewed
//! 33 times a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{hub::Hub, index::Keep, subscription::Subscription, unattended::Unattended};
use crate::{cluster::Cluster, identity::Namespace, model::handoff::Handoff};

/// This many Jobs of others in a namespace are watched one by one.
const TOGETHER: usize = 20;

/// Gives each waiter the watch that it shares with others.
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
    /// The Job shares a watch with others.
    Shared(Box<Subscription>),
    /// The Job has watches of its own; the token is held as long as they run.
    Alone(Arc<()>),
}

impl Hubs {
    /// Hubs without any watch yet.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, running: Mutex::default(), alone: Mutex::default() }
    }

    /// The cluster of these hubs.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Chooses how this Job is watched. This must be called inside a tokio runtime.
    pub(crate) fn choose_watch(&self, handoff: &Arc<Handoff>) -> WatchChoice {
        let namespace = &handoff.job.namespace;
        if handoff.owner.is_some() {
            return WatchChoice::Shared(Box::new(self.subscribe(handoff, Scope::Ours)));
        }
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let token = alone.get(namespace).and_then(Weak::upgrade).unwrap_or_default();
        // The count includes `token` itself.
        if Arc::strong_count(&token) > TOGETHER {
            return WatchChoice::Shared(Box::new(self.subscribe(handoff, Scope::Everything)));
        }
        alone.insert(namespace.clone(), Arc::downgrade(&token));
        WatchChoice::Alone(token)
    }

    /// The Jobs of a namespace that no trigger of this process waits for. While it is held, the watch of our own Jobs
    /// runs. This must be called inside a tokio runtime.
    #[must_use]
    pub fn unattended(&self, namespace: &Namespace) -> Unattended {
        Unattended::new(self.hub(namespace, Scope::Ours))
    }

    fn subscribe(&self, handoff: &Arc<Handoff>, scope: Scope) -> Subscription {
        Subscription::new(self.hub(&handoff.job.namespace, scope), &self.cluster, handoff)
    }

    /// The hub of a namespace, which is started if it does not run.
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
