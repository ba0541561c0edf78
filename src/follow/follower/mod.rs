//! Follows one Job from its creation to its outcome: watches it and its Pods, reads its logs, reports what happens, and
//! gives up if nothing can happen any more.
//!
//! Promise: the outcome is what the Job controller decided, or what the Pods prove, or `Vanished`. A Job counts as
//! absent only after a GET has confirmed it. While its feed does not work, the Job is read by GET. The outcome is
//! reported only after the logs are complete, or their gap is marked. A new owner ends the following at once. Cost
//! while waiting: that of its [`Feed`]; Events are listed only about objects that have not started for some seconds,
//! and about a Pod that was killed.

mod finish;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ContainerStatus;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tracing::Instrument;

use crate::{
    cluster::{Cluster, Failure, Pauses},
    diagnose,
    error::Error,
    follow::{
        announce::ProgressAnnouncer,
        contact::Contact,
        event_polls::{EventLists, Pace},
        feed::{ASK_EVERY, Feed, FeedEvent},
        findings::FindingAnnouncer,
        last_pods::PodVisibility,
        late_predecessors::LatePredecessors,
        pod_counts::PodCounts,
        sidecar::{self, Sidecars},
        startup_timeout::{GivenUp, StartupTimeout},
        workload_reads::WorkloadReads,
    },
    job_api::{api_call::ApiCall, events::EventSubject, jobs::get_job, owner_patch, refusal_budget::RefusalBudget},
    logs,
    model::{
        conditions,
        container_killer::unexplained_kill,
        handoff::Handoff,
        job_result::RESULT_SIDECAR,
        lingering::Lingering,
        log_position, log_positions,
        message::{Message, MessageSink},
        observed_job::ObservedJob,
        outcome::Outcome,
        pod::{all_containers, has_started, init_containers, main_containers},
        pod_template::TemplateSpec,
        policies::Until,
        snapshot::JobSnapshot,
    },
    resource::Resource,
};

/// How long to wait for the terminal condition after an outcome was decided: a Pod on a lost node delays it for ever.
const END_AFTER_DECISION: Duration = Duration::from_secs(60);
/// If a watch does not work for this long, the Job is also read by GET.
const ASK_AFTER: Duration = Duration::from_secs(60);
/// How long one answer to that GET may take: meanwhile the follower handles nothing else.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Stands for "no limit in time".
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Events are listed for at most this many Pods at a time.
pub(super) const PODS_ASKED: usize = 3;

/// After this long, no Event will come any more that says who killed a container.
const KILL_EXPLAINED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Which Job is followed, from which position, and who gets the messages.
pub(crate) struct Following<'a> {
    pub cluster: &'a Cluster,
    pub handoff: &'a Handoff,
    /// How far the Job's log was delivered.
    pub positions: Vec<log_positions::SourcePosition>,
    pub messages: &'a Arc<dyn MessageSink>,
    pub sources: Feed,
    pub sink: logs::Sink,
    /// The quota of log streams that the followers of one process share, if there are many.
    pub quota: Option<Arc<logs::LogQuota>>,
    /// Whether the Job is known to be gone.
    pub gone: bool,
}

/// Follows the Job from this state to its outcome.
///
/// A thousand of these futures wait at once, so code for rare events is boxed when it runs, and not part of the future.
pub(crate) fn follow(
    following: Following<'_>,
    job: impl Into<Arc<ObservedJob>>,
) -> impl Future<Output = Result<Outcome, Error>> {
    let (follower, sources) = JobFollower::new(following, job.into());
    Box::new(follower).run(sources)
}

/// Whether this is an index as Kubernetes writes it. Somebody who makes Pods by hand may write anything.
fn is_number(index: &&str) -> bool {
    index.len() <= 10 && index.bytes().all(|byte| byte.is_ascii_digit())
}

/// The reader of one log.
struct Reading {
    pod: String,
    reader: AbortHandle,
    stall: Arc<logs::Stall>,
    /// The channel on which the reader gets the state of its container.
    told: watch::Sender<logs::ContainerNow>,
}

