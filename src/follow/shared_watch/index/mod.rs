//! Keeps the newest state of all Jobs and Pods of a namespace, and notifies the waiters. Pure: a watch writes it, many
//! waiters read it.
//!
//! Promise: a reader that says which version it has seen gets everything newer, but only the newest state of each
//! object. A Pod that was deleted is reported with its last state. A Job that is missing is reported as missing, which
//! proves nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use crate::{
    cluster::Failure,
    follow::feed::FeedEvent,
    identity::TaskDigest,
    model::{
        conditions::decided,
        observed_job::ObservedJob,
        pod::{CONTROLLER_UID, phase_is_terminal},
    },
    resource::Resource,
};

/// Grows with every change of the index.
pub type Version = u64;

/// Which Jobs and Pods are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All, so that a waiter that comes later is answered at once.
    All,
    /// Only Jobs that somebody waits for, because the watch has no selector.
    Waited,
}

/// The index of one namespace.
pub struct Index {
    keep: Keep,
    version: Version,
    entries: HashMap<String, Entry>,
    /// The uids of the Jobs that are waited for, by their task.
    waited: HashMap<TaskDigest, Vec<String>>,
    /// The number of waiters.
    waiting: usize,
    /// The Airflow deployments of the Jobs that somebody waits for, or has waited for.
    deployments: HashSet<String>,
    jobs_listed: bool,
    pods_listed: Version,
    health: [WatchHealth; 2],
}

/// One Job with its Pods, by the Job's uid.
#[derive(Default)]
struct Entry {
    job: Option<(Version, Arc<ObservedJob>)>,
    /// The version at which the Job left the watch, or was missing from a list.
    missing: Option<Version>,
    /// The version at which a state came that cannot be understood.
    unclear: Option<(Version, Failure)>,
    pods: BTreeMap<String, Tracked>,
    /// Other Jobs of the same task.
    others: Vec<(Version, Arc<ObservedJob>)>,
    waiters: Vec<Arc<Notify>>,
}

struct Tracked {
    version: Version,
    pod: Arc<Pod>,
    gone: bool,
}

/// The state of the watch of a resource.
#[derive(Default)]
struct WatchHealth {
    version: Version,
    state: WatchState,
}

#[derive(Default)]
enum WatchState {
    #[default]
    Working,
    Interrupted(Failure),
    Refused(Failure),
}

