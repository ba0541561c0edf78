//! Where a follower's news of its Job and Pods comes from: watches of its own, or the one that all share.
//!
//! Promise: every state that matters arrives, in order, or the newest one takes the place of those before it. Absence
//! is told as [`News::Missing`], which is never an answer by itself.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::Pod;

use super::{
    delete::by_controller_uid,
    patience::Patience,
    seen::{JobReference, SeenJob},
    subject::Subject,
    view::lean_pod,
    watch::Subscription,
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Start, WatchEvent, watch},
    identity::TASK,
};

/// How often a Job is asked for where it cannot be watched.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(5);

/// What a source tells.
#[derive(Debug)]
pub(super) enum News {
    /// The Job's newest state.
    Job(Arc<SeenJob>),
    /// The Job left the source, or is not in it: only a GET tells whether it is gone.
    Missing,
    /// A Job of the same task.
    Other(Arc<SeenJob>),
    /// The newest state of a Pod, and whether its deletion was seen.
    Pod(Arc<Pod>, bool),
    /// All Pods there are at present.
    Pods(Vec<Arc<Pod>>),
    /// It works again after [`News::Interrupted`].
    Contact(Resource),
    /// The source does not work at present; it goes on by itself.
    Interrupted(Resource, Failure),
    /// It was refused for good.
    Refused(Resource, Failure),
}

/// Where news come from.
pub(super) enum Sources {
    /// Watches for one follower alone.
    Own(Box<OwnWatches>),
    /// The watch that all share.
    Shared(Box<Subscription>),
}

impl Sources {
    /// Watches for one follower alone; `seen` is the state of the Job that the watch goes on from.
    /// `alone` is the token of one who is watched by itself.
    pub fn own(cluster: &Cluster, subject: &Subject, seen: &SeenJob, alone: Option<Arc<()>>) -> Self {
        Self::Own(Box::new(OwnWatches { _alone: alone, ..OwnWatches::new(cluster, subject, seen) }))
    }

    /// The Job is there, as a GET has shown, although it is missing here: it may have been made a moment ago, or its
    /// labels were changed.
    pub fn found(&mut self, seen: &Arc<SeenJob>) {
        match self {
            Self::Own(watches) => watches.watch_by_name(),
            Self::Shared(subscription) if subscription.found(seen) => {}
            Self::Shared(_) => self.alone().watch_by_name(),
        }
    }

    /// There is no right to watch Jobs: from now on the Job is asked for every [`ASK_EVERY`].
    pub fn ask(&mut self) {
        match self {
            Self::Own(watches) => watches.ask(),
            Self::Shared(_) => self.alone().ask(),
        }
    }

    /// There is no right to watch Pods.
    pub fn without_pods(&mut self) {
        match self {
            Self::Own(watches) => watches.pods = None,
            // It goes on if somebody gives the right.
            Self::Shared(_) => {}
        }
    }

    /// The next news. Nothing is lost where this is cancelled.
    pub async fn next(&mut self) -> News {
        match self {
            Self::Own(watches) => watches.next().await,
            Self::Shared(subscription) => subscription.next().await,
        }
    }

    fn alone(&mut self) -> &mut OwnWatches {
        if let Self::Shared(subscription) = self {
            *self = Self::Own(Box::new(OwnWatches::by_name(subscription.cluster(), &subscription.subject().job)));
        }
        match self {
            Self::Own(watches) => watches,
            Self::Shared(_) => unreachable!("replaced above"),
        }
    }
}

/// The watches of one Job and its Pods.
pub(super) struct OwnWatches {
    cluster: Cluster,
    job: JobReference,
    jobs: BoxStream<'static, WatchEvent>,
    pods: Option<BoxStream<'static, WatchEvent>>,
    health: [Health; 2],
    pending: VecDeque<News>,
    /// Counts those who are watched by themselves.
    _alone: Option<Arc<()>>,
}

impl OwnWatches {
    fn new(cluster: &Cluster, subject: &Subject, seen: &SeenJob) -> Self {
        let job = &subject.job;
        // A Job that was taken over from another deployment carries another label.
        let task = subject.task.as_ref().filter(|task| seen.marks.as_ref().is_some_and(|m| m.task_digest == **task));
        let selector = task.map_or_else(|| by_name(job), |task| Selector::labels(format!("{TASK}={task}")));
        Self::with(cluster, job, selector, Start::Version(seen.resource_version.clone()))
    }

    fn by_name(cluster: &Cluster, job: &JobReference) -> Self {
        Self::with(cluster, job, by_name(job), Start::List)
    }

    fn with(cluster: &Cluster, job: &JobReference, selector: Selector, from: Start) -> Self {
        let watched =
            |resource, selector, start| watch(cluster.clone(), resource, job.namespace.clone(), selector, start);
        Self {
            jobs: watched(Resource::Jobs, selector, from).boxed(),
            pods: Some(watched(Resource::Pods, by_controller_uid(job), Start::List).boxed()),
            cluster: cluster.clone(),
            job: job.clone(),
            health: <[Health; 2]>::default(),
            pending: VecDeque::new(),
            _alone: None,
        }
    }

