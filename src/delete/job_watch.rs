//! The states of Jobs on their way out: from one watch for all Jobs of one order that do not go at once, or by asking.
//!
//! The watch is opened by the first removal that needs it. A Job that leaves the watch, or is missing after a gap, may be
//! gone: its removal reads it by name, because absence is never an answer. If watching is forbidden, each removal reads its
//! Job from time to time, which is reported, and the watch is tried again once a minute.
//! Cost of these GETs, whatever the watch does: eight a second for all Jobs together ([`pause_between_gets`]).

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch::{Receiver, Sender, channel},
    task::JoinHandle,
    time::Instant,
};
use tracing::Instrument;

use crate::{
    cluster::{Cluster, Failure, Pauses, Start, WatchEvent, retry, watch},
    identity::Namespace,
    job_api::refusable_watch::{REFUSED_AGAIN, RefusableWatch, pause_between_gets},
    model::{
        message::{Message, MessageSink},
        observed_job::{JobReference, ObservedJob},
    },
    resource::{Resource, Selector},
};

/// The shortest pause between two GETs of a Job that the watch does not show.
const GET_EVERY: Duration = Duration::from_secs(2);
/// A watch may be silent for reasons of its own: a Job is read this often all the same. It is also the longest pause if
/// nothing is watched.
const GET_SELDOM: Duration = Duration::from_secs(15);
/// The longest pause, before jitter, where a Job is not watched but asked for.
const LONGEST_UNWATCHED: Duration = Duration::from_millis(1500);

/// What the watch says of one Job. Newest value wins.
#[derive(Debug, Clone)]
pub(crate) enum JobWatchState {
    /// Nothing yet.
    Unseen,
    /// This is its newest state.
    Present(Arc<ObservedJob>),
    /// It left the watch, or a whole list is without it: read it by name.
    Missing,
    /// Nothing is watched: read it from time to time.
    Blind,
}

/// The watch, once somebody needs it.
pub(crate) struct JobWatch {
    cluster: Cluster,
    namespace: Namespace,
    selector: Selector,
    jobs: Arc<Mutex<WatchedJobs>>,
    messages: Arc<dyn MessageSink>,
}

#[derive(Default)]
struct WatchedJobs {
    by_uid: HashMap<String, Sender<JobWatchState>>,
    blind: bool,
    task: Option<JoinHandle<()>>,
}

impl JobWatch {
    pub fn new(
        cluster: Cluster,
        namespace: Namespace,
        selector: Selector,
        messages: impl MessageSink + 'static,
    ) -> Self {
        Self { cluster, namespace, selector, jobs: Arc::default(), messages: Arc::new(messages) }
    }

    /// The pause until the next GET if the watch reports nothing. `waited` is the time since the wait began.
    pub fn pause(&self, state: &JobWatchState, waited: Duration) -> Duration {
        let alone = match state {
            // It is there, but its labels have changed, or nobody may watch.
            JobWatchState::Missing | JobWatchState::Blind => (waited / 10).clamp(GET_EVERY, GET_SELDOM),
            JobWatchState::Unseen | JobWatchState::Present(_) => GET_SELDOM,
        };
        let waiting = lock(&self.jobs).by_uid.values().filter(|sender| !sender.is_closed()).count();
        alone.max(pause_between_gets(waiting))
    }

    /// What is seen of this Job from now on.
    fn subscribe(&self, job: &JobReference) -> Receiver<JobWatchState> {
        let mut jobs = lock(&self.jobs);
        let first = if jobs.blind { JobWatchState::Blind } else { JobWatchState::Unseen };
        let (sender, receiver) = channel(first);
        jobs.by_uid.insert(job.uid.clone(), sender);
        if jobs.task.is_none() {
            let (cluster, namespace, selector) = (self.cluster.clone(), self.namespace.clone(), self.selector.clone());
            let (jobs_seen, messages) = (Arc::clone(&self.jobs), Arc::clone(&self.messages));
            let seeing = run(cluster, namespace, selector, jobs_seen, messages);
            jobs.task = Some(tokio::spawn(seeing.in_current_span()));
        }
        receiver
    }
}

/// The states of one Job, and the moments at which it is asked for by its name.
///
/// Promise: a state is given away as a value. A borrowed one would hold a lock for which the watch waits while it holds
/// that of [`WatchedJobs`], which [`JobWatch::pause`] takes: the two would wait for each other for ever.
pub(crate) struct JobStates<'a> {
    job: JobReference,
    watch: Option<&'a JobWatch>,
    /// Opened once a GET has shown the Job: what goes at once costs no watch.
    watched: Option<Receiver<JobWatchState>>,
    begin: Instant,
    /// The watch may tell again and again that the Job is gone; where there is none, these alone are the GETs.
    pauses: Pauses,
    next_get: Instant,
}

impl<'a> JobStates<'a> {
    /// The first GET is due at once.
    pub fn new(watch: Option<&'a JobWatch>, job: JobReference, seed: u64) -> Self {
        let longest = if watch.is_some() { retry::LONGEST_PAUSE } else { LONGEST_UNWATCHED };
        let pauses = Pauses::between(retry::FIRST_PAUSE, longest, seed);
        let begin = Instant::now();
        let next_get = if watch.is_some() { begin } else { pauses.next() };
        Self { job, watch, watched: None, begin, pauses, next_get }
    }

    /// When the Job is to be asked for.
    pub fn next_get(&self) -> Instant {
        self.next_get
    }

