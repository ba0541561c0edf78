//! Finishes the following of a Job that is over: completes everything about it before its outcome is reported.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{JobFollower, PODS_ASKED, Reading};
use crate::{
    error::Error,
    follow::{
        feed::{Feed, FeedEvent},
        last_pods::{PodVisibility, last_pods, missing},
        printed_results::printed_results,
    },
    job_api::{
        events::list_events,
        last_lines::{LastLines, last_lines},
    },
    model::{
        conditions::{self, JobEnd},
        container_exit::{ContainerExit, container_exits},
        container_killer::unexplained_kill,
        failed_log::FailedLog,
        job::managed_by_another,
        job_result::{JobResult, printed_result, result_in_messages},
        log_position::LogSource,
        message::Message,
        outcome::{Outcome, OutcomeState},
        pod::{all_containers, ended_at, phase_is_terminal},
        policies::ResultSource,
        snapshot::ObservedPod,
    },
    resource::Resource,
};

/// How far the watch of Pods may be behind that of the Job before the Pods are listed.
const PODS_BEHIND: Duration = Duration::from_secs(1);
/// After the end, how long the logs may take.
const DRAIN_LOGS: Duration = Duration::from_secs(600);
/// After the end, how long the list of the last Pods may fail: longer than a log may bring nothing, for without Pods there
/// is no log at all. Meanwhile it is said every minute.
const NO_PODS_FOR: Duration = Duration::from_secs(240);
const SAY_EVERY: Duration = Duration::from_secs(60);
/// After the end, how long a log may bring nothing. What it is asked for meanwhile is refused, cut, or not answered.
const NOTHING_FOR: Duration = Duration::from_secs(60);
/// After this long, the log says what the follower waits for.
const SAY_AFTER: Duration = Duration::from_secs(10);
/// So many lines of a failed Pod's log are read.
const SEARCHED: usize = 20;
/// How long requests that only explain may take.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(5);
/// The value of [`DRAIN_LOGS`] if Pods may be out of reach.
const DRAIN_UNREACHABLE: Duration = Duration::from_secs(10);

