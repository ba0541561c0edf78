//! Brings the events of a Job and its Pods to a follower: from watches of its own, or from the watch that all share.
//!
//! Promise: every state that matters arrives, in order, or a newer one in its place. A Job that is absent is reported
//! as [`FeedEvent::Missing`], which alone never proves that it is gone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;

use super::shared_watch::Subscription;
use crate::{
    cluster::{Cluster, Failure, Pauses, Start, WatchEvent, watch},
    identity::TASK,
    job_api::refusable_watch::{RefusableWatch, poll_job},
    model::{
        handoff::Handoff,
        observed_job::{JobReference, ObservedJob},
        pod::{by_controller_uid, lean_pod},
    },
    resource::{Resource, Selector},
};

/// How often a Job is read by GET if it cannot be watched.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(5);

/// How often a Job is read by GET if its watch works but reports nothing: a watch can be open and wrong.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(600);

/// An event of a feed.
#[derive(Debug)]
pub(crate) enum FeedEvent {
    /// The newest state of the Job.
    Job(Arc<ObservedJob>),
    /// The Job left the source, or is not in it. Only a GET shows whether it is gone.
    Missing,
    /// The source sent a state of the Job that cannot be understood. Only a GET shows its state.
    Unclear(Failure),
    /// Another Job of the same task.
    Other(Arc<ObservedJob>),
    /// The newest state of a Pod, and whether its deletion was seen.
    Pod(Arc<Pod>, bool),
    /// All Pods that exist at present.
    Pods(Vec<Arc<Pod>>),
    /// The watch of Pods is open, so the right to it exists; nothing is known of the Pods yet.
    PodsWatched,
    /// The source has worked for a while, since it began or since [`FeedEvent::Interrupted`].
    Contact(Resource),
    /// The source does not work at present; it recovers by itself.
    Interrupted(Resource, Failure),
    /// The source was refused, and this is final.
    Refused(Resource, Failure),
}

/// The source of the events.
pub(crate) enum Feed {
    /// Watches for one follower alone.
    Own(Box<OwnWatches>),
    /// The watch that all share.
    Shared(Box<Subscription>),
}

impl Feed {
    /// Watches for one follower alone; `seen` is the state of the Job that the watch goes on from.
    /// `alone` is the token of one who is watched by itself.
    pub fn own(cluster: &Cluster, handoff: &Handoff, seen: &ObservedJob, alone: Option<Arc<()>>) -> Self {
        Self::Own(Box::new(OwnWatches { _alone: alone, ..OwnWatches::new(cluster, handoff, seen) }))
    }

    /// Takes in a Job that a GET has found although the feed reported it as missing: it may have been made a moment
    /// ago, or its labels were changed.
    pub fn found(&mut self, seen: &Arc<ObservedJob>) {
        match self {
            Self::Own(watches) => watches.watch_by_name(),
            Self::Shared(subscription) if subscription.found(seen) => {}
            Self::Shared(_) => self.alone().watch_by_name(),
        }
    }

    /// The pause between two GETs of the Job while the source does not work.
    pub fn ask_every(&self) -> Duration {
        match self {
            Self::Own(_) => ASK_EVERY,
            Self::Shared(subscription) => subscription.ask_every(),
        }
    }

    /// The pause before a GET of the Job if the source works but reports nothing about it.
    pub fn check_every(&self) -> Duration {
        match self {
            Self::Own(_) => CHECK_EVERY,
            Self::Shared(subscription) => subscription.check_every(),
        }
    }

    /// From now on the Job is read every [`ASK_EVERY`], because Jobs cannot be watched.
    pub fn ask(&mut self) {
        match self {
            Self::Own(watches) => watches.ask(),
            Self::Shared(_) => self.alone().ask(),
        }
    }

    /// Stops watching Pods, because there is no right to it.
    pub fn without_pods(&mut self) {
        match self {
            Self::Own(watches) => watches.pods = None,
            // The shared watch goes on as soon as somebody grants the right.
            Self::Shared(_) => {}
        }
    }

    /// The next event. Cancelling this future loses nothing.
    pub async fn next(&mut self) -> FeedEvent {
        match self {
            // Of a thousand who wait, nearly all share a watch: their futures are kept small.
            Self::Own(watches) => Box::pin(watches.next()).await,
            Self::Shared(subscription) => subscription.next().await,
        }
    }

    fn alone(&mut self) -> &mut OwnWatches {
        if let Self::Shared(subscription) = self {
            *self = Self::Own(Box::new(OwnWatches::by_name(subscription.cluster(), &subscription.handoff().job)));
        }
        match self {
            Self::Own(watches) => watches,
            Self::Shared(_) => unreachable!("replaced above"),
        }
    }
}

/// The watches of one Job and its Pods.
pub(crate) struct OwnWatches {
    cluster: Cluster,
    job: JobReference,
    jobs: RefusableWatch,
    pods: Option<RefusableWatch>,
    /// The pauses of whichever watch of Jobs is used.
    pauses: Pauses,
    pending: VecDeque<FeedEvent>,
    /// Counts the Jobs that have watches of their own.
    _alone: Option<Arc<()>>,
}

