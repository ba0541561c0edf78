//! Sees the work of deleted Jobs stop: their Pods, found by the uid of the Job, whoever owns them now.
//!
//! A Pod that the garbage collector should delete and does not is deleted here, by its uid, if its ownerReference proves
//! whose it is; a Pod that the deletion orphaned is deleted at once. Without the right to delete Pods they are followed
//! all the same.
//! Cost: one list for up to [`JOBS_A_LIST`] Jobs together, again with growing pauses while a Pod of theirs runs; a DELETE
//! for each Pod that nobody else deletes, again with growing pauses while that shows no effect, [`AT_ONCE`] at a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::Instrument;

use crate::{
    cluster::{Cluster, Failure, Pauses, retry},
    identity::{Namespace, PodName},
    job_api::{
        deletes::delete_pod,
        pods::{list_pods, pods_of_job},
    },
    model::{
        message::{Message, MessageSink},
        observed_job::{JobReference, ObservedJob},
        pod::{CONTROLLER_UID, PodOwner, pod_owner, work_has_stopped},
    },
    resource::{Selector, Verb},
};

/// The uids of so many Jobs fit into one selector: 4 KB of a request line.
const JOBS_A_LIST: usize = 100;
/// How long the garbage collector has, once the Job is gone, before its Pods are deleted from here.
const COLLECTED_WITHIN: Duration = Duration::from_secs(5);
/// The longest pause between two lists.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a DELETE of a Pod is tried in one round.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// DELETEs of Pods under way at once.
const AT_ONCE: usize = 16;
/// A DELETE that was answered and shows no effect is sent again after this long, and then less and less often.
const FIRST_AGAIN: Duration = Duration::from_secs(2);
/// The longest pause between two DELETEs of one Pod.
const LAST_AGAIN: Duration = Duration::from_secs(60);
/// At most this many Pods that cannot be deleted are reported one by one.
const NAMED: usize = 5;
/// Jobs that are gone in the same moment share a list.
const GATHER: Duration = Duration::from_millis(50);

/// A Pod whose work has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePod {
    /// Its name.
    pub name: String,
    /// The node it was bound to.
    pub node: Option<String>,
}

/// Whether the Pods of a Job have an owner that takes them with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The garbage collector deletes them.
    Collected,
    /// As `Collected`. A Pod that somebody orphaned is waited for, too, because the next try must not run beside it.
    Owned,
    /// They have lost their owner, or may have: nobody but us deletes them.
    Orphaned,
    /// Somebody else sees to them: they are waited for and never deleted from here.
    Watched,
    /// They are to stay: the order was to orphan them.
    Kept,
}

/// What to do about one Pod of a Job that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PodAction {
    /// Its work has ended, or it is not the Job's.
    Nothing,
    /// It stays, and is reported.
    Keep,
    /// It goes by itself: wait.
    Wait,
    /// Nobody deletes it.
    Delete,
}

fn action(pod: &Pod, uid: &str, ownership: Ownership, gone_for: Duration) -> PodAction {
    let owner = pod_owner(pod, uid);
    if owner == PodOwner::Another {
        return PodAction::Nothing;
    }
    let deleting = pod.metadata.deletion_timestamp.is_some();
    match (ownership, deleting, work_has_stopped(pod)) {
        (Ownership::Kept, _, _) => PodAction::Keep,
        (Ownership::Orphaned, false, _) => PodAction::Delete,
        (Ownership::Watched | Ownership::Collected | Ownership::Owned, _, true) | (Ownership::Orphaned, true, true) => {
            PodAction::Nothing
        }
        (Ownership::Watched, _, false)
        | (Ownership::Orphaned | Ownership::Collected | Ownership::Owned, true, false) => PodAction::Wait,
        (Ownership::Collected | Ownership::Owned, false, false) => match owner {
            PodOwner::TheJob if gone_for >= COLLECTED_WITHIN => PodAction::Delete,
            // Somebody has orphaned the Pod, or it only carries a copied label. It is reported and left alone.
            PodOwner::Nobody | PodOwner::Another if ownership == Ownership::Collected => PodAction::Keep,
            PodOwner::TheJob | PodOwner::Nobody | PodOwner::Another => PodAction::Wait,
        },
    }
}

/// What became of the Pods of one Job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodsEnd {
    /// Those that may still run at the deadline.
    pub live: Vec<LivePod>,
    /// Those that were deleted from here.
    pub deleted: BTreeSet<String>,
    /// Those that are there and were to stay.
    pub kept: BTreeSet<String>,
}

