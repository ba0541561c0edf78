//! Follows one Job from its creation to its outcome: watches it and its Pods, reads its logs, says what happens,
//! gives up where nothing can happen any more.
//!
//! Promise: the outcome is what the Job controller decided, or what the Pods prove, or `Vanished`; absence is
//! never an answer before a GET confirmed it; and the outcome is told only after the logs are complete, or their
//! gap is marked. A new owner ends the following at once.
//! Cost while waiting: that of its [`Sources`]; Events are listed only while no Pod runs.

mod conclude;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    diagnosis,
    events::{EventLists, Pace},
    explained::Explained,
    last_pods::Sight,
    late_predecessors::LatePredecessors,
    logs,
    message::{Message, Say},
    outcome,
    ownership::{self, look},
    patience::Patience,
    progress::Progress,
    seen::SeenJob,
    sidecar::{self, Lingering, Sidecars},
    sources::{ASK_EVERY, News, Sources},
    startup::Startup,
    subject::{Subject, Until},
    verdict::Outcome,
    view::{View, all_containers, has_started},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Verb, retry},
    error::Error,
};

/// After an outcome was decided, how long to wait for the terminal condition: a Pod on a lost node holds it for ever.
const END_AFTER_DECISION: Duration = Duration::from_secs(60);
/// As good as no limit in time.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Events are asked for at most this many Pods at a time.
const PODS_ASKED: usize = 3;

/// What is followed, from where, and who is told.
pub(super) struct Following<'a> {
    pub cluster: &'a Cluster,
    pub subject: &'a Subject,
    /// How far its log was delivered.
    pub positions: Vec<logs::SourcePosition>,
    pub say: &'a Arc<dyn Say>,
    pub sources: Sources,
    pub sink: logs::Sink,
    /// The shares of logs that many followers of one process keep to, if there are many.
    pub ration: Option<Arc<logs::Ration>>,
    /// Whether the Job is known to be gone.
    pub gone: bool,
}

/// Follows the Job, beginning with this state of it, to its outcome.
///
/// A thousand of these wait at once: what a Job does seldom is boxed as it happens, and not part of the future.
pub(super) fn follow(
    following: Following<'_>,
    job: impl Into<Arc<SeenJob>>,
) -> impl Future<Output = Result<Outcome, Error>> {
    let (follower, sources) = Follower::new(following, job.into());
    Box::new(follower).run(sources)
}

struct Follower<'a> {
    cluster: &'a Cluster,
    subject: &'a Subject,
    positions: Vec<logs::SourcePosition>,
    say: &'a Arc<dyn Say>,
    view: View,
    progress: Progress,
    explained: Explained,
    startup: Startup,
    sidecars: Sidecars,
    /// What kept running when the Job was over.
    lingering: Vec<Lingering>,
    sink: logs::Sink,
    ration: Option<Arc<logs::Ration>>,
    readers: JoinSet<()>,
    /// Pod uid and container of each log that has its reader.
    reading: HashMap<(String, String), AbortHandle>,
    late_predecessors: LatePredecessors,
    events: EventLists,
    /// When the outcome was decided.
    decided: Option<Instant>,
    troubled: HashSet<Resource>,
    /// Whether the Job is watched rather than asked for.
    watched: bool,
    /// Whether Pods are seen.
    sight: Sight,
    gone: bool,
}

impl<'a> Follower<'a> {
    fn new(following: Following<'a>, job: Arc<SeenJob>) -> (Self, Sources) {
        let Following { cluster, subject, positions, say, sources, sink, ration, gone } = following;
        let follower = Self {
            cluster,
            subject,
            positions,
            say,
            startup: Startup::new(subject.startup_timeout().unwrap_or(FOR_EVER)),
            sidecars: Sidecars::new(subject.on_lingering_sidecar),
            lingering: Vec::new(),
            events: EventLists::new(if ration.is_some() { Pace::Beside } else { Pace::Steady }),
            view: View::new(job),
            progress: Progress::default(),
            explained: Explained::new(),
            sink,
            ration,
            readers: JoinSet::new(),
            reading: HashMap::new(),
            late_predecessors: LatePredecessors::default(),
            decided: None,
            troubled: HashSet::new(),
            watched: true,
            sight: Sight::default(),
            gone,
        };
        (follower, sources)
    }

