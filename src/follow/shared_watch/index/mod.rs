//! What is known of all Jobs and Pods of a namespace, and who has to be told. Pure: fed by a watch, read by many.
//!
//! Promise: a reader that says which version it has seen gets everything newer, the newest state of each object only;
//! what went is told with its last state. A Job that is missing is told as missing, which proves nothing.

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
    /// All, so that who comes later is answered at once.
    All,
    /// Those that somebody waits for: the watch has no selector.
    Waited,
}

/// Everything of one namespace.
pub struct Index {
    keep: Keep,
    version: Version,
    entries: HashMap<String, Entry>,
    /// The uids of Jobs that are waited for, by their task.
    waited: HashMap<TaskDigest, Vec<String>>,
    /// How many wait.
    waiting: usize,
    /// The Airflows of the Jobs that somebody waits for, or has waited for.
    deployments: HashSet<String>,
    jobs_listed: bool,
    pods_listed: Version,
    health: [ListHealth; 2],
}

/// One Job with its Pods, by the Job's uid.
#[derive(Default)]
struct Entry {
    job: Option<(Version, Arc<ObservedJob>)>,
    /// When it left the watch, or was missing from a list.
    missing: Option<Version>,
    /// When a state of it was told that is not understood.
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

/// How the watch of a resource is.
#[derive(Default)]
struct ListHealth {
    version: Version,
    state: PodsState,
}

#[derive(Default)]
enum PodsState {
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
            health: <[ListHealth; 2]>::default(),
        }
    }

    // --- fed by the watch ---

    /// A Job was made or changed.
    pub fn apply_job(&mut self, job: Arc<ObservedJob>) {
        self.version += 1;
        let (version, keep, uid) = (self.version, self.keep, job.reference.uid.clone());
        self.tell_of_sibling(&job);
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

    /// A GET has found a Job; whoever sent it had seen all up to a version. What the watch has told since may be newer
    /// than the answer, and would not be told again.
    pub fn found(&mut self, job: Arc<ObservedJob>, seen: Version) {
        let newer = self.entries.get(&job.reference.uid).is_some_and(|entry| {
            let told = entry.job.as_ref().map(|(version, _)| *version).into_iter().chain(entry.missing);
            told.max() > Some(seen)
        });
        if !newer {
            self.apply_job(job);
        }
    }

    /// A Job left the watch, with this last state.
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

    /// What was told of a Job is not understood.
    pub fn unclear(&mut self, uid: &str, failure: Failure) {
        self.version += 1;
        let version = self.version;
        let Some(entry) = self.entries.get_mut(uid).filter(|entry| !entry.waiters.is_empty()) else { return };
        // A list without it came before.
        entry.missing = None;
        entry.unclear = Some((version, failure));
        entry.notify();
    }

    /// All Jobs there are.
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
                // Pods may be told of before their Job is.
                return entry.job.is_none() && entry.pods.values().any(|tracked| !phase_is_terminal(&tracked.pod));
            }
            entry.missing = Some(version);
            entry.notify();
            true
        });
    }

    /// A Pod was made or changed, or went with this last state.
    pub fn apply_pod(&mut self, pod: Arc<Pod>, gone: bool) {
        self.version += 1;
        let version = self.version;
        let (Some(job), Some(uid)) = (job_of(&pod), pod.metadata.uid.clone()) else { return };
        let unknown = !self.entries.contains_key(&job);
        // Of a phase that is not the last one more will be told, whether or not its containers have ended.
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

    /// All Pods there are.
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

    /// The Pods of a Job as a list has shown them; whoever asked for it had seen all up to a version. What the watch has
    /// told of a Pod is newer, and so is a list of its own.
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

    /// The watch of a resource does not work at present.
    pub fn interrupted(&mut self, resource: Resource, failure: Failure) {
        if matches!(self.health[at(resource)].state, PodsState::Working) {
            self.turn(resource, PodsState::Interrupted(failure));
        }
    }

    /// It was refused for good.
    pub fn refused(&mut self, resource: Resource, failure: Failure) {
        if !matches!(self.health[at(resource)].state, PodsState::Refused(_)) {
            self.turn(resource, PodsState::Refused(failure));
        }
    }

    /// It works.
    pub fn works(&mut self, resource: Resource) {
        if !matches!(self.health[at(resource)].state, PodsState::Working) {
            self.turn(resource, PodsState::Working);
        }
    }

    fn turn(&mut self, resource: Resource, state: PodsState) {
        self.version += 1;
        self.health[at(resource)] = ListHealth { version: self.version, state };
        self.entries.values().for_each(Entry::notify);
    }

    /// Those who wait for a Job of the same task hear of this one.
    fn tell_of_sibling(&mut self, job: &Arc<ObservedJob>) {
        let Some(waited) = job.marks.as_ref().and_then(|marks| self.waited.get(&marks.task_digest)) else { return };
        for uid in waited.iter().filter(|uid| **uid != job.reference.uid) {
            if let Some(entry) = self.entries.get_mut(uid) {
                entry.others.retain(|(_, other)| other.reference.uid != job.reference.uid);
                entry.others.push((self.version, Arc::clone(job)));
                entry.notify();
            }
        }
    }

    // --- read by those who wait ---

    /// Somebody waits for this Job; `told` is notified when there are news.
    pub fn subscribe(&mut self, uid: &str, task: Option<&TaskDigest>, told: &Arc<Notify>) {
        if let Some(task) = task {
            self.waited.entry(task.clone()).or_default().push(uid.to_owned());
        }
        let jobs_listed = self.jobs_listed;
        let version = self.version;
        let entry = self.entries.entry(uid.to_owned()).or_default();
        if entry.job.is_none() && jobs_listed {
            entry.missing.get_or_insert(version);
        }
        entry.waiters.push(Arc::clone(told));
        remember_deployment(&mut self.deployments, entry);
        self.waiting += 1;
    }

    /// Who waits for this Job hears of those of the same task that are known already. Goes through all of them.
    pub fn recall_siblings(&mut self, uid: &str, task: &TaskDigest) {
        let of_task = |job: &ObservedJob| {
            job.reference.uid != uid && job.marks.as_ref().is_some_and(|marks| marks.task_digest == *task)
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

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// It waits no longer.
    pub fn unsubscribe(&mut self, uid: &str, task: Option<&TaskDigest>, told: &Arc<Notify>) {
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
        entry.waiters.retain(|waiter| !Arc::ptr_eq(waiter, told));
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

    /// Jobs at work that nobody waits for, of the Airflows for which somebody waits here, or has waited, however shortly.
    /// Only Jobs that tell the whole of their task instance.
    pub fn unattended(&self) -> Vec<Arc<ObservedJob>> {
        let left = self.entries.values().filter(|entry| entry.waiters.is_empty() && entry.missing.is_none());
        let known = left.filter(|entry| entry.deployment().is_some_and(|name| self.deployments.contains(name)));
        let jobs = known.filter_map(|entry| entry.job.as_ref()).map(|(_, job)| job);
        jobs.filter(|job| at_work(job)).cloned().collect()
    }

    /// What is newer than a version about a Job, oldest kind first; returns the version up to which that is all.
    pub fn news_since(&self, uid: &str, seen: Version, news: &mut VecDeque<FeedEvent>) -> Version {
        for (resource, health) in [Resource::Jobs, Resource::Pods].into_iter().zip(&self.health) {
            if health.version > seen {
                news.push_back(match &health.state {
                    PodsState::Working => FeedEvent::Contact(resource),
                    PodsState::Interrupted(failure) => FeedEvent::Interrupted(resource, failure.clone()),
                    PodsState::Refused(failure) => FeedEvent::Refused(resource, failure.clone()),
                });
            }
        }
        let Some(entry) = self.entries.get(uid) else { return self.version };
        for (_, other) in entry.others.iter().filter(|(version, _)| *version > seen) {
            news.push_back(FeedEvent::Other(Arc::clone(other)));
        }
        // Pods first: who concludes from the Job has seen what they said.
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

/// Remembers the Airflow of a Job that somebody waits for.
fn remember_deployment(deployments: &mut HashSet<String>, entry: &Entry) {
    let waited_for = entry.deployment().filter(|_| !entry.waiters.is_empty());
    if let Some(name) = waited_for.filter(|name| !deployments.contains(*name)) {
        deployments.insert(name.to_owned());
    }
}

/// Whether a Job has neither ended nor is to go, and is not acknowledged.
fn at_work(job: &ObservedJob) -> bool {
    decided(&job.job).is_none() && job.deletion_timestamp().is_none() && !job.acknowledged()
}

impl Entry {
    /// The Airflow that made the Job, where it tells.
    fn deployment(&self) -> Option<&str> {
        let (_, job) = self.job.as_ref()?;
        Some(job.marks.as_ref()?.task.as_ref()?.deployment.as_str())
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
