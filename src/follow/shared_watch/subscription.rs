//! Brings the events of one Job from a hub to one waiter.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{hub::Hub, index::Version};
use crate::{
    cluster::Cluster,
    follow::feed::{CHECK_EVERY, FeedEvent},
    identity::Owner,
    job_api::{pods::lean_pods_of_job, refusable_watch::pause_between_gets},
    model::{handoff::Handoff, observed_job::ObservedJob},
};

/// The shortest pause between two GETs of one waiter: meanwhile the hub itself lists.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Brings events of one Job as long as it is held.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    cluster: Cluster,
    handoff: Arc<Handoff>,
    notify: Arc<Notify>,
    seen: Version,
    pending: VecDeque<FeedEvent>,
}

impl Subscription {
    pub(crate) fn new(hub: Arc<Hub>, cluster: &Cluster, handoff: &Arc<Handoff>) -> Self {
        let Handoff { job, owner, task, .. } = &**handoff;
        let notify = Arc::new(Notify::new());
        let mut index = hub.index();
        index.subscribe(&job.uid, task.as_ref(), &notify);
        // A first try has no predecessor.
        let retries = owner.as_ref().and_then(Owner::try_number).is_some_and(|number| number > 1);
        if let Some(task) = task.as_ref().filter(|_| retries) {
            index.recall_siblings(&job.uid, task);
        }
        drop(index);
        Self { hub, cluster: cluster.clone(), handoff: Arc::clone(handoff), notify, seen: 0, pending: VecDeque::new() }
    }

    /// The cluster of the Job.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The hand-off that names the Job and its owner.
    pub fn handoff(&self) -> &Handoff {
        &self.handoff
    }

    /// Takes in the Job from a GET that was sent after the last event. True if the watch will report it from now on.
    pub fn found(&self, seen: &Arc<ObservedJob>) -> bool {
        let watched = self.hub.watches(seen);
        if watched {
            self.hub.index().found(Arc::clone(seen), self.seen);
        }
        watched
    }

    /// The pause between two GETs of the Job while the watch does not work.
    pub fn ask_every(&self) -> Duration {
        ASK_EVERY.max(pause_between_gets(self.hub.index().waiting()))
    }

    /// The pause before a GET of the Job if the watch works but reports nothing about it: all waiters together send one
    /// a second.
    pub fn check_every(&self) -> Duration {
        CHECK_EVERY.max(Duration::from_secs(self.hub.index().waiting() as u64))
    }

    /// Lists the Pods once, because the index drops Pods that came before their Job. If this fails, Pods are seen when
    /// they change, and at the end.
    pub async fn list_pods(&self) {
        if let Ok(pods) = lean_pods_of_job(&self.cluster, &self.handoff.job).await {
            self.hub.index().found_pods(&self.handoff.job.uid, pods, self.seen);
        }
    }

    /// Brings every event again from the beginning.
    pub fn rewind(&mut self) {
        self.seen = 0;
        self.pending.clear();
    }

    /// The next event. Cancelling this future loses nothing.
    pub async fn next(&mut self) -> FeedEvent {
        loop {
            if let Some(news) = self.pending.pop_front() {
                return news;
            }
            self.seen = self.hub.index().events_since(&self.handoff.job.uid, self.seen, &mut self.pending);
            if self.pending.is_empty() {
                self.notify.notified().await;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.index().unsubscribe(&self.handoff.job.uid, self.handoff.task.as_ref(), &self.notify);
    }
}