    fn watch_by_name(&mut self) {
        let (namespace, selector) = (self.job.namespace.clone(), by_name(&self.job));
        self.jobs = watch(self.cluster.clone(), Resource::Jobs, namespace, selector, Start::List).boxed();
    }

    fn ask(&mut self) {
        self.health[0] = Health::default();
        self.jobs = asked_for(self.cluster.clone(), self.job.clone()).boxed();
    }

    async fn next(&mut self) -> News {
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
                Some(event) = jobs.next() => self.of_jobs(event),
                Some(event) = next_of_pods => self.of_pods(event),
            }
        }
    }

    fn of_jobs(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Applied(object) => {
                self.contact(Resource::Jobs, Works::Wholly);
                self.read(&object);
            }
            WatchEvent::Deleted(object) => {
                self.contact(Resource::Jobs, Works::Wholly);
                if self.read(&object) {
                    self.pending.push_back(News::Missing);
                }
            }
            WatchEvent::Relisted(objects) => {
                self.contact(Resource::Jobs, Works::Partly);
                let mut found = false;
                for object in &objects {
                    found |= self.read(object);
                }
                if !found {
                    self.pending.push_back(News::Missing);
                }
            }
            WatchEvent::Opened => self.contact(Resource::Jobs, Works::Wholly),
            WatchEvent::Interrupted(failure) => self.interrupted(Resource::Jobs, failure),
        }
    }

    /// True for the Job itself.
    fn read(&mut self, object: &serde_json::Value) -> bool {
        match SeenJob::read(object) {
            Ok(seen) if seen.reference.uid == self.job.uid => {
                self.pending.push_back(News::Job(Arc::new(seen)));
                true
            }
            Ok(seen) => {
                self.pending.push_back(News::Other(Arc::new(seen)));
                false
            }
            Err(error) => {
                self.pending.push_back(News::Refused(Resource::Jobs, Failure::Unusable(error)));
                false
            }
        }
    }

    fn of_pods(&mut self, event: WatchEvent) {
        // A list may be allowed where the watch is not.
        let works = if matches!(event, WatchEvent::Relisted(_)) { Works::Partly } else { Works::Wholly };
        let news = match event {
            WatchEvent::Applied(object) => lean_pod(object).map(|pod| News::Pod(pod, false)),
            WatchEvent::Deleted(object) => lean_pod(object).map(|pod| News::Pod(pod, true)),
            WatchEvent::Relisted(objects) => Some(News::Pods(objects.into_iter().filter_map(lean_pod).collect())),
            WatchEvent::Opened => None,
            WatchEvent::Interrupted(failure) => return self.interrupted(Resource::Pods, failure),
        };
        self.contact(Resource::Pods, works);
        self.pending.extend(news);
    }

    fn contact(&mut self, resource: Resource, works: Works) {
        let health = &mut self.health[usize::from(resource == Resource::Pods)];
        match works {
            Works::Wholly => health.patience.works(),
            Works::Partly => health.patience.begins_anew(),
        }
        if std::mem::take(&mut health.interrupted) {
            self.pending.push_back(News::Contact(resource));
        }
    }

    fn interrupted(&mut self, resource: Resource, failure: Failure) {
        let health = &mut self.health[usize::from(resource == Resource::Pods)];
        health.interrupted = true;
        let for_good = health.patience.ends_with(&failure);
        self.pending.push_back(if for_good {
            News::Refused(resource, failure)
        } else {
            News::Interrupted(resource, failure)
        });
    }
}

/// How a watch has worked since it last brought something.
#[derive(Debug, Default)]
struct Health {
    interrupted: bool,
    patience: Patience,
}

/// What a watch has shown to work.
#[derive(Debug, Clone, Copy)]
enum Works {
    Wholly,
    /// Its list.
    Partly,
}

fn by_name(job: &JobReference) -> Selector {
    Selector::fields(format!("metadata.name={}", job.name))
}

/// Where watching is forbidden: the Job, asked for again and again, as a watch would tell it.
fn asked_for(cluster: Cluster, job: JobReference) -> impl Stream<Item = WatchEvent> + Send {
    let answers = futures::stream::unfold((), move |()| {
        let (cluster, job) = (cluster.clone(), job.clone());
        async move {
            tokio::time::sleep(ASK_EVERY).await;
            let events = match cluster.get(Resource::Jobs, &job.namespace, &job.name).await {
                // Nothing else has to work.
                Ok(found) => vec![WatchEvent::Relisted(found.into_iter().collect()), WatchEvent::Opened],
                Err(failure) => vec![WatchEvent::Interrupted(failure)],
            };
            Some((events, ()))
        }
    });
    answers.flat_map(futures::stream::iter)
}