struct JobFollower<'a> {
    cluster: &'a Cluster,
    handoff: &'a Handoff,
    positions: Vec<log_positions::SourcePosition>,
    messages: &'a Arc<dyn MessageSink>,
    snapshot: JobSnapshot,
    progress: ProgressAnnouncer,
    counts: PodCounts,
    explained: FindingAnnouncer,
    startup: StartupTimeout,
    sidecars: Sidecars,
    /// The containers that kept running when the Job was over.
    lingering: Vec<Lingering>,
    sink: logs::Sink,
    quota: Option<Arc<logs::LogQuota>>,
    readers: JoinSet<()>,
    /// The readers of logs, by Pod uid and container.
    reading: HashMap<(String, String), Reading>,
    late_predecessors: LatePredecessors,
    events: EventLists,
    workload: WorkloadReads,
    /// When the outcome was decided.
    decided: Option<Instant>,
    /// The state of the watch of Jobs and of the watch of Pods.
    contacts: [Contact; 2],
    /// The pauses between GETs that an event of the source asks for.
    get_pauses: Pauses,
    /// When to read the Job by GET because its source does not work.
    ask: Option<Instant>,
    /// When to read it because its source has been silent for long: the Job may be quiet, or the source may be wrong.
    check: Instant,
    /// How long the source may be silent.
    check_every: Duration,
    /// Whether the log already says that the Job is read by GET.
    polling_reported: bool,
    /// Whether the Job is watched; otherwise it is read by GET.
    watched: bool,
    /// Whether Pods can be seen.
    pod_visibility: PodVisibility,
    gone: bool,
}

impl<'a> JobFollower<'a> {
    fn new(following: Following<'a>, job: Arc<ObservedJob>) -> (Self, Feed) {
        let Following { cluster, handoff, positions, messages, sources, sink, quota, gone } = following;
        let pace = if quota.is_some() { Pace::Beside } else { Pace::Steady };
        let follower = Self {
            cluster,
            handoff,
            positions,
            messages,
            startup: StartupTimeout::new(
                handoff.startup_timeout().unwrap_or(FOR_EVER),
                handoff.init_timeout(),
                handoff.queue_timeout(),
            ),
            sidecars: Sidecars::new(handoff.on_lingering_sidecar),
            lingering: Vec::new(),
            events: EventLists::new(pace),
            workload: WorkloadReads::new(pace),
            snapshot: JobSnapshot::new(job),
            progress: ProgressAnnouncer::default(),
            counts: PodCounts::new(),
            explained: FindingAnnouncer::new(),
            sink,
            quota,
            readers: JoinSet::new(),
            reading: HashMap::new(),
            late_predecessors: LatePredecessors::default(),
            decided: None,
            contacts: [Resource::Jobs, Resource::Pods].map(Contact::new),
            get_pauses: Pauses::new(cluster.next_seed()),
            ask: None,
            check: Instant::now() + sources.check_every(),
            check_every: sources.check_every(),
            polling_reported: false,
            watched: true,
            pod_visibility: PodVisibility::default(),
            gone,
        };
        (follower, sources)
    }

