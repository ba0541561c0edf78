//! One who waits for one Job at a hub.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

use super::{hub::Hub, index::Version};
use crate::{
    cluster::{Cluster, Resource},
    identity::Owner,
    job::{delete::by_controller_uid, seen::SeenJob, sources::News, subject::Subject, view::lean_pod},
};

/// News of one Job, as long as it is held.
pub(in crate::job) struct Subscription {
    hub: Arc<Hub>,
    cluster: Cluster,
    subject: Arc<Subject>,
    told: Arc<Notify>,
    seen: Version,
    pending: VecDeque<News>,
}

impl Subscription {
    pub(super) fn new(hub: Arc<Hub>, cluster: &Cluster, subject: &Arc<Subject>) -> Self {
        let Subject { job, owner, task, .. } = &**subject;
        let told = Arc::new(Notify::new());
        let mut index = hub.index();
        index.subscribe(&job.uid, task.as_ref(), &told);
        // A first try has no predecessor.
        let retries = owner.as_ref().and_then(Owner::try_number).is_some_and(|number| number > 1);
        if let Some(task) = task.as_ref().filter(|_| retries) {
            index.recall_siblings(&job.uid, task);
        }
        drop(index);
        Self { hub, cluster: cluster.clone(), subject: Arc::clone(subject), told, seen: 0, pending: VecDeque::new() }
    }

    /// Where the Job is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Which Job, for whom.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The Job as a GET has shown it that was sent after the last news: true where the watch will show it from now on.
    pub fn found(&self, seen: &Arc<SeenJob>) -> bool {
        let watched = self.hub.watches(seen);
        if watched {
            self.hub.index().found(Arc::clone(seen), self.seen);
        }
        watched
    }

    /// Lists the Pods once: the watch keeps none that came before their Job. Where this fails they are seen as they
    /// change, and at the end.
    pub async fn list_pods(&self) {
        let job = &self.subject.job;
        if let Ok(listed) = self.cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await {
            let pods = listed.items.into_iter().filter_map(lean_pod).collect();
            self.hub.index().found_pods(&self.subject.job.uid, pods, self.seen);
        }
    }

    /// Tells everything anew.
    pub fn rewind(&mut self) {
        self.seen = 0;
        self.pending.clear();
    }

    /// The next news. Nothing is lost where this is cancelled.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.pending.pop_front() {
                return news;
            }
            self.seen = self.hub.index().news_since(&self.subject.job.uid, self.seen, &mut self.pending);
            if self.pending.is_empty() {
                self.told.notified().await;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.index().unsubscribe(&self.subject.job.uid, self.subject.task.as_ref(), &self.told);
    }
}