/// How the Pods of a Job are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// By the label that the Job controller puts on them.
    ControllerUid,
    /// By the Job's own selector, where it has `manualSelector`: their labels are the user's.
    Selector(String),
}

impl FoundBy {
    /// Of this Job.
    pub fn of(job: &ObservedJob) -> Self {
        let spec = job.job.spec.as_ref();
        let by_hand = spec.filter(|spec| spec.manual_selector == Some(true)).and_then(|spec| spec.selector.as_ref());
        let labels = by_hand.and_then(|selector| selector.match_labels.as_ref()).filter(|labels| !labels.is_empty());
        labels.map_or(Self::ControllerUid, |labels| {
            let terms: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            Self::Selector(terms.join(","))
        })
    }
}

/// Sees the Pods of many Jobs end, in lists that they share.
#[derive(Clone)]
pub struct PodsWatcher {
    asked: mpsc::UnboundedSender<PodsWait>,
}

struct PodsWait {
    uid: String,
    found_by: FoundBy,
    ownership: Ownership,
    gone: Instant,
    deadline: Instant,
    end: PodsEnd,
    /// By the uid of a Pod: when a DELETE of it may be sent again.
    sent: HashMap<String, (Pauses, Instant)>,
    answer: oneshot::Sender<Result<PodsEnd, Failure>>,
}

impl PodsWatcher {
    /// Works until the last clone is dropped. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, namespace: Namespace, messages: impl MessageSink + 'static) -> Self {
        let (asked, inbox) = mpsc::unbounded_channel();
        let rounds = Rounds { cluster, namespace, messages: Box::new(messages), may_delete: true, reported: 0 };
        tokio::spawn(rounds.run(inbox).in_current_span());
        Self { asked }
    }

    /// Waits until no Pod of the Job runs any more, or the deadline has come.
    pub async fn ended(
        &self,
        job: &JobReference,
        found_by: FoundBy,
        ownership: Ownership,
        deadline: Instant,
    ) -> Result<PodsEnd, Failure> {
        let (answer, end) = oneshot::channel();
        let (uid, gone) = (job.uid.clone(), Instant::now());
        let (end_so_far, sent) = (PodsEnd::default(), HashMap::new());
        let asked = PodsWait { uid, found_by, ownership, gone, deadline, end: end_so_far, sent, answer };
        let _ = self.asked.send(asked);
        end.await.unwrap_or_else(|_| Err(Failure::transport("the wait for Pods was ended")))
    }
}

struct Rounds {
    cluster: Cluster,
    namespace: Namespace,
    messages: Box<dyn MessageSink>,
    may_delete: bool,
    /// How many Pods that cannot be deleted were reported.
    reported: usize,
}