impl Index {
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            version: 1,
            entries: HashMap::new(),
            waited: HashMap::new(),
            waiting: 0,
            deployments: HashSet::new(),
            jobs_listed: false,
            pods_listed: 0,
            health: <[WatchHealth; 2]>::default(),
        }
    }

    // --- fed by the watch ---

    /// Takes in a Job that was made or changed.
    pub fn apply_job(&mut self, job: Arc<ObservedJob>) {
        self.version += 1;
        let (version, keep, uid) = (self.version, self.keep, job.reference.uid.clone());
        self.notify_siblings(&job);
        if keep == Keep::Waited && !self.entries.contains_key(&uid) {
            return;
        }
        let entry = self.entries.entry(uid).or_default();
        let known = entry.job.as_ref().is_some_and(|(_, known)| known.resource_version == job.resource_version);
        if known && entry.missing.is_none() {
            return;
        }
        entry.job = Some((version, job));
        (entry.missing, entry.unclear) = (None, None);
        entry.notify();
        remember_deployment(&mut self.deployments, entry);
    }

    /// Takes in a Job that a GET has found; the sender of the GET had seen everything up to version `seen`. If the
    /// watch has reported the Job since then, that state may be newer than the answer and would not be reported again,
    /// so it stays.
    pub fn found(&mut self, job: Arc<ObservedJob>, seen: Version) {
        let newer = self.entries.get(&job.reference.uid).is_some_and(|entry| {
            let known = entry.job.as_ref().map(|(version, _)| *version).into_iter().chain(entry.missing);
            known.max() > Some(seen)
        });
        if !newer {
            self.apply_job(job);
        }
    }

    /// Takes in a Job that left the watch, with its last state.
    pub fn remove_job(&mut self, job: Arc<ObservedJob>) {
        self.version += 1;
        let version = self.version;
        let Some(entry) = self.entries.get_mut(&job.reference.uid) else { return };
        if entry.waiters.is_empty() {
            self.entries.remove(&job.reference.uid);
            return;
        }
        entry.job = Some((version, job));
        entry.missing = Some(version);
        entry.notify();
    }

    /// Takes in a state of a Job that cannot be understood.
    pub fn unclear(&mut self, uid: &str, failure: Failure) {
        self.version += 1;
        let version = self.version;
        let Some(entry) = self.entries.get_mut(uid).filter(|entry| !entry.waiters.is_empty()) else { return };
        // A list without the Job is older than this state.
        entry.missing = None;
        entry.unclear = Some((version, failure));
        entry.notify();
    }

    /// Takes in a list of all Jobs.
    pub fn relist_jobs(&mut self, jobs: Vec<Arc<ObservedJob>>) {
        let present: HashSet<String> = jobs.iter().map(|job| job.reference.uid.clone()).collect();
        self.jobs_listed = true;
        for job in jobs {
            self.apply_job(job);
        }
        self.version += 1;
        let version = self.version;
        self.entries.retain(|uid, entry| {
            if present.contains(uid) {
                return true;
            }
            if entry.waiters.is_empty() {
                // Pods may be reported before their Job.
                return entry.job.is_none() && entry.pods.values().any(|tracked| !phase_is_terminal(&tracked.pod));
            }
            entry.missing = Some(version);
            entry.notify();
            true
        });
    }

    /// Takes in a Pod that was made or changed, or was deleted with this last state.
    pub fn apply_pod(&mut self, pod: Arc<Pod>, gone: bool) {
        self.version += 1;
        let version = self.version;
        let (Some(job), Some(uid)) = (job_of(&pod), pod.metadata.uid.clone()) else { return };
        let unknown = !self.entries.contains_key(&job);
        // The watch will report a Pod again as long as its phase is not the last one, even if its containers have
        // ended.
        if unknown && (self.keep == Keep::Waited || gone || phase_is_terminal(&pod)) {
            return;
        }
        let entry = self.entries.entry(job).or_default();
        if gone && entry.waiters.is_empty() {
            entry.pods.remove(&uid);
            return;
        }
        let same = |known: &Tracked| known.pod.metadata.resource_version == pod.metadata.resource_version;
        if entry.pods.get(&uid).is_some_and(|known| known.gone == gone && same(known)) {
            return;
        }
        entry.pods.insert(uid, Tracked { version, pod, gone });
        entry.notify();
    }

    /// Takes in a list of all Pods.
    pub fn relist_pods(&mut self, pods: Vec<Arc<Pod>>) {
        let present: HashSet<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        self.version += 1;
        let version = self.version;
        self.pods_listed = version;
        for entry in self.entries.values_mut() {
            let waited = !entry.waiters.is_empty();
            entry.pods.retain(|uid, _| waited || present.contains(uid));
            let went = entry.pods.iter_mut().filter(|(uid, tracked)| !tracked.gone && !present.contains(*uid));
            let mut any = false;
            for (_, tracked) in went {
                (tracked.gone, tracked.version, any) = (true, version, true);
            }
            if any {
                entry.notify();
            }
        }
        for pod in pods {
            self.apply_pod(pod, false);
        }
    }

    /// Takes in a list of the Pods of a Job; the sender of the list had seen everything up to version `seen`. Pods that
    /// the watch has reported or listed since then are newer, so they stay.
    pub fn found_pods(&mut self, job: &str, pods: Vec<Arc<Pod>>, seen: Version) {
        if self.pods_listed > seen {
            return;
        }
        for pod in pods {
            let known = |entry: &Entry| pod.metadata.uid.as_ref().is_some_and(|uid| entry.pods.contains_key(uid));
            if !self.entries.get(job).is_some_and(known) {
                self.apply_pod(pod, false);
            }
        }
    }

    /// Notes that the watch of a resource does not work at present.
    pub fn interrupted(&mut self, resource: Resource, failure: Failure) {
        if matches!(self.health[at(resource)].state, WatchState::Working) {
            self.turn(resource, WatchState::Interrupted(failure));
        }
    }

    /// Notes that the watch was refused, and that this is final.
    pub fn refused(&mut self, resource: Resource, failure: Failure) {
        if !matches!(self.health[at(resource)].state, WatchState::Refused(_)) {
            self.turn(resource, WatchState::Refused(failure));
        }
    }

    /// Notes that the watch works.
    pub fn works(&mut self, resource: Resource) {
        if !matches!(self.health[at(resource)].state, WatchState::Working) {
            self.turn(resource, WatchState::Working);
        }
    }

    fn turn(&mut self, resource: Resource, state: WatchState) {
        self.version += 1;
        self.health[at(resource)] = WatchHealth { version: self.version, state };
        self.entries.values().for_each(Entry::notify);
    }

    /// Tells the waiters of other Jobs of the same task about this Job.
    fn notify_siblings(&mut self, job: &Arc<ObservedJob>) {
        let Some(waited) = job.attempt_metadata.as_ref().and_then(|metadata| self.waited.get(&metadata.task_digest))
        else {
            return;
        };
        for uid in waited.iter().filter(|uid| **uid != job.reference.uid) {
            if let Some(entry) = self.entries.get_mut(uid) {
                entry.others.retain(|(_, other)| other.reference.uid != job.reference.uid);
                entry.others.push((self.version, Arc::clone(job)));
                entry.notify();
            }
        }
    }

    // --- read by those who wait ---

    /// Adds a waiter for this Job; `notify` is notified when there is something new.
    pub fn subscribe(&mut self, uid: &str, task: Option<&TaskDigest>, notify: &Arc<Notify>) {
        if let Some(task) = task {
            self.waited.entry(task.clone()).or_default().push(uid.to_owned());
        }
        let jobs_listed = self.jobs_listed;
        let version = self.version;
        let entry = self.entries.entry(uid.to_owned()).or_default();
        if entry.job.is_none() && jobs_listed {
            entry.missing.get_or_insert(version);
        }
        entry.waiters.push(Arc::clone(notify));
        remember_deployment(&mut self.deployments, entry);
        self.waiting += 1;
    }

    /// Tells the waiter of this Job about Jobs of the same task that are known already. It goes through all Jobs of the
    /// index.
    pub fn recall_siblings(&mut self, uid: &str, task: &TaskDigest) {
        let of_task = |job: &ObservedJob| {
            job.reference.uid != uid
                && job.attempt_metadata.as_ref().is_some_and(|metadata| metadata.task_digest == *task)
        };
        let present = self.entries.values().filter(|entry| entry.missing.is_none());
        let jobs = present.filter_map(|entry| entry.job.as_ref()).map(|(_, job)| job);
        let siblings: Vec<_> = jobs.filter(|job| of_task(job)).cloned().collect();
        if siblings.is_empty() {
            return;
        }
        self.version += 1;
        let version = self.version;
        let Some(entry) = self.entries.get_mut(uid) else { return };
        for job in siblings {
            entry.others.retain(|(_, other)| other.reference.uid != job.reference.uid);
            entry.others.push((version, job));
        }
        entry.notify();
    }

    /// The number of waiters.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Removes a waiter.
    pub fn unsubscribe(&mut self, uid: &str, task: Option<&TaskDigest>, notify: &Arc<Notify>) {
        if let Some(task) = task
            && let Some(uids) = self.waited.get_mut(task)
        {
            if let Some(at) = uids.iter().position(|waited| waited == uid) {
                uids.swap_remove(at);
            }
            if uids.is_empty() {
                self.waited.remove(task);
            }
        }
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.waiters.retain(|waiter| !Arc::ptr_eq(waiter, notify));
        self.waiting = self.waiting.saturating_sub(1);
        if entry.waiters.is_empty() {
            let present = entry.job.is_some() && entry.missing.is_none();
            if self.keep == Keep::Waited || !present {
                self.entries.remove(uid);
            } else {
                entry.others.clear();
                entry.pods.retain(|_, tracked| !tracked.gone);
            }
        }
    }

    /// The Jobs at work that nobody waits for, of the Airflow deployments for which somebody waits or has waited here,
    /// however shortly. Jobs whose annotations do not name the whole task instance are left out.
    pub fn unattended(&self) -> Vec<Arc<ObservedJob>> {
        let left = self.entries.values().filter(|entry| entry.waiters.is_empty() && entry.missing.is_none());
        let known = left.filter(|entry| entry.deployment().is_some_and(|name| self.deployments.contains(name)));
        let jobs = known.filter_map(|entry| entry.job.as_ref()).map(|(_, job)| job);
        jobs.filter(|job| at_work(job)).cloned().collect()
    }

    /// Adds everything about a Job that is newer than `seen` to `news`, and returns the version up to which that is
    /// complete.
    pub fn events_since(&self, uid: &str, seen: Version, news: &mut VecDeque<FeedEvent>) -> Version {
        for (resource, health) in [Resource::Jobs, Resource::Pods].into_iter().zip(&self.health) {
            if health.version > seen {
                news.push_back(match &health.state {
                    WatchState::Working => FeedEvent::Contact(resource),
                    WatchState::Interrupted(failure) => FeedEvent::Interrupted(resource, failure.clone()),
                    WatchState::Refused(failure) => FeedEvent::Refused(resource, failure.clone()),
                });
            }
        }
        let Some(entry) = self.entries.get(uid) else { return self.version };
        for (_, other) in entry.others.iter().filter(|(version, _)| *version > seen) {
            news.push_back(FeedEvent::Other(Arc::clone(other)));
        }
        // Pods come first, so that a reader that concludes from the Job has seen its Pods.
        for tracked in entry.pods.values().filter(|tracked| tracked.version > seen) {
            news.push_back(FeedEvent::Pod(Arc::clone(&tracked.pod), tracked.gone));
        }
        if let Some((_, job)) = entry.job.as_ref().filter(|(version, _)| *version > seen) {
            news.push_back(FeedEvent::Job(Arc::clone(job)));
        }
        if entry.missing.is_some_and(|version| version > seen) {
            news.push_back(FeedEvent::Missing);
        }
        if let Some((_, failure)) = entry.unclear.as_ref().filter(|(version, _)| *version > seen) {
            news.push_back(FeedEvent::Unclear(failure.clone()));
        }
        self.version
    }
}