    /// There is reason to ask now.
    pub fn ask(&mut self) {
        self.next_get = Instant::now();
    }

    /// It was asked for, and may still be there.
    pub fn asked(&mut self) {
        self.next_get = match (self.watch, &self.watched) {
            (None, _) => self.pauses.next(),
            (Some(watch), Some(watched)) => Instant::now() + watch.pause(&latest(watched), self.begin.elapsed()),
            (Some(watch), None) => {
                self.watched = Some(watch.subscribe(&self.job));
                // For what happened between that GET and the watch.
                Instant::now()
            }
        };
    }

    /// The next state that the watch shows; `None` where it shows none and the moment of the next GET may be another.
    pub async fn next(&mut self) -> Option<Arc<ObservedJob>> {
        let (Some(watch), Some(watched)) = (self.watch, &mut self.watched) else { return pending().await };
        watched.changed().await.unwrap_or_else(|_| unreachable!("the watch outlives those who wait for it"));
        let next_get = match watched.borrow_and_update().clone() {
            JobWatchState::Present(newer) => return Some(newer),
            JobWatchState::Unseen => self.next_get,
            JobWatchState::Missing => self.pauses.next(),
            blind @ JobWatchState::Blind => Instant::now() + watch.pause(&blind, self.begin.elapsed()),
        };
        self.next_get = self.next_get.min(next_get);
        None
    }
}

/// The newest state.
fn latest(watched: &Receiver<JobWatchState>) -> JobWatchState {
    watched.borrow().clone()
}

impl Drop for JobWatch {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.jobs).task.take() {
            task.abort();
        }
    }
}

async fn run(
    cluster: Cluster,
    namespace: Namespace,
    selector: Selector,
    jobs: Arc<Mutex<WatchedJobs>>,
    messages: Arc<dyn MessageSink>,
) {
    let pauses = Pauses::new(cluster.next_seed());
    let events = watch(cluster, Resource::Jobs, namespace.clone(), selector, Start::List, pauses);
    let mut watch = RefusableWatch::of_many(events, Duration::ZERO);
    loop {
        match watch.next().await {
            Err(failure) => {
                if lock(&jobs).goes_blind() {
                    messages.emit(not_watchable(&namespace, &failure));
                }
            }
            Ok(WatchEvent::Interrupted(_)) => {}
            // A list may be allowed where the watch is not.
            Ok(WatchEvent::Relisted(objects)) => lock(&jobs).relist(&objects),
            Ok(event) => {
                if lock(&jobs).was_blind() {
                    messages.emit(Message::info(
                        "watch-resumed",
                        format!("The watch of {} works again", Resource::Jobs.rbac()),
                    ));
                }
                lock(&jobs).apply(event);
            }
        }
    }
}

fn not_watchable(namespace: &Namespace, failure: &Failure) -> Message {
    let text = format!(
        "The Jobs of namespace `{namespace}` cannot be watched ({}): those that are being deleted are read every {} to \
         {} s, and the watch is tried again every {} s",
        failure.message(),
        GET_EVERY.as_secs(),
        GET_SELDOM.as_secs(),
        REFUSED_AGAIN.as_secs()
    );
    Message::warning("jobs-not-watchable", text)
}

impl WatchedJobs {
    fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Applied(object) => self.present(&object),
            WatchEvent::Deleted(object) => {
                let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                self.report(uid, JobWatchState::Missing);
            }
            WatchEvent::Relisted(_) | WatchEvent::Opened | WatchEvent::Steady | WatchEvent::Interrupted(_) => {}
        }
    }

    fn relist(&mut self, objects: &[serde_json::Value]) {
        let uids: HashSet<_> = objects.iter().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
        for (uid, sender) in &self.by_uid {
            if !uids.contains(&uid.as_str()) {
                sender.send_replace(JobWatchState::Missing);
            }
        }
        for object in objects {
            self.present(object);
        }
    }

    /// True where it was not.
    fn goes_blind(&mut self) -> bool {
        for sender in self.by_uid.values() {
            sender.send_replace(JobWatchState::Blind);
        }
        !std::mem::replace(&mut self.blind, true)
    }

    /// True where it was blind. What it missed comes next.
    fn was_blind(&mut self) -> bool {
        if self.blind {
            for sender in self.by_uid.values() {
                sender.send_replace(JobWatchState::Unseen);
            }
        }
        std::mem::take(&mut self.blind)
    }

    fn present(&mut self, object: &serde_json::Value) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if self.by_uid.contains_key(uid)
            && let Ok(seen) = ObservedJob::read(object)
        {
            self.report(uid, JobWatchState::Present(Arc::new(seen)));
        }
    }

    fn report(&mut self, uid: &str, state: JobWatchState) {
        self.by_uid.retain(|_, sender| !sender.is_closed());
        if let Some(sender) = self.by_uid.get(uid) {
            sender.send_replace(state);
        }
    }
}

fn lock(jobs: &Mutex<WatchedJobs>) -> MutexGuard<'_, WatchedJobs> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn state_at_hand_keeps_the_watch_from_nothing() {
        let (sender, receiver) = channel(JobWatchState::Unseen);
        let at_hand = latest(&receiver);
        let (told, ends) = mpsc::channel();
        thread::spawn(move || told.send(sender.send_replace(JobWatchState::Blind)));
        assert!(ends.recv_timeout(Duration::from_secs(60)).is_ok(), "the watch waits for who holds {at_hand:?}");
    }
}