impl Rounds {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<PodsWait>) {
        let mut waiting: Vec<PodsWait> = Vec::new();
        let mut pauses = retry::backoff(self.cluster.next_seed(), None);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                asked = inbox.recv(), if !inbox.is_closed() || !inbox.is_empty() => {
                    let Some(asked) = asked else { continue };
                    waiting.push(asked);
                    pauses = retry::backoff(self.cluster.next_seed(), None);
                    next = next.min(Instant::now() + GATHER).max(Instant::now());
                }
                () = tokio::time::sleep_until(next), if !waiting.is_empty() => {
                    waiting.retain(|asked| !asked.answer.is_closed());
                    let (alone, mut together): (Vec<_>, Vec<_>) =
                        waiting.into_iter().partition(|asked| asked.found_by != FoundBy::ControllerUid);
                    waiting = Vec::new();
                    for asked in alone {
                        waiting.extend(self.round(vec![asked]).await);
                    }
                    while !together.is_empty() {
                        let chunk = together.split_off(together.len().saturating_sub(JOBS_A_LIST));
                        waiting.extend(self.round(chunk).await);
                    }
                    let earliest = waiting.iter().map(|asked| asked.deadline).min();
                    next = Instant::now() + pauses.next().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                    next = earliest.map_or(next, |deadline| next.min(deadline));
                }
                else => return,
            }
        }
    }

    /// One list, and what it says about each of these Jobs; those whose Pods have not ended.
    async fn round(&mut self, chunk: Vec<PodsWait>) -> Vec<PodsWait> {
        let listed = list_pods(&self.cluster, &self.namespace, &selector(&chunk)).await;
        let now = Instant::now();
        let mut pods = match listed {
            Ok(pods) => by_job(pods),
            // An outage is waited for, as long as the order lasts.
            Err(failure) => {
                let waits = retry::may_repeat(Verb::List, &failure);
                let (left, over): (Vec<_>, Vec<_>) = chunk.into_iter().partition(|asked| waits && now < asked.deadline);
                for asked in over {
                    // Those that were seen to run are known, also where the last list was not answered.
                    let end = if asked.end.live.is_empty() { Err(failure.clone()) } else { Ok(asked.end) };
                    let _ = asked.answer.send(end);
                }
                return left;
            }
        };
        let mut left = Vec::new();
        for mut asked in chunk {
            let mut open = false;
            asked.end.live.clear();
            let mut doomed = Vec::new();
            for pod in pods.remove(&asked.uid).unwrap_or_default() {
                let live = !work_has_stopped(&pod);
                match action(&pod, &asked.uid, asked.ownership, now.saturating_duration_since(asked.gone)) {
                    PodAction::Nothing => continue,
                    PodAction::Keep => {
                        asked.end.kept.extend(pod.metadata.name);
                        continue;
                    }
                    PodAction::Wait => open = true,
                    PodAction::Delete => {
                        open |= live;
                        doomed.push(pod.clone());
                    }
                }
                if live {
                    asked.end.live.push(LivePod::of(pod));
                }
            }
            if now < asked.deadline {
                self.delete(&doomed, &mut asked).await;
            }
            if !open || now >= asked.deadline {
                let _ = asked.answer.send(Ok(asked.end));
            } else {
                left.push(asked);
            }
        }
        left
    }

    /// Some side by side, as long as a round may take; what is left is sent in the next round.
    async fn delete(&mut self, pods: &[Pod], asked: &mut PodsWait) {
        if !self.may_delete {
            return;
        }
        let end = asked.deadline.min(Instant::now() + ANSWERED_WITHIN);
        let (cluster, namespace) = (self.cluster.until(end), self.namespace.clone());
        let mut due = Vec::new();
        for pod in pods {
            let (Some(name), Some(uid)) = (pod.metadata.name.clone(), pod.metadata.uid.clone()) else { continue };
            let Ok(object_name) = name.parse::<PodName>() else { continue };
            if asked.sent.get(&uid).is_none_or(|(_, again)| *again <= Instant::now()) {
                due.push((name, object_name, uid));
            }
        }
        let answers = stream::iter(due).take_while(|_| std::future::ready(Instant::now() < end)).map(
            |(name, object_name, uid)| {
                let (cluster, namespace) = (&cluster, &namespace);
                async move {
                    let answer = delete_pod(cluster, namespace, &object_name, &uid).await;
                    (name, uid, answer)
                }
            },
        );
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        while let Some((name, uid, answer)) = answers.next().await {
            let seed = self.cluster.next_seed();
            let (pauses, again) = asked.sent.entry(uid).or_insert_with(|| {
                let pauses = Pauses::between(FIRST_AGAIN, LAST_AGAIN, seed);
                // The first turn was this one.
                (pauses.clone(), pauses.next())
            });
            *again = pauses.next();
            match answer {
                Ok(_) => _ = asked.end.deleted.insert(name),
                Err(failure) if matches!(failure.code(), Some(404 | 409)) => {}
                // It was not answered in time.
                Err(Failure::Transport { .. }) if Instant::now() >= end => {}
                Err(failure) => {
                    self.may_delete &= !failure.is_forbidden();
                    self.reported += 1;
                    if self.reported > NAMED {
                        continue;
                    }
                    let more = if self.reported == NAMED { "; more of them are not listed" } else { "" };
                    let text = format!(
                        "Pod `{}/{name}` has nobody who deletes it, and cannot be deleted from here: {}{more}",
                        self.namespace,
                        failure.message()
                    );
                    self.messages.emit(Message::warning("pod-not-deleted", text));
                }
            }
        }
    }
}

/// The selector that finds the Pods of these Jobs; only alone may one be found by a selector of its own.
fn selector(jobs: &[PodsWait]) -> Selector {
    let labels = match jobs {
        [PodsWait { found_by: FoundBy::Selector(labels), .. }] => labels.clone(),
        [PodsWait { uid, .. }] => format!("{CONTROLLER_UID}={uid}"),
        jobs => {
            let uids: Vec<_> = jobs.iter().map(|asked| asked.uid.as_str()).collect();
            format!("{CONTROLLER_UID} in ({})", uids.join(","))
        }
    };
    Selector::labels(labels)
}

/// Pods by the uid of the Job that their label, or else their ownerReference, names.
fn by_job(listed: Vec<Pod>) -> BTreeMap<String, Vec<Pod>> {
    let mut pods: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in listed {
        let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(CONTROLLER_UID)).cloned();
        let owner = || pod.metadata.owner_references.as_ref()?.first().map(|owner| owner.uid.clone());
        pods.entry(label.or_else(owner).unwrap_or_default()).or_default().push(pod);
    }
    pods
}