    async fn run(mut self: Box<Self>, mut sources: Sources) -> Result<Outcome, Error> {
        loop {
            self.look_around();
            let next_lingering = self.look_at_sidecars();
            if self.over() {
                break;
            }
            let next_look = self.startup.look(Instant::now(), self.cluster.now(), &self.view);
            let next_look = next_look.map_err(|error| self.explained(error))?;
            let decided = self.decided.map(|at| at + END_AFTER_DECISION);
            let timer = [next_look, next_lingering, self.events.due, decided, self.explained.due];
            let timer = timer.into_iter().flatten().min();
            tokio::select! {
                news = sources.next() => self.take(news, &mut sources).await?,
                Some(events) = self.events.inbox.next() => self.view.events = events,
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => self.on_time(),
            }
        }
        Box::pin(self.conclude()).await
    }

    /// Says what is new, reads new containers, plans the next list of Events.
    fn look_around(&mut self) {
        for message in self.progress.look(&self.view) {
            self.say.say(message);
        }
        for message in self.explained.look(self.cluster, &self.view) {
            self.say.say(message);
        }
        if self.view.end.is_some() {
            self.decided.get_or_insert_with(Instant::now);
        }
        self.read_logs();
        let waiting = self.view.end.is_none() && !self.view.job.suspended() && self.unstarted().next().is_some();
        self.events.plan(waiting);
    }

    /// Ends the following where only sidecars run; else when to look again.
    fn look_at_sidecars(&mut self) -> Option<Instant> {
        match self.sidecars.look(Instant::now(), &self.view) {
            sidecar::Verdict::Wait(next) => next,
            sidecar::Verdict::Over(end, lingering) => {
                self.say.say(sidecar::over(&lingering));
                self.view.end = Some(end);
                self.lingering = lingering;
                None
            }
        }
    }

    /// Why the Job was given up, with all that is known about it.
    fn explained(&self, error: Error) -> Error {
        let Error::JobStartup(report) = error else { return error };
        let found = self.explained.findings(&self.view, self.cluster.now());
        Error::JobStartup(Box::new(diagnosis::explain(*report, &found)))
    }

    /// The uids of what Events could explain: the Job while it has no Pod, Pods that have not started.
    fn unstarted(&self) -> impl Iterator<Item = &str> {
        let job = self.view.pods.is_empty().then_some(self.view.job.reference.uid.as_str());
        let pods = self.view.pods.iter().filter(|(_, seen)| !seen.gone && !all_containers(&seen.pod).any(has_started));
        job.into_iter().chain(pods.map(|(uid, _)| uid.as_str())).take(PODS_ASKED)
    }

    fn over(&self) -> bool {
        let late = || self.decided.is_some_and(|at| at.elapsed() >= END_AFTER_DECISION);
        let finished = || late() || !self.lingering.is_empty() || outcome::finished(&self.view.job.job).is_some();
        self.gone || (self.subject.until == Until::Finished && finished())
    }

    fn on_time(&mut self) {
        if self.events.due.is_some_and(|due| due <= Instant::now()) {
            let uids: Vec<_> = self.unstarted().map(str::to_owned).collect();
            let namespace = self.view.job.reference.namespace.clone();
            self.events.ask(self.cluster.clone(), namespace, uids);
        }
    }

