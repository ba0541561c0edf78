//! The last part of following: the Job is over, and everything about it is completed before its outcome is told.

use std::time::Duration;

use tokio::time::Instant;

use super::{Follower, Sight};
use crate::{
    error::Error,
    job::{
        events::list_events,
        last_pods::{last_pods, missing},
        message::Message,
        outcome,
        startup::managed_by_another,
        verdict::Outcome,
        view::{SeenPod, pod_ended},
    },
};

/// After the end, how long the last Pods and the logs may take.
const DRAIN_LOGS: Duration = Duration::from_secs(600);
/// The same where Pods may be out of reach.
const DRAIN_UNREACHABLE: Duration = Duration::from_secs(10);

impl Follower<'_> {
    /// The Job is over: completes Pods and logs, then concludes.
    pub(super) async fn conclude(mut self: Box<Self>) -> Result<Outcome, Error> {
        let unreachable = outcome::finished(&self.view.job.job).is_none() && !self.gone && self.lingering.is_empty();
        if unreachable {
            self.say.say(Message::warning(
                "end-not-confirmed",
                format!(
                    "{}'s outcome is decided, but some of its Pods do not end: they may still run",
                    self.view.job.reference
                ),
            ));
        }
        let limit = if unreachable { DRAIN_UNREACHABLE } else { DRAIN_LOGS };
        let deadline = Instant::now() + limit;
        self.complete_pods(deadline).await;
        self.look_around();
        self.stop_reading_sidecars();
        let drained =
            tokio::time::timeout_at(deadline, async { while self.readers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            self.readers.abort_all();
            self.say.say(Message::warning(
                "log-incomplete",
                format!("The log was not complete {} s after the end: what follows is missing", limit.as_secs()),
            ));
        }
        self.complete_events().await;
        let mut outcome = Outcome::conclude(&self.view, self.gone);
        outcome.lingering = self.lingering.into_iter().flat_map(|lingering| lingering.sidecars).collect();
        Ok(outcome)
    }

    /// The logs of what lingers never end.
    fn stop_reading_sidecars(&self) {
        for ((uid, container), reader) in &self.reading {
            let pod = self.view.pods.get(uid).and_then(|seen| seen.pod.metadata.name.as_ref());
            if self.lingering.iter().any(|l| Some(&l.pod) == pod && l.sidecars.contains(container)) {
                reader.abort();
            }
        }
    }

    /// The watch of Pods may be a little behind that of the Job: lists what it has not shown yet.
    async fn complete_pods(&mut self, deadline: Instant) {
        let ended = |seen: &SeenPod| seen.gone || pod_ended(&seen.pod);
        if self.view.pods.values().all(ended) && self.all_pods_seen() {
            return;
        }
        let job = &self.view.job.reference;
        match last_pods(self.cluster, job, self.sight, deadline).await {
            Ok(pods) => self.view.relist_pods(pods),
            Err(_) if self.sight == Sight::Refused => {}
            Err(failure) => self.say.say(missing(job, &failure)),
        }
    }

    /// Whether the Job counts no more Pods than were seen. That it counts none proves that there was none only once it has
    /// finished, for then all its Pods have ended and are counted:
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>.
    fn all_pods_seen(&self) -> bool {
        let job = &self.view.job.job;
        let (succeeded, failed) = job.status.as_ref().map_or((None, None), |status| (status.succeeded, status.failed));
        let counted = succeeded.unwrap_or(0) + failed.unwrap_or(0);
        let proven = || outcome::finished(job).is_some() && !job.spec.as_ref().is_some_and(managed_by_another);
        let seen = self.view.pods.len();
        usize::try_from(counted).is_ok_and(|counted| counted <= seen) && (seen > 0 || proven())
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