    async fn run(mut self: Box<Self>, mut sources: Feed) -> Result<Outcome, Error> {
        loop {
            self.announce();
            let next_lingering = self.check_sidecars();
            if self.over() {
                Box::pin(self.catch_up(&mut sources)).await;
                break;
            }
            let next_startup = self.startup.evaluate(Instant::now(), self.cluster.now(), &self.snapshot);
            let next_startup = match next_startup {
                Ok(next) => next,
                Err(_) if !self.sees() => None,
                Err(given_up) => return Err(Box::pin(self.explained(given_up)).await),
            };
            let decided = self.decided.map(|at| at + END_AFTER_DECISION);
            let [of_jobs, of_pods] = [0, 1].map(|at: usize| self.contacts[at].due());
            let timer = [
                next_startup,
                next_lingering,
                self.events.due,
                self.workload.due,
                decided,
                self.explained.due,
                self.counts.due,
                self.ask,
                Some(self.check),
                of_jobs,
                of_pods,
            ];
            let timer = timer.into_iter().flatten().min();
            tokio::select! {
                news = sources.next() => self.take(news, &mut sources).await?,
                Some(events) = self.events.inbox.next() => self.snapshot.events = events,
                () = self.workload.answered() => {}
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    self.on_time();
                    let now = Instant::now();
                    if self.ask.is_some_and(|at| at <= now) {
                        self.report_polling(sources.ask_every());
                        self.ask = Some(now + sources.ask_every());
                        Box::pin(self.get_the_job()).await?;
                    } else if self.check <= now {
                        self.check_every = sources.check_every();
                        self.check = now + self.check_every;
                        Box::pin(self.get_the_job()).await?;
                    }
                }
            }
        }
        Box::pin(self.conclude()).await
    }

    /// Reports what is new, starts the readers of new containers, plans the next list of Events.
    fn announce(&mut self) {
        for message in self.progress.observe(&self.snapshot) {
            self.messages.emit(message);
        }
        if let Some(message) = self.counts.observe(&self.snapshot) {
            self.messages.emit(message);
        }
        for message in self.explained.observe(self.cluster, &self.snapshot, &self.workload.found) {
            self.messages.emit(message);
        }
        if self.snapshot.end.is_some() {
            self.decided.get_or_insert_with(Instant::now);
        }
        self.read_logs();
        let may_start = self.snapshot.end.is_none() && self.snapshot.job.pause().is_none();
        let unexplained = if may_start { self.unexplained() } else { Vec::new() };
        self.events.plan(unexplained);
        self.workload.plan(self.snapshot.end.is_none() && self.snapshot.job.held_in_queue().is_some());
    }

    /// Ends the following if only sidecars still run; otherwise returns when to check again.
    fn check_sidecars(&mut self) -> Option<Instant> {
        match self.sidecars.evaluate(Instant::now(), &self.snapshot) {
            sidecar::SidecarVerdict::Wait(next) => next,
            sidecar::SidecarVerdict::Over(end, lingering) => {
                self.messages.emit(sidecar::over(&lingering));
                self.snapshot.end = Some(end);
                self.lingering = lingering;
                None
            }
        }
    }

    /// Whether what is known of the Job is how it is now: what began while nobody could tell of it is not to be given up.
    fn sees(&self) -> bool {
        let [jobs, pods] = &self.contacts;
        // A Job whose Pods nobody has seen tells by itself whether it has some.
        !jobs.is_blind()
            && (!pods.is_lost() || self.pod_visibility == PodVisibility::Refused || self.snapshot.pods.is_empty())
    }

    /// The error about a Job that is given up, with the findings: the first one says why.
    async fn explained(&self, given_up: GivenUp) -> Error {
        // The last Events and the nodes may have come since the last list.
        let mut facts = self.explained.facts(&self.snapshot, self.cluster.now());
        facts.given_up = true;
        facts.queue = self.workload.found.clone();
        // Where thousands wait, they would all ask for all nodes.
        if self.quota.is_none() && diagnose::collect::any_unschedulable(&facts) {
            let asked = tokio::time::timeout(ANSWERED_WITHIN, diagnose::collect::cluster_nodes(self.cluster));
            facts.cluster_nodes = asked.await.unwrap_or_default();
        }
        given_up.error(&self.snapshot.job.reference, &diagnose::findings(&facts))
    }

    /// The objects that Events could explain: the Job while it has no Pod, Pods that have not started, the claims of a Pod
    /// that gets no node, and Pods with a container that was killed just now.
    fn unexplained(&self) -> Vec<EventSubject> {
        let job = self.snapshot.pods.is_empty().then_some(self.snapshot.job.reference.uid.as_str());
        let events = &self.snapshot.events;
        let now = self.cluster.now();
        let pods = self.snapshot.pods.iter().filter(|(_, seen)| {
            let killed = |container: &ContainerStatus| {
                let killed = unexplained_kill(&seen.pod, container, events);
                killed.is_some_and(|at| now.duration_since(at) < KILL_EXPLAINED_WITHIN)
            };
            let pod = &seen.pod;
            !seen.gone && (!all_containers(pod).any(has_started) || all_containers(pod).any(killed))
        });
        let uids = job.into_iter().chain(pods.map(|(uid, _)| uid.as_str()));
        let mut all: Vec<_> = uids.take(PODS_ASKED).map(EventSubject::from).collect();
        let homeless =
            self.snapshot.pods.values().any(|seen| !seen.gone && diagnose::collect::is_unschedulable(&seen.pod));
        let template = self.snapshot.job.job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let claims = template.filter(|_| homeless).map(TemplateSpec::claims).unwrap_or_default();
        all.extend(claims.into_iter().take(PODS_ASKED).map(|claim| EventSubject::Claim(claim.to_owned())));
        all
    }

    fn over(&self) -> bool {
        let late = || self.decided.is_some_and(|at| at.elapsed() >= END_AFTER_DECISION);
        let finished =
            || late() || !self.lingering.is_empty() || conditions::finished(&self.snapshot.job.job).is_some();
        self.gone || (self.handoff.until == Until::Finished && finished())
    }

    fn on_time(&mut self) {
        for contact in &mut self.contacts {
            if let Some(message) = contact.sum_up() {
                self.messages.emit(message);
            }
        }
        if self.events.due.is_some_and(|due| due <= Instant::now()) {
            self.events.ask(self.cluster.clone(), self.snapshot.job.reference.namespace.clone());
        }
        let job = &self.snapshot.job;
        if let (true, Some(queue)) = (self.workload.due.is_some_and(|due| due <= Instant::now()), job.held_in_queue()) {
            self.workload.ask(self.cluster.clone(), job.reference.clone(), queue.to_owned());
        }
    }

    async fn take(&mut self, news: FeedEvent, sources: &mut Feed) -> Result<(), Error> {
        match news {
            FeedEvent::Job(seen) => {
                self.newer(seen)?;
                self.check = Instant::now() + self.check_every;
                if !self.contacts[0].is_lost() {
                    self.ask = None;
                }
            }
            FeedEvent::Unclear(failure) => self.unclear(&failure),
            FeedEvent::Missing => {
                if Box::pin(self.confirm_gone()).await? {
                    sources.found(&self.snapshot.job);
                }
            }
            FeedEvent::Other(seen) => self.late_predecessors.meet(&seen, self.cluster, self.handoff, self.messages),
            FeedEvent::Pod(pod, gone) => {
                self.pod_visibility = PodVisibility::Seen;
                self.snapshot.apply_pod(pod, gone);
            }
            FeedEvent::Pods(pods) => {
                self.pod_visibility = PodVisibility::Seen;
                self.snapshot.relist_pods(pods);
            }
            FeedEvent::PodsWatched => self.pod_visibility = PodVisibility::Seen,
            FeedEvent::Contact(resource) => self.contact(resource),
            FeedEvent::Interrupted(resource, failure) => self.lost_contact(resource, &failure),
            FeedEvent::Refused(Resource::Pods, failure) => {
                sources.without_pods();
                self.pod_visibility = PodVisibility::Refused;
                let why = failure.message();
                let text = format!(
                    "No right to list and watch Pods ({why}): following the Job alone, without logs, and without a startup timeout once it has Pods"
                );
                self.messages.emit(Message::warning("pods-not-visible", text));
            }
            FeedEvent::Refused(_, failure) => {
                let error = ApiCall::WatchJob(&self.snapshot.job.reference).failed(failure, None);
                // An identity that may not watch may still be allowed to GET. Only the answer to that can end the
                // following.
                if !std::mem::take(&mut self.watched) {
                    return Err(error);
                }
                self.ask = None;
                sources.ask();
                let what = format!("{} is asked for every {} s", self.snapshot.job.reference, ASK_EVERY.as_secs());
                self.messages.emit(Message::in_spite_of(&error, "jobs-not-watchable", what));
            }
        }
        Ok(())
    }

    fn newer(&mut self, seen: impl Into<Arc<ObservedJob>>) -> Result<(), Error> {
        let seen = seen.into();
        if let (Some(ours), Some(metadata)) = (&self.handoff.owner, &seen.attempt_metadata)
            && metadata.owner != *ours
        {
            return Err(owner_patch::taken_over(&seen.reference, &metadata.owner));
        }
        self.snapshot.apply_job(seen);
        Ok(())
    }

    /// Reads a Job that is missing from its source: only a GET shows whether it is gone. True if it exists.
    async fn confirm_gone(&mut self) -> Result<bool, Error> {
        let job = self.handoff.job.clone();
        // The watch that reported the Job has worked.
        let mut budget = RefusalBudget::of_one_that_worked();
        let mut failed = false;
        loop {
            self.get_pauses.turn().await;
            let failure = match get_job(self.cluster, &job).await {
                Ok(Some(seen)) => {
                    self.newer(seen)?;
                    if let Some(message) = failed.then(|| self.contacts[0].found()).flatten() {
                        self.messages.emit(message);
                    }
                    return Ok(true);
                }
                Ok(None) => {
                    self.gone = true;
                    return Ok(false);
                }
                Err(failure) => failure,
            };
            if failure.is_forbidden() || budget.ends_with(&failure) {
                return Err(ApiCall::GetJob(&job).failed(failure, None));
            }
            failed = true;
            if let Some(message) = self.contacts[0].lost(&failure) {
                self.messages.emit(message);
            }
        }
    }

    /// Handles a state of the Job that cannot be understood: the Job is read by GET until a state can be understood.
    fn unclear(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.polling_reported, true) {
            let text = format!(
                "What the watch tells of {} is not understood, so it is asked for: {}",
                self.snapshot.job.reference,
                failure.message()
            );
            self.messages.emit(Message::warning("job-asked-for", text));
        }
        let next = self.get_pauses.next();
        self.ask = Some(self.ask.map_or(next, |at| at.min(next)));
    }

    fn report_polling(&mut self, every: Duration) {
        if !std::mem::replace(&mut self.polling_reported, true) {
            let text = format!(
                "The watch of {} has not worked for {} s: until it does, {} is asked for every {} s",
                Resource::Jobs.rbac(),
                ASK_AFTER.as_secs(),
                self.snapshot.job.reference,
                every.as_secs()
            );
            self.messages.emit(Message::warning("job-asked-for", text));
        }
    }

    /// Reads once a Job that its source does not report. Without an answer it is read again later.
    async fn get_the_job(&mut self) -> Result<(), Error> {
        let cluster = self.cluster.until(Instant::now() + ANSWERED_WITHIN);
        let asked = get_job(&cluster, &self.handoff.job).await;
        self.contacts[0].asked_beside(asked.is_ok());
        match asked {
            Ok(Some(seen)) => self.newer(seen)?,
            Ok(None) => self.gone = true,
            Err(_) => {}
        }
        Ok(())
    }

    fn contact(&mut self, resource: Resource) {
        // A watch that has just begun ends no GET that was planned because it showed a state that cannot be read.
        if resource == Resource::Jobs && self.contacts[0].is_lost() {
            self.ask = None;
        }
        if let Some(message) = self.contact_to(resource).found() {
            self.messages.emit(message);
        }
    }

    fn lost_contact(&mut self, resource: Resource, failure: &Failure) {
        if resource == Resource::Jobs && self.watched {
            self.ask.get_or_insert_with(|| Instant::now() + ASK_AFTER);
        }
        if let Some(message) = self.contact_to(resource).lost(failure) {
            self.messages.emit(message);
        }
    }

    fn contact_to(&mut self, resource: Resource) -> &mut Contact {
        &mut self.contacts[usize::from(resource == Resource::Pods)]
    }

    fn read_logs(&mut self) {
        if !self.handoff.get_logs {
            return;
        }
        let many = self.snapshot.many_sources();
        self.sink.name_sources(many);
        for (uid, seen) in &self.snapshot.pods {
            let base = self.snapshot.base_container();
            let Handoff { container_logs, init_container_logs, .. } = self.handoff;
            let init = init_containers(&seen.pod).filter(|init| init_container_logs.has(&init.name, None));
            let main = main_containers(&seen.pod).filter(|main| container_logs.has(&main.name, base));
            let own = |container: &&ContainerStatus| container.name == RESULT_SIDECAR;
            for container in init.chain(main).filter(|container| has_started(container) && !own(container)) {
                let key = (uid.clone(), container.name.clone());
                let now = logs::ContainerNow::of(&seen.pod, &container.name);
                if let Some(reading) = self.reading.get(&key) {
                    // A Pod that left the watch may still exist: its reader asks for it.
                    if !seen.gone && !reading.reader.is_finished() {
                        reading.told.send_if_modified(|told| std::mem::replace(told, now.clone()) != now);
                    }
                    continue;
                }
                let name = seen.pod.metadata.name.as_deref().unwrap_or_default();
                // An API server stores no other names.
                let (Ok(pod), Ok(name)) = (name.parse(), container.name.parse()) else { continue };
                let mut stored = self.positions.iter();
                let position =
                    stored.find(|at| at.pod == *uid && at.container == container.name).map(|at| at.position.clone());
                let source = log_position::LogSource {
                    namespace: self.snapshot.job.reference.namespace.clone(),
                    pod,
                    pod_uid: uid.clone(),
                    container: name,
                    index: conditions::index(&seen.pod).filter(is_number).map(str::to_owned),
                    alone: all_containers(&seen.pod).filter(|container| !own(container)).count() == 1,
                };
                let (cluster, sink, timing) = (self.cluster.clone(), self.sink.clone(), logs::LogTiming::default());
                let (pod, stall) = (source.pod.to_string(), Arc::<logs::Stall>::default());
                let (told, of_pod) = watch::channel(now);
                let start = logs::LogStart { source, restart_count: container.restart_count, position, told: of_pod };
                let stalled = Arc::clone(&stall);
                let reader = match &self.quota {
                    None => self.readers.spawn(logs::follow(cluster, start, sink, stalled, timing).in_current_span()),
                    Some(quota) => {
                        let cluster = quota.of(cluster);
                        self.readers.spawn(logs::follow(cluster, start, sink, stalled, timing).in_current_span())
                    }
                };
                self.reading.insert(key, Reading { pod, reader, stall, told });
            }
        }
    }
}