/// The uids and versions of a Job's Pods: what changes when one of them moves. A Pod within its grace period moves.
pub(crate) async fn versions(cluster: &Cluster, job: &JobReference) -> Result<Vec<(String, String)>, Failure> {
    let pods = pods_of_job(cluster, job).await?;
    let now = cluster.now();
    let mut versions: Vec<_> = pods
        .into_iter()
        .map(|pod| {
            let moves =
                pod.metadata.deletion_timestamp.as_ref().is_some_and(|end| end.0 > now) && !work_has_stopped(&pod);
            let version = if moves { now.to_string() } else { pod.metadata.resource_version.unwrap_or_default() };
            (pod.metadata.uid.unwrap_or_default(), version)
        })
        .collect();
    versions.sort();
    Ok(versions)
}

impl LivePod {
    fn of(pod: Pod) -> Self {
        Self { name: pod.metadata.name.unwrap_or_default(), node: pod.spec.and_then(|spec| spec.node_name) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(phase: &str, deleting: bool, owner: Option<&str>) -> Pod {
        let deleted = if deleting { json!("2026-01-01T00:00:00Z") } else { Value::Null };
        let owners: Vec<_> =
            owner.iter().map(|uid| json!({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid})).collect();
        serde_json::from_value(
            json!({"metadata": {"deletionTimestamp": deleted, "ownerReferences": owners}, "status": {"phase": phase}}),
        )
        .unwrap()
    }

    #[test]
    fn pods_of_a_job_that_is_gone_are_judged_by_this_table() {
        use Ownership::{Collected, Kept, Orphaned, Owned, Watched};
        let (now, later, ours, none) = (Duration::ZERO, COLLECTED_WITHIN, Some("u"), None);
        let cases = [
            ("the garbage collector is given a moment", Collected, "Running", false, ours, now, PodAction::Wait),
            ("then it is done without it", Collected, "Running", false, ours, later, PodAction::Delete),
            ("a Pod on its way out is waited for", Collected, "Running", true, ours, later, PodAction::Wait),
            ("an ended Pod is the garbage collector's", Collected, "Succeeded", false, ours, later, PodAction::Nothing),
            ("what somebody orphaned is reported", Collected, "Running", false, none, later, PodAction::Keep),
            ("beside what somebody orphaned no next try works", Owned, "Running", false, none, later, PodAction::Wait),
            ("what is the Job's is deleted", Owned, "Running", false, ours, later, PodAction::Delete),
            ("a Pod of another owner is not ours", Collected, "Running", false, Some("x"), later, PodAction::Nothing),
            ("an orphan is deleted at once", Orphaned, "Running", false, none, now, PodAction::Delete),
            ("also one that does not know it yet", Orphaned, "Running", false, ours, now, PodAction::Delete),
            ("also one that has ended", Orphaned, "Failed", false, none, now, PodAction::Delete),
            ("an orphan on its way out is waited for", Orphaned, "Running", true, none, now, PodAction::Wait),
            ("an ended orphan on its way out is not", Orphaned, "Succeeded", true, none, now, PodAction::Nothing),
            (
                "an orphan that found another owner is its",
                Orphaned,
                "Running",
                false,
                Some("x"),
                now,
                PodAction::Nothing,
            ),
            ("somebody else's are waited for", Watched, "Running", false, ours, later, PodAction::Wait),
            ("until they have ended", Watched, "Failed", false, ours, later, PodAction::Nothing),
            ("Pods that are to stay are reported", Kept, "Running", false, ours, later, PodAction::Keep),
        ];
        for (name, ownership, phase, deleting, owner, gone_for, expected) in cases {
            assert_eq!(action(&pod(phase, deleting, owner), "u", ownership, gone_for), expected, "{name}");
        }
    }

    #[test]
    fn pod_on_its_way_out_whose_containers_have_ended_is_not_waited_for_although_its_phase_says_running() {
        let mut ends = pod("Running", true, Some("u"));
        let container = |state: Value| json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        for (state, expected) in
            [(json!({"running": {}}), PodAction::Wait), (json!({"terminated": {"exitCode": 137}}), PodAction::Nothing)]
        {
            let statuses = serde_json::from_value(json!([container(state)])).unwrap();
            ends.status.as_mut().unwrap().container_statuses = Some(statuses);
            for ownership in [Ownership::Collected, Ownership::Owned, Ownership::Orphaned, Ownership::Watched] {
                assert_eq!(action(&ends, "u", ownership, COLLECTED_WITHIN), expected, "{ownership:?}");
            }
        }
    }
}
