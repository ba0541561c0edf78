//! The hubs of one cluster in this process, by namespace.
//!
//! Our own Jobs share one. Each Job made by others is watched by its name; from [`TOGETHER`] of them in a namespace on,
//! those that come share one watch without a selector.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{hub::Hub, index::Keep, subscription::Subscription};
use crate::{cluster::Cluster, job::subject::Subject};

/// So many Jobs of others in a namespace are watched one by one.
const TOGETHER: usize = 20;

/// Where those who wait find the watch that they share.
pub struct Hubs {
    cluster: Cluster,
    running: Mutex<HashMap<(String, Scope), Weak<Hub>>>,
    alone: Mutex<HashMap<String, Weak<()>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Ours,
    Everything,
}

/// How a Job is watched.
pub(in crate::job) enum Place {
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
    pub(in crate::job) fn place(&self, subject: &Arc<Subject>) -> Place {
        let namespace = &subject.job.namespace;
        if subject.owner.is_some() {
            return Place::Shared(Box::new(self.subscribe(subject, Scope::Ours)));
        }
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let token = alone.get(namespace).and_then(Weak::upgrade).unwrap_or_default();
        // One count is ours.
        if Arc::strong_count(&token) > TOGETHER {
            return Place::Shared(Box::new(self.subscribe(subject, Scope::Everything)));
        }
        alone.insert(namespace.clone(), Arc::downgrade(&token));
        Place::Alone(token)
    }

    fn subscribe(&self, subject: &Arc<Subject>, scope: Scope) -> Subscription {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, hub| hub.strong_count() > 0);
        let key = (subject.job.namespace.clone(), scope);
        let hub = running.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let keep = match scope {
                Scope::Ours => Keep::All,
                Scope::Everything => Keep::Waited,
            };
            let hub = Arc::new(Hub::start(&self.cluster, &key.0, keep));
            running.insert(key, Arc::downgrade(&hub));
            hub
        });
        Subscription::new(hub, &self.cluster, subject)
    }
}