impl OwnWatches {
    fn new(cluster: &Cluster, handoff: &Handoff, seen: &ObservedJob) -> Self {
        let job = &handoff.job;
        // A Job that was taken over from another deployment carries another label.
        let task = handoff
            .task
            .as_ref()
            .filter(|task| seen.attempt_metadata.as_ref().is_some_and(|m| m.task_digest == **task));
        let selector =
            task.map_or_else(|| Selector::name(&job.name), |task| Selector::labels(format!("{TASK}={task}")));
        Self::with(cluster, job, selector, Start::Version(seen.resource_version.clone()))
    }

    fn by_name(cluster: &Cluster, job: &JobReference) -> Self {
        Self::with(cluster, job, Selector::name(&job.name), Start::List)
    }

    fn with(cluster: &Cluster, job: &JobReference, selector: Selector, from: Start) -> Self {
        let watched = |resource, selector, start, pauses| {
            watch(cluster.clone(), resource, job.namespace.clone(), selector, start, pauses)
        };
        let [pauses, of_pods] = [(); 2].map(|()| Pauses::new(cluster.next_seed()));
        Self {
            jobs: RefusableWatch::of_one(watched(Resource::Jobs, selector, from, pauses.clone())),
            pods: Some(RefusableWatch::of_one(watched(
                Resource::Pods,
                by_controller_uid(job),
                Start::Present,
                of_pods,
            ))),
            pauses,
            cluster: cluster.clone(),
            job: job.clone(),
            pending: VecDeque::new(),
            _alone: None,
        }
    }

    fn watch_by_name(&mut self) {
        let (namespace, selector, pauses) =
            (self.job.namespace.clone(), Selector::name(&self.job.name), self.pauses.clone());
        self.jobs.go_on_with(watch(self.cluster.clone(), Resource::Jobs, namespace, selector, Start::List, pauses));
    }

    fn ask(&mut self) {
        self.jobs = RefusableWatch::of_one(poll_job(self.cluster.clone(), self.job.clone(), ASK_EVERY));
    }

    async fn next(&mut self) -> FeedEvent {
        loop {
            if let Some(news) = self.pending.pop_front() {
                return news;
            }
            let (jobs, pods) = (&mut self.jobs, &mut self.pods);
            let next_of_pods = async {
                match pods {
                    Some(pods) => pods.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = jobs.next() => self.of_jobs(event),
                event = next_of_pods => self.of_pods(event),
            }
        }
    }

    fn of_jobs(&mut self, event: Result<WatchEvent, Failure>) {
        let news = match event {
            Ok(WatchEvent::Applied(object)) => {
                self.read(&object);
                None
            }
            Ok(WatchEvent::Deleted(object)) => self.read(&object).then_some(FeedEvent::Missing),
            Ok(WatchEvent::Relisted(objects)) => {
                let mut found = false;
                for object in &objects {
                    found |= self.read(object);
                }
                (!found).then_some(FeedEvent::Missing)
            }
            Ok(WatchEvent::Opened) => None,
            Ok(WatchEvent::Steady) => Some(FeedEvent::Contact(Resource::Jobs)),
            Ok(WatchEvent::Interrupted(failure)) => Some(FeedEvent::Interrupted(Resource::Jobs, failure)),
            Err(failure) => Some(FeedEvent::Refused(Resource::Jobs, failure)),
        };
        self.pending.extend(news);
    }

    /// Reads one object; true if it is the Job itself.
    fn read(&mut self, object: &serde_json::Value) -> bool {
        match ObservedJob::read(object) {
            Ok(seen) if seen.reference.uid == self.job.uid => {
                self.pending.push_back(FeedEvent::Job(Arc::new(seen)));
                true
            }
            Ok(seen) => {
                self.pending.push_back(FeedEvent::Other(Arc::new(seen)));
                false
            }
            Err(unreadable) => {
                let ours = object["metadata"]["uid"].as_str().is_none_or(|uid| uid == self.job.uid);
                if ours {
                    self.pending.push_back(FeedEvent::Unclear(unreadable.into()));
                }
                ours
            }
        }
    }

    fn of_pods(&mut self, event: Result<WatchEvent, Failure>) {
        self.pending.extend(match event {
            Ok(WatchEvent::Applied(object)) => lean_pod(object).map(|pod| FeedEvent::Pod(pod, false)),
            Ok(WatchEvent::Deleted(object)) => lean_pod(object).map(|pod| FeedEvent::Pod(pod, true)),
            Ok(WatchEvent::Relisted(objects)) => {
                Some(FeedEvent::Pods(objects.into_iter().filter_map(lean_pod).collect()))
            }
            Ok(WatchEvent::Opened) => Some(FeedEvent::PodsWatched),
            Ok(WatchEvent::Steady) => Some(FeedEvent::Contact(Resource::Pods)),
            Ok(WatchEvent::Interrupted(failure)) => Some(FeedEvent::Interrupted(Resource::Pods, failure)),
            Err(failure) => Some(FeedEvent::Refused(Resource::Pods, failure)),
        });
    }
}