impl JobFollower<'_> {
    /// Completes Pods and logs of a Job that is over, then concludes.
    pub(crate) async fn conclude(mut self: Box<Self>) -> Result<Outcome, Error> {
        let unreachable =
            conditions::finished(&self.snapshot.job.job).is_none() && !self.gone && self.lingering.is_empty();
        if unreachable {
            self.messages.emit(Message::warning(
                "end-not-confirmed",
                format!(
                    "{}'s outcome is decided, but some of its Pods do not end: they may still run",
                    self.snapshot.job.reference
                ),
            ));
        }
        let limit = if unreachable { DRAIN_UNREACHABLE } else { DRAIN_LOGS };
        let deadline = Instant::now() + limit;
        self.complete_pods(deadline).await;
        self.announce();
        self.stop_reading_sidecars();
        self.drain(limit, deadline).await;
        self.complete_events().await;
        self.read_the_failed_log().await;
        let mut outcome = Outcome::conclude(&self.snapshot, self.gone);
        if outcome.state == OutcomeState::Succeeded
            && let Some(source) = self.handoff.result
        {
            let result = match source {
                ResultSource::TerminationMessage => result_in_messages(&self.snapshot),
                ResultSource::Sidecar => match printed_results(self.cluster, &self.snapshot).await {
                    Ok(printed) => printed_result(&self.snapshot, &printed),
                    Err(why) => JobResult::Unusable(why),
                },
            };
            outcome = outcome.with_result(result, source, &self.snapshot);
        }
        outcome.lingering = self.lingering.into_iter().flat_map(|lingering| lingering.sidecars).collect();
        Ok(outcome)
    }

    /// Waits until the logs are complete, as long as they bring something and the deadline allows it.
    async fn drain(&mut self, limit: Duration, deadline: Instant) {
        let end = Instant::now();
        let mut said = false;
        loop {
            let now = Instant::now();
            if now >= deadline {
                self.readers.abort_all();
                self.messages.emit(Message::warning(
                    "log-incomplete",
                    format!("The log was not complete {} s after the end: what follows is missing", limit.as_secs()),
                ));
                return;
            }
            if !said && now >= end + SAY_AFTER {
                said = true;
                self.say_what_is_waited_for(limit);
            }
            let mut next = if said { deadline } else { deadline.min(end + SAY_AFTER) };
            for ((_, container), Reading { pod, reader, stall, .. }) in &self.reading {
                let Some((since, why)) = stall.since().filter(|_| !reader.is_finished()) else { continue };
                let due = since.max(end) + NOTHING_FOR;
                if due > now {
                    next = next.min(due);
                    continue;
                }
                reader.abort();
                let why = if why.is_empty() { why } else { format!(": {why}") };
                let text = format!(
                    "The log of container `{container}` of Pod `{pod}` has brought nothing for {} s after the end{why}: what \
                     follows is missing",
                    NOTHING_FOR.as_secs()
                );
                self.messages.emit(Message::warning("log-incomplete", text));
            }
            tokio::select! {
                ended = self.readers.join_next() => if ended.is_none() { return },
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    fn say_what_is_waited_for(&self, limit: Duration) {
        let open = self.reading.values().filter(|reading| !reading.reader.is_finished());
        let mut reasons: Vec<_> = open.filter_map(|reading| reading.stall.since()).map(|(_, why)| why).collect();
        reasons.retain(|why| !why.is_empty());
        reasons.sort();
        reasons.dedup();
        let why = reasons.first().map_or_else(String::new, |why| format!(" ({why})"));
        let text = format!(
            "{} {}. What its containers still write is read{why}: until no line has come for {} s, and for {} s at most",
            self.snapshot.job.reference,
            if self.gone { "does not exist any more, but not all of its containers have ended" } else { "has ended" },
            NOTHING_FOR.as_secs().min(limit.as_secs()),
            limit.as_secs()
        );
        self.messages.emit(Message::info("log-awaited", text));
    }

    /// Ends the readers of lingering containers, whose logs never end.
    fn stop_reading_sidecars(&self) {
        for ((_, container), Reading { pod, reader, .. }) in &self.reading {
            if self.lingering.iter().any(|l| l.pod == *pod && l.sidecars.contains(container)) {
                reader.abort();
            }
        }
    }

    /// Waits a moment after the end of the Job for Pods that their watch is about to report.
    pub(crate) async fn catch_up(&mut self, sources: &mut Feed) {
        let until = Instant::now() + PODS_BEHIND;
        let finished = conditions::finished(&self.snapshot.job.job).is_some();
        while finished && !self.gone && self.pod_visibility != PodVisibility::Refused && !self.pods_complete() {
            match tokio::time::timeout_at(until, sources.next()).await {
                Ok(FeedEvent::Pod(pod, gone)) => self.snapshot.apply_pod(pod, gone),
                Ok(FeedEvent::Pods(pods)) => self.snapshot.relist_pods(pods),
                Err(_) | Ok(FeedEvent::Interrupted(Resource::Pods, _) | FeedEvent::Refused(Resource::Pods, _)) => {
                    return;
                }
                // The Job has ended; no other event changes that.
                Ok(_) => {}
            }
        }
    }

    /// Whether all Pods of the Job were seen to end.
    fn pods_complete(&self) -> bool {
        // Ended containers are not enough: the reason why the Pod ended comes with its last phase.
        let ended = |seen: &ObservedPod| seen.gone || phase_is_terminal(&seen.pod);
        self.snapshot.pods.values().all(ended) && self.all_pods_seen()
    }

    /// Lists the Pods if the watch has not shown all of them.
    async fn complete_pods(&mut self, deadline: Instant) {
        if self.pods_complete() {
            return;
        }
        let job = &self.snapshot.job.reference.clone();
        let deadline = deadline.min(Instant::now() + NO_PODS_FOR);
        let mut listing = std::pin::pin!(last_pods(self.cluster, job, self.pod_visibility, deadline));
        let mut next_word = SAY_AFTER;
        let listed = loop {
            if let Ok(listed) = tokio::time::timeout(next_word, &mut listing).await {
                break listed;
            }
            next_word = SAY_EVERY;
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            let text =
                format!("{job} has ended, and its last Pods are not listed yet: that is tried for {left} s more");
            self.messages.emit(Message::info("pods-awaited", text));
        };
        match listed {
            Ok(pods) => self.snapshot.relist_pods(pods),
            Err(_) if self.pod_visibility == PodVisibility::Refused => {}
            Err(failure) => self.messages.emit(missing(job, &failure)),
        }
    }

    /// Whether the Job counts no more Pods than were seen. A count of none proves that there was no Pod only once the
    /// Job has finished, because then all its Pods have ended and are counted:
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>.
    fn all_pods_seen(&self) -> bool {
        let job = &self.snapshot.job.job;
        let (succeeded, failed) = job.status.as_ref().map_or((None, None), |status| (status.succeeded, status.failed));
        let counted = succeeded.unwrap_or(0) + failed.unwrap_or(0);
        let proven = || conditions::finished(job).is_some() && !job.spec.as_ref().is_some_and(managed_by_another);
        let seen = self.snapshot.pods.len();
        usize::try_from(counted).is_ok_and(|counted| counted <= seen) && (seen > 0 || proven())
    }

    /// Reads the end of the log of the Pod that failed last, where only the log can explain the exit code. Only there
    /// stands a read-only file system, too, in the words of the C library or of Go.
    async fn read_the_failed_log(&mut self) {
        let failed = matches!(self.snapshot.end, Some(JobEnd::Failed { .. })) && self.handoff.get_logs;
        let pods = self.snapshot.pods.iter().filter(|(_, seen)| failed && !seen.gone);
        let Some((uid, pod)) = pods.max_by_key(|(_, seen)| ended_at(&seen.pod)).map(|(uid, seen)| (uid, &seen.pod))
        else {
            return;
        };
        let exits = container_exits(std::iter::once(&**pod), &self.snapshot.events);
        let Some(exit) = exits.into_iter().find(ContainerExit::is_explained_by_its_log) else { return };
        // An API server stores no other names.
        let (Ok(name), Ok(container)) = (exit.pod.parse(), exit.container.parse()) else { return };
        let namespace = self.snapshot.job.reference.namespace.clone();
        let source = LogSource { namespace, pod: name, pod_uid: uid.clone(), container, index: None, alone: false };
        let uid = uid.clone();
        let which = LastLines { lines: SEARCHED, previous: false, timestamps: false };
        let Ok(text) = last_lines(self.cluster, &source, which, EXPLAINED_WITHIN).await else { return };
        self.snapshot.failed_logs.insert(uid, FailedLog::read(&text));
    }

    /// Lists Events for facts that only they have and that came between two lists: when the first image was there, and
    /// who killed containers. If everything went well at once, they are not listed for the image.
    async fn complete_events(&mut self) {
        let known = self.snapshot.times();
        let pods = self.snapshot.pods();
        let worth_it = self.events.were_listed() || self.snapshot.end != Some(JobEnd::Succeeded);
        let timeline = worth_it && known.image_ready.is_none() && known.started.is_some();
        let first = pods.first().filter(|_| timeline);
        let killed = pods.iter().rev().filter(|pod| {
            all_containers(pod).any(|container| unexplained_kill(pod, container, &self.snapshot.events).is_some())
        });
        let asked: BTreeSet<_> =
            killed.take(PODS_ASKED).chain(first).filter_map(|pod| pod.metadata.uid.clone()).collect();
        let deadline = Instant::now() + EXPLAINED_WITHIN;
        for uid in asked {
            let listed = list_events(self.cluster, &self.snapshot.job.reference.namespace, uid.as_str());
            if let Ok(Ok(events)) = tokio::time::timeout_at(deadline, listed).await {
                self.snapshot.events.extend(events);
            }
        }
    }
}