/// Remembers the Airflow deployment of a Job that somebody waits for.
fn remember_deployment(deployments: &mut HashSet<String>, entry: &Entry) {
    let waited_for = entry.deployment().filter(|_| !entry.waiters.is_empty());
    if let Some(name) = waited_for.filter(|name| !deployments.contains(*name)) {
        deployments.insert(name.to_owned());
    }
}

/// Whether a Job has not ended, is not being deleted, and is not acknowledged.
fn at_work(job: &ObservedJob) -> bool {
    decided(&job.job).is_none() && job.deletion_timestamp().is_none() && !job.acknowledged()
}

impl Entry {
    /// The Airflow deployment that made the Job, if the Job names it.
    fn deployment(&self) -> Option<&str> {
        let (_, job) = self.job.as_ref()?;
        Some(job.attempt_metadata.as_ref()?.task.as_ref()?.deployment.as_str())
    }

    fn notify(&self) {
        for waiter in &self.waiters {
            waiter.notify_one();
        }
    }
}

fn at(resource: Resource) -> usize {
    usize::from(resource == Resource::Pods)
}

fn job_of(pod: &Pod) -> Option<String> {
    pod.metadata.labels.as_ref()?.get(CONTROLLER_UID).cloned()
}

#[cfg(test)]
mod tests;
