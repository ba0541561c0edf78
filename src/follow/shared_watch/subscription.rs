//! One who waits for one Job at a hub.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{hub::Hub, index::Version};
use crate::{
    cluster::Cluster,
    follow::feed::{CHECK_EVERY, FeedEvent},
    identity::Owner,
    model::{
        handoff::Handoff,
        observed_job::ObservedJob,
        pod::{by_controller_uid, lean_pod},
    },
    resource::Resource,
};

/// While the watch does not work, all who wait at a hub ask for at most so many Jobs in a second.
const ASKED_A_SECOND: u32 = 8;
/// The shortest pause between two questions of one of them: meanwhile the hub itself lists.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// News of one Job, as long as it is held.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    cluster: Cluster,
    handoff: Arc<Handoff>,
    told: Arc<Notify>,
    seen: Version,
    pending: VecDeque<FeedEvent>,
}

impl Subscription {
    pub(crate) fn new(hub: Arc<Hub>, cluster: &Cluster, handoff: &Arc<Handoff>) -> Self {
        let Handoff { job, owner, task, .. } = &**handoff;
        let told = Arc::new(Notify::new());
        let mut index = hub.index();
        index.subscribe(&job.uid, task.as_ref(), &told);
        // A first try has no predecessor.
        let retries = owner.as_ref().and_then(Owner::try_number).is_some_and(|number| number > 1);
        if let Some(task) = task.as_ref().filter(|_| retries) {
            index.recall_siblings(&job.uid, task);
        }
        drop(index);
        Self { hub, cluster: cluster.clone(), handoff: Arc::clone(handoff), told, seen: 0, pending: VecDeque::new() }
    }

    /// Where the Job is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Which Job, for whom.
    pub fn handoff(&self) -> &Handoff {
        &self.handoff
    }

    /// The Job as a GET has shown it that was sent after the last news: true where the watch will show it from now on.
    pub fn found(&self, seen: &Arc<ObservedJob>) -> bool {
        let watched = self.hub.watches(seen);
        if watched {
            self.hub.index().found(Arc::clone(seen), self.seen);
        }
        watched
    }

    /// The pause between two GETs of the Job while the watch does not work.
    pub fn ask_every(&self) -> Duration {
        ASK_EVERY.max(self.a_second_each() / ASKED_A_SECOND)
    }

    /// The pause before a GET of a Job of which the watch tells nothing: one a second, over all who wait.
    pub fn check_every(&self) -> Duration {
        CHECK_EVERY.max(self.a_second_each())
    }

    fn a_second_each(&self) -> Duration {
        Duration::from_secs(self.hub.index().waiting() as u64)
    }

    /// Lists the Pods once: the watch keeps none that came before their Job. Where this fails they are seen as they
    /// change, and at the end.
    pub async fn list_pods(&self) {
        let job = &self.handoff.job;
        if let Ok(listed) = self.cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await {
            let pods = listed.items.into_iter().filter_map(lean_pod).collect();
            self.hub.index().found_pods(&self.handoff.job.uid, pods, self.seen);
        }
    }

    /// Tells everything anew.
    pub fn rewind(&mut self) {
        self.seen = 0;
        self.pending.clear();
    }

    /// The next news. Nothing is lost where this is cancelled.
    pub async fn next(&mut self) -> FeedEvent {
        loop {
            if let Some(news) = self.pending.pop_front() {
                return news;
            }
            self.seen = self.hub.index().news_since(&self.handoff.job.uid, self.seen, &mut self.pending);
            if self.pending.is_empty() {
                self.told.notified().await;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.index().unsubscribe(&self.handoff.job.uid, self.handoff.task.as_ref(), &self.told);
    }
}
