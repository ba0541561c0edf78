//! Follows one Job from its creation to its outcome: watches it and its Pods, reads its logs, says what happens,
//! gives up where nothing can happen any more.
//!
//! Promise: the outcome is what the Job controller decided, or what the Pods prove, or `Vanished`; absence is
//! never an answer before a GET confirmed it; and the outcome is told only after the logs are complete, or their
//! gap is marked. A new owner ends the following at once.
//! Cost while waiting: two watches, each renewed once a minute; Events are listed only while no Pod runs.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt};
use tokio::{task::JoinSet, time::Instant};

use super::{
    delete::{CONTROLLER_UID, delete_owned},
    events::{EventLists, list_events},
    logs,
    message::Message,
    outcome,
    ownership::{self, Written, look},
    progress::Progress,
    seen::{JobReference, SeenJob},
    shared::Shared,
    startup::Startup,
    submit::Tell,
    verdict::Outcome,
    view::{View, all_containers, has_started},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Start, Verb, WatchEvent, watch},
    error::Error,
    identity::TASK,
};

/// After an outcome was decided, how long to wait for the terminal condition: a Pod on a lost node holds it for ever.
const END_AFTER_DECISION: Duration = Duration::from_secs(60);
/// After the end, how long the logs may take.
const DRAIN_LOGS: Duration = Duration::from_secs(600);
/// The same where Pods may be out of reach.
const DRAIN_UNREACHABLE: Duration = Duration::from_secs(10);
/// So many refusals in a row end a watch: a right that is missing does not come by asking.
const REFUSALS: u32 = 3;
/// How often a Job is asked for where it cannot be watched.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Events are asked for at most this many Pods at a time.
const PODS_ASKED: usize = 3;

/// Follows the Job to its outcome.
pub(super) async fn follow(shared: &Arc<Shared>, job: SeenJob, sink: logs::Sink) -> Result<Outcome, Error> {
    Follower::new(shared, job, sink).run().await
}