    async fn take(&mut self, news: News, sources: &mut Sources) -> Result<(), Error> {
        match news {
            News::Job(seen) => self.newer(seen)?,
            News::Missing => {
                if Box::pin(self.confirm_gone()).await? {
                    sources.found(&self.view.job);
                }
            }
            News::Other(seen) => self.late_predecessors.meet(&seen, self.cluster, self.subject, self.say),
            News::Pod(pod, gone) => {
                self.sight = Sight::Seen;
                self.view.see_pod(pod, gone);
            }
            News::Pods(pods) => {
                self.sight = Sight::Seen;
                self.view.relist_pods(pods);
            }
            News::Contact(resource) => self.contact(resource),
            News::Interrupted(resource, failure) => self.lost_contact(resource, &failure),
            News::Refused(Resource::Pods, failure) => {
                sources.without_pods();
                self.sight = Sight::Refused;
                let why = failure.message();
                let text = format!(
                    "No right to list and watch Pods ({why}): following the Job alone, without logs, and without a startup timeout once it has Pods"
                );
                self.say.say(Message::warning("pods-not-visible", text));
            }
            News::Refused(resource, failure) => {
                let forbidden = failure.code() == Some(403) && self.watched;
                let what = format!("watch {}", self.view.job.reference);
                let error = failure.into_error(&what, Verb::Watch, resource, None);
                if !forbidden {
                    return Err(error);
                }
                self.watched = false;
                sources.ask();
                let text = format!("{error}\nUntil then it is asked for every {} s", ASK_EVERY.as_secs());
                self.say.say(Message::warning("jobs-not-watchable", text));
            }
        }
        Ok(())
    }

    fn newer(&mut self, seen: impl Into<Arc<SeenJob>>) -> Result<(), Error> {
        let seen = seen.into();
        if let (Some(ours), Some(marks)) = (&self.subject.owner, &seen.marks)
            && marks.owner != *ours
        {
            return Err(ownership::taken_over(&seen.reference, &marks.owner));
        }
        self.view.apply_job(seen);
        Ok(())
    }

    /// Missing from its source: only a GET tells whether it is gone. True where it is there.
    async fn confirm_gone(&mut self) -> Result<bool, Error> {
        let job = self.view.job.reference.clone();
        // The watch that told of it has worked.
        let mut patience = Patience::of_one_that_worked();
        let mut pauses = retry::backoff(self.cluster.next_seed(), None);
        loop {
            let failure = match look(self.cluster, &job).await {
                Ok(Some(seen)) => {
                    self.newer(seen)?;
                    return Ok(true);
                }
                Ok(None) => {
                    self.gone = true;
                    return Ok(false);
                }
                Err(failure) => failure,
            };
            if failure.code() == Some(403) || patience.ends_with(&failure) {
                return Err(failure.into_error(&format!("look at {job}"), Verb::Get, Resource::Jobs, None));
            }
            self.lost_contact(Resource::Jobs, &failure);
            tokio::time::sleep(pauses.next().unwrap_or(retry::LONGEST_PAUSE)).await;
        }
    }

    fn contact(&mut self, resource: Resource) {
        if self.troubled.remove(&resource) {
            self.say.say(Message::info("watch-resumed", format!("The watch of {} works again", resource.rbac())));
        }
    }

    fn lost_contact(&mut self, resource: Resource, failure: &Failure) {
        if self.troubled.insert(resource) {
            let text = format!(
                "The watch of {} is interrupted: {}; it goes on as soon as the API server answers",
                resource.rbac(),
                failure.message()
            );
            self.say.say(Message::warning("watch-interrupted", text));
        }
    }

    fn read_logs(&mut self) {
        if !self.subject.get_logs {
            return;
        }
        let many = self.view.many_sources();
        self.sink.name_sources(many);
        for (uid, seen) in &self.view.pods {
            for container in all_containers(&seen.pod).filter(|container| has_started(container)) {
                let key = (uid.clone(), container.name.clone());
                if self.reading.contains_key(&key) {
                    continue;
                }
                let mut stored = self.positions.iter();
                let start =
                    stored.find(|at| at.pod == *uid && at.container == container.name).map(|at| at.position.clone());
                let source = logs::LogSource {
                    namespace: self.view.job.reference.namespace.clone(),
                    pod: seen.pod.metadata.name.clone().unwrap_or_default(),
                    pod_uid: uid.clone(),
                    container: container.name.clone(),
                };
                let (cluster, sink, timing) = (self.cluster.clone(), self.sink.clone(), logs::Timing::default());
                let run = container.restart_count;
                let reader = match &self.ration {
                    None => self.readers.spawn(logs::follow(cluster, source, run, start, sink, timing)),
                    Some(ration) => {
                        self.readers.spawn(logs::follow(ration.of(cluster), source, run, start, sink, timing))
                    }
                };
                self.reading.insert(key, reader);
            }
        }
    }
}