struct Follower<'a> {
    shared: &'a Arc<Shared>,
    cluster: &'a Cluster,
    view: View,
    progress: Progress,
    startup: Startup,
    sink: logs::Sink,
    readers: JoinSet<()>,
    /// Pod uid and container of each log that has its reader.
    reading: HashSet<(String, String)>,
    /// The uids of late predecessors that are being deleted.
    displaced: HashSet<String>,
    events: EventLists,
    /// When the outcome was decided.
    decided: Option<Instant>,
    refusals: HashMap<Resource, u32>,
    troubled: HashSet<Resource>,
    /// Whether the Job is watched rather than asked for.
    watched: bool,
    gone: bool,
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Arc<Shared>, job: SeenJob, sink: logs::Sink) -> Self {
        Self {
            shared,
            cluster: &shared.cluster,
            startup: Startup::new(shared.order.startup_timeout()),
            events: EventLists::new(),
            view: View::new(job),
            progress: Progress::default(),
            sink,
            readers: JoinSet::new(),
            reading: HashSet::new(),
            displaced: HashSet::new(),
            decided: None,
            refusals: HashMap::new(),
            troubled: HashSet::new(),
            watched: true,
            gone: false,
        }
    }

    async fn run(mut self) -> Result<Outcome, Error> {
        let job = self.view.job.reference.clone();
        let namespace = || job.namespace.clone();
        let by_task = Selector::labels(format!("{TASK}={}", self.shared.order.attempt.task.digest()));
        let by_name = Selector::fields(format!("metadata.name={}", job.name));
        // A Job that was taken over from another deployment carries another label.
        let ours =
            self.view.job.marks.as_ref().is_some_and(|m| m.task_digest == self.shared.order.attempt.task.digest());
        let from = Start::Version(self.view.job.resource_version.clone());
        let selector = if ours { by_task } else { by_name.clone() };
        let mut jobs = watch(self.cluster.clone(), Resource::Jobs, namespace(), selector, from).boxed();
        let by_uid = Selector::labels(format!("{CONTROLLER_UID}={}", job.uid));
        let mut pods = watch(self.cluster.clone(), Resource::Pods, namespace(), by_uid, Start::List).boxed();
        let mut watch_pods = true;

        loop {
            self.look_around();
            if self.over() {
                break;
            }
            let next_look = self.startup.look(Instant::now(), &self.view)?;
            let timer = [next_look, self.events.due, self.decided.map(|at| at + END_AFTER_DECISION)];
            let timer = timer.into_iter().flatten().min();
            tokio::select! {
                Some(event) = jobs.next() => match self.job_event(event).await? {
                    Seen::InSelector => {}
                    Seen::OutOfSelector => {
                        jobs = watch(self.cluster.clone(), Resource::Jobs, namespace(), by_name.clone(), Start::List).boxed();
                    }
                    Seen::Unwatchable => jobs = asked_for(self.cluster.clone(), job.clone()).boxed(),
                },
                Some(event) = pods.next(), if watch_pods => watch_pods = self.pod_event(event),
                Some(events) = self.events.inbox.recv() => self.view.events = events,
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => self.on_time(),
            }
        }
        self.conclude().await
    }

    /// Says what is new, reads new containers, plans the next list of Events.
    fn look_around(&mut self) {
        for message in self.progress.look(&self.view) {
            self.shared.say(message);
        }
        if self.view.end.is_some() {
            self.decided.get_or_insert_with(Instant::now);
        }
        self.read_logs();
        let waiting = self.view.end.is_none() && !self.view.job.suspended() && self.unstarted().next().is_some();
        self.events.plan(waiting);
    }

    /// The uids of what Events could explain: the Job while it has no Pod, Pods that have not started.
    fn unstarted(&self) -> impl Iterator<Item = &str> {
        let job = self.view.pods.is_empty().then_some(self.view.job.reference.uid.as_str());
        let pods = self.view.pods.iter().filter(|(_, seen)| !seen.gone && !all_containers(&seen.pod).any(has_started));
        job.into_iter().chain(pods.map(|(uid, _)| uid.as_str())).take(PODS_ASKED)
    }

    fn over(&self) -> bool {
        let late = self.decided.is_some_and(|at| at.elapsed() >= END_AFTER_DECISION);
        self.gone || late || outcome::finished(&self.view.job.job).is_some()
    }

    fn on_time(&mut self) {
        if self.events.due.is_some_and(|due| due <= Instant::now()) {
            let uids: Vec<_> = self.unstarted().map(str::to_owned).collect();
            let namespace = self.view.job.reference.namespace.clone();
            self.events.ask(self.cluster.clone(), namespace, uids);
        }
    }

    async fn job_event(&mut self, event: WatchEvent) -> Result<Seen, Error> {
        match event {
            WatchEvent::Applied(object) => {
                let seen = SeenJob::read(&object)?;
                if seen.reference.uid == self.view.job.reference.uid {
                    self.contact(Resource::Jobs);
                    self.newer(seen)?;
                } else {
                    self.other_job(seen);
                }
            }
            WatchEvent::Deleted(object) => {
                let seen = SeenJob::read(&object)?;
                if seen.reference.uid == self.view.job.reference.uid {
                    self.newer(seen)?;
                    return self.confirm_gone().await;
                }
            }
            WatchEvent::Relisted(objects) => {
                self.contact(Resource::Jobs);
                let mut found = false;
                for object in &objects {
                    let seen = SeenJob::read(object)?;
                    if seen.reference.uid == self.view.job.reference.uid {
                        found = true;
                        self.newer(seen)?;
                    }
                }
                if !found {
                    return self.confirm_gone().await;
                }
            }
            WatchEvent::Interrupted(failure) => {
                if self.refused(Resource::Jobs, &failure) {
                    let what = format!("watch {}", self.view.job.reference);
                    let forbidden = failure.code() == Some(403) && self.watched;
                    let error = failure.into_error(&what, Verb::Watch, Resource::Jobs, None);
                    if !forbidden {
                        return Err(error);
                    }
                    self.watched = false;
                    let text = format!("{error}\nUntil then it is asked for every {} s", ASK_EVERY.as_secs());
                    self.shared.say(Message::warning("jobs-not-watchable", text));
                    return Ok(Seen::Unwatchable);
                }
            }
        }
        Ok(Seen::InSelector)
    }

    fn newer(&mut self, seen: SeenJob) -> Result<(), Error> {
        let ours = self.shared.order.attempt.owner();
        if let Some(other) = seen.marks.as_ref().map(|marks| &marks.owner).filter(|owner| **owner != ours) {
            return Err(ownership::taken_over(&seen.reference, other));
        }
        self.view.apply_job(seen);
        Ok(())
    }

    /// Missing from the watch: only a GET tells whether it is gone.
    async fn confirm_gone(&mut self) -> Result<Seen, Error> {
        let job = self.view.job.reference.clone();
        loop {
            match look(self.cluster, &job).await {
                Ok(Some(seen)) => {
                    self.newer(seen)?;
                    return Ok(Seen::OutOfSelector);
                }
                Ok(None) => {
                    self.gone = true;
                    return Ok(Seen::InSelector);
                }
                Err(failure) if failure.code() == Some(403) => {
                    return Err(failure.into_error(&format!("look at {job}"), Verb::Get, Resource::Jobs, None));
                }
                Err(failure) => self.lost_contact(Resource::Jobs, &failure),
            }
        }
    }

    /// Another Job of the same task: one of a lower try, whose POST arrived after we had looked, is ours to end.
    fn other_job(&mut self, seen: SeenJob) {
        let Some(marks) = seen.marks.clone() else { return };
        let attempt = &self.shared.order.attempt;
        let late = marks.try_number < attempt.try_number
            && marks.attempt_digest != attempt.digest()
            && !marks.acknowledged
            && seen.deletion_timestamp().is_none()
            && outcome::decided(&seen.job).is_none()
            && marks.owner.try_number().is_none_or(|owner| owner < attempt.try_number)
            && self.displaced.insert(seen.reference.uid.clone());
        if !late {
            return;
        }
        let shared = Arc::clone(self.shared);
        tokio::spawn(async move {
            let (job, owner) = (seen.reference, shared.order.attempt.owner());
            shared.say(Message::warning(
                "late-predecessor",
                format!("{job} of try {} appeared only now; it is deleted, this try has its own", marks.try_number),
            ));
            let deleted = match ownership::take_over(&shared.cluster, &job, &marks.owner, &owner).await {
                Written::Done(_) => delete_owned(&shared.cluster, &job, &owner, shared.order.handover_timeout()).await,
                Written::Failed(failure) if failure.code() == Some(403) => {
                    delete_owned(&shared.cluster, &job, &marks.owner, shared.order.handover_timeout()).await
                }
                Written::Gone | Written::OwnedBy(_) => Ok(()),
                Written::Failed(failure) => {
                    Err(failure.into_error(&format!("take over {job}"), Verb::Patch, Resource::Jobs, None))
                }
            };
            if let Err(error) = deleted {
                shared.say(Message::warning("late-predecessor", error.to_string()));
            }
        });
    }

    fn pod_event(&mut self, event: WatchEvent) -> bool {
        match event {
            WatchEvent::Applied(object) => self.view.apply_pod(object, false),
            WatchEvent::Deleted(object) => self.view.apply_pod(object, true),
            WatchEvent::Relisted(objects) => self.view.relist_pods(objects),
            WatchEvent::Interrupted(failure) => {
                if self.refused(Resource::Pods, &failure) {
                    self.shared.say(Message::warning(
                        "pods-not-visible",
                        format!(
                            "No right to list and watch Pods ({}): following the Job alone, without logs",
                            failure.message()
                        ),
                    ));
                    return false;
                }
                return true;
            }
        }
        self.contact(Resource::Pods);
        true
    }

    fn contact(&mut self, resource: Resource) {
        self.refusals.remove(&resource);
        if self.troubled.remove(&resource) {
            self.shared.say(Message::info("watch-resumed", format!("The watch of {} works again", resource.rbac())));
        }
    }

    fn lost_contact(&mut self, resource: Resource, failure: &Failure) {
        if self.troubled.insert(resource) {
            let text = format!(
                "The watch of {} is interrupted: {}; it goes on as soon as the API server answers",
                resource.rbac(),
                failure.message()
            );
            self.shared.say(Message::warning("watch-interrupted", text));
        }
    }

    /// Whether a watch is refused for good.
    fn refused(&mut self, resource: Resource, failure: &Failure) -> bool {
        if let Failure::Unusable(_) = failure {
            return true;
        }
        self.lost_contact(resource, failure);
        if !matches!(failure.code(), Some(401 | 403 | 404)) {
            return false;
        }
        let count = self.refusals.entry(resource).or_default();
        *count += 1;
        *count >= REFUSALS
    }

    fn read_logs(&mut self) {
        if !self.shared.order.get_logs {
            return;
        }
        let many = self.view.many_sources();
        self.sink.name_sources(many);
        for (uid, seen) in &self.view.pods {
            for container in all_containers(&seen.pod).filter(|container| has_started(container)) {
                if !self.reading.insert((uid.clone(), container.name.clone())) {
                    continue;
                }
                let source = logs::LogSource {
                    namespace: self.view.job.reference.namespace.clone(),
                    pod: seen.pod.metadata.name.clone().unwrap_or_default(),
                    pod_uid: uid.clone(),
                    container: container.name.clone(),
                };
                let (cluster, sink, timing) = (self.cluster.clone(), self.sink.clone(), logs::Timing::default());
                self.readers.spawn(logs::follow(cluster, source, container.restart_count, None, sink, timing));
            }
        }
    }

    /// The Job is over: completes Pods and logs, then concludes.
    async fn conclude(mut self) -> Result<Outcome, Error> {
        let unreachable = outcome::finished(&self.view.job.job).is_none() && !self.gone;
        if unreachable {
            self.shared.say(Message::warning(
                "end-not-confirmed",
                format!(
                    "{}'s outcome is decided, but some of its Pods do not end: they may still run",
                    self.view.job.reference
                ),
            ));
        }
        self.complete_pods().await;
        self.look_around();
        let limit = if unreachable { DRAIN_UNREACHABLE } else { DRAIN_LOGS };
        let drained = tokio::time::timeout(limit, async { while self.readers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            self.readers.abort_all();
            self.shared.say(Message::warning(
                "log-incomplete",
                format!("The log was not complete {} s after the end: what follows is missing", limit.as_secs()),
            ));
        }
        self.complete_events().await;
        Ok(Outcome::conclude(&self.view, self.gone))
    }

    /// The watch of Pods may be a little behind that of the Job: lists once what it has not shown yet.
    async fn complete_pods(&mut self) {
        let ended = |seen: &super::view::SeenPod| {
            let phase = seen.pod.status.as_ref().and_then(|status| status.phase.as_deref());
            seen.gone || matches!(phase, Some("Succeeded" | "Failed"))
        };
        if !self.view.pods.is_empty() && self.view.pods.values().all(ended) && self.all_pods_seen() {
            return;
        }
        let by_uid = Selector::labels(format!("{CONTROLLER_UID}={}", self.view.job.reference.uid));
        match self.cluster.list(Resource::Pods, &self.view.job.reference.namespace, &by_uid).await {
            Ok(listed) => self.view.relist_pods(listed.items),
            Err(failure) => self.lost_contact(Resource::Pods, &failure),
        }
    }

    fn all_pods_seen(&self) -> bool {
        let status = self.view.job.job.status.clone().unwrap_or_default();
        let counted = status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0);
        usize::try_from(counted).is_ok_and(|counted| counted <= self.view.pods.len())
    }

    /// For the timeline: when the first image was there, if that went by between two lists.
    async fn complete_events(&mut self) {
        let known = self.view.times();
        let Some(uid) = self.view.pods().first().and_then(|pod| pod.metadata.uid.clone()) else { return };
        if known.image_ready.is_some() || known.started.is_none() {
            return;
        }
        let listed = list_events(self.cluster, &self.view.job.reference.namespace, &uid);
        if let Ok(Ok(events)) = tokio::time::timeout(Duration::from_secs(5), listed).await {
            self.view.events.extend(events);
        }
    }
}

/// Where the Job was found.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    InSelector,
    /// It exists, but its labels were changed: watch it by name from now on.
    OutOfSelector,
    /// There is no right to watch Jobs: ask for it from time to time.
    Unwatchable,
}

/// Where watching is forbidden: the Job, asked for again and again, as a watch would tell it.
fn asked_for(cluster: Cluster, job: JobReference) -> impl Stream<Item = WatchEvent> + Send {
    futures::stream::unfold((), move |()| {
        let (cluster, job) = (cluster.clone(), job.clone());
        async move {
            tokio::time::sleep(ASK_EVERY).await;
            let event = match cluster.get(Resource::Jobs, &job.namespace, &job.name).await {
                Ok(found) => WatchEvent::Relisted(found.into_iter().collect()),
                Err(failure) => WatchEvent::Interrupted(failure),
            };
            Some((event, ()))
        }
    })
}
