//! Sees the work of deleted Jobs stop: their Pods, found by the uid of the Job, whoever owns them now.
//!
//! A Pod that the garbage collector should delete and does not is deleted here, by its uid, if its ownerReference proves
//! whose it is; a Pod that the deletion orphaned is deleted at once. Without the right to delete Pods they are followed
//! all the same.
//! Cost: one list for up to [`JOBS_A_LIST`] Jobs together, again with growing pauses while a Pod of theirs runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Verb, retry},
    job::{message::Message, seen::JobReference, view::pod_ended},
};

/// The label that the Job controller puts on Pods; unlike their ownerReference it survives orphaning.
pub const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
/// The label with the Job's name that the Job controller puts on Pods.
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Finds the Pods of a Job, whoever owns them now.
#[must_use]
pub fn by_controller_uid(job: &JobReference) -> Selector {
    Selector::labels(format!("{CONTROLLER_UID}={}", job.uid))
}

/// The uids of so many Jobs fit into one selector: 4 KB of a request line.
const JOBS_A_LIST: usize = 100;
/// How long the garbage collector has, once the Job is gone, before its Pods are deleted from here.
const COLLECTED_WITHIN: Duration = Duration::from_secs(5);
/// The longest pause between two lists.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a DELETE of a Pod is tried in one round.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
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
    /// The same, and one that somebody has orphaned is waited for, since the next try must not work beside it.
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
enum Deed {
    /// Its work has ended, or it is not the Job's.
    Nothing,
    /// It stays, and whoever asked is told.
    Keep,
    /// It goes by itself: wait.
    Wait,
    /// Nobody deletes it.
    Delete,
}

/// Whose a Pod is, by its ownerReferences: labels alone prove nothing, for anybody can copy them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The Job of this uid.
    TheJob,
    /// Nobody: it was orphaned, or made by hand.
    Nobody,
    /// Another object.
    Another,
}

fn owner(pod: &Pod, uid: &str) -> Owner {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().any(|owner| owner.uid == uid) {
        Owner::TheJob
    } else if owners.is_empty() {
        Owner::Nobody
    } else {
        Owner::Another
    }
}

/// Whether a Pod that carries the label of a Job belongs to another object all the same.
#[must_use]
pub fn of_another(pod: &Pod, uid: &str) -> bool {
    owner(pod, uid) == Owner::Another
}

fn deed(pod: &Pod, uid: &str, ownership: Ownership, gone_for: Duration) -> Deed {
    let owner = owner(pod, uid);
    if owner == Owner::Another {
        return Deed::Nothing;
    }
    let deleting = pod.metadata.deletion_timestamp.is_some();
    match (ownership, deleting, pod_ended(pod)) {
        (Ownership::Kept, _, _) => Deed::Keep,
        (Ownership::Orphaned, false, _) => Deed::Delete,
        (Ownership::Watched | Ownership::Collected | Ownership::Owned, _, true) | (Ownership::Orphaned, true, true) => {
            Deed::Nothing
        }
        (Ownership::Watched, _, false)
        | (Ownership::Orphaned | Ownership::Collected | Ownership::Owned, true, false) => Deed::Wait,
        (Ownership::Collected | Ownership::Owned, false, false) => match owner {
            Owner::TheJob if gone_for >= COLLECTED_WITHIN => Deed::Delete,
            // Somebody has orphaned it, or it is a copy: it is told, and not touched.
            Owner::Nobody | Owner::Another if ownership == Ownership::Collected => Deed::Keep,
            Owner::TheJob | Owner::Nobody | Owner::Another => Deed::Wait,
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

/// Sees the Pods of many Jobs end, in lists that they share.
#[derive(Clone)]
pub struct PodsWatcher {
    asked: mpsc::UnboundedSender<Asked>,
}

struct Asked {
    uid: String,
    found_by: FoundBy,
    ownership: Ownership,
    gone: Instant,
    deadline: Instant,
    end: PodsEnd,
    answer: oneshot::Sender<Result<PodsEnd, Failure>>,
}

impl PodsWatcher {
    /// Works until the last clone is dropped. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, namespace: String, say: impl Fn(Message) + Send + 'static) -> Self {
        let (asked, inbox) = mpsc::unbounded_channel();
        tokio::spawn(Rounds { cluster, namespace, say: Box::new(say), may_delete: true }.run(inbox));
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
        let _ = self.asked.send(Asked { uid, found_by, ownership, gone, deadline, end: PodsEnd::default(), answer });
        end.await.unwrap_or_else(|_| Err(Failure::transport("the wait for Pods was ended")))
    }
}

struct Rounds {
    cluster: Cluster,
    namespace: String,
    say: Box<dyn Fn(Message) + Send>,
    may_delete: bool,
}

impl Rounds {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Asked>) {
        let mut waiting: Vec<Asked> = Vec::new();
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
    async fn round(&mut self, chunk: Vec<Asked>) -> Vec<Asked> {
        let listed = self.cluster.list(Resource::Pods, &self.namespace, &selector(&chunk)).await;
        let now = Instant::now();
        let mut pods = match listed {
            Ok(listed) => by_job(listed.items),
            // An outage is waited for, as long as the order lasts.
            Err(failure) => {
                let waits = retry::may_repeat(Verb::List, &failure);
                let (left, over): (Vec<_>, Vec<_>) = chunk.into_iter().partition(|asked| waits && now < asked.deadline);
                for asked in over {
                    let _ = asked.answer.send(Err(failure.clone()));
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
                let live = !pod_ended(&pod);
                match deed(&pod, &asked.uid, asked.ownership, now.saturating_duration_since(asked.gone)) {
                    Deed::Nothing => continue,
                    Deed::Keep => {
                        asked.end.kept.extend(pod.metadata.name);
                        continue;
                    }
                    Deed::Wait => open = true,
                    Deed::Delete => {
                        open |= live;
                        doomed.push(pod.clone());
                    }
                }
                if live {
                    asked.end.live.push(LivePod::of(pod));
                }
            }
            if now < asked.deadline {
                self.delete(&doomed, &mut asked.end).await;
            }
            if !open || now >= asked.deadline {
                let _ = asked.answer.send(Ok(asked.end));
            } else {
                left.push(asked);
            }
        }
        left
    }

    /// Side by side; a DELETE that is not answered soon is sent again in the next round.
    async fn delete(&mut self, pods: &[Pod], end: &mut PodsEnd) {
        if !self.may_delete {
            return;
        }
        let cluster = self.cluster.until(Instant::now() + ANSWERED_WITHIN);
        let mut answers = FuturesUnordered::new();
        for pod in pods {
            let (Some(name), Some(uid)) = (pod.metadata.name.clone(), &pod.metadata.uid) else { continue };
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
            let (cluster, namespace) = (cluster.clone(), self.namespace.clone());
            answers.push(async move {
                let answer = cluster.delete(Resource::Pods, &namespace, &name, &options).await;
                (name, answer)
            });
        }
        while let Some((name, answer)) = answers.next().await {
            match answer {
                Ok(_) => _ = end.deleted.insert(name),
                Err(failure) if matches!(failure.code(), Some(404 | 409)) => {}
                Err(failure) => {
                    self.may_delete &= failure.code() != Some(403);
                    let text = format!(
                        "Pod `{}/{name}` has nobody who deletes it, and cannot be deleted from here: {}",
                        self.namespace,
                        failure.message()
                    );
                    (self.say)(Message::warning("pod-not-deleted", text));
                }
            }
        }
    }
}

/// The selector that finds the Pods of these Jobs; only alone may one be found by a selector of its own.
fn selector(jobs: &[Asked]) -> Selector {
    let labels = match jobs {
        [Asked { found_by: FoundBy::Selector(labels), .. }] => labels.clone(),
        [Asked { uid, .. }] => format!("{CONTROLLER_UID}={uid}"),
        jobs => {
            let uids: Vec<_> = jobs.iter().map(|asked| asked.uid.as_str()).collect();
            format!("{CONTROLLER_UID} in ({})", uids.join(","))
        }
    };
    Selector::labels(labels)
}

/// Pods by the uid of the Job that their label, or else their ownerReference, names.
fn by_job(objects: Vec<Value>) -> BTreeMap<String, Vec<Pod>> {
    let mut pods: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in objects.into_iter().map(read) {
        let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(CONTROLLER_UID)).cloned();
        let owner = || pod.metadata.owner_references.as_ref()?.first().map(|owner| owner.uid.clone());
        pods.entry(label.or_else(owner).unwrap_or_default()).or_default().push(pod);
    }
    pods
}

/// A Pod that cannot be read whole is one of which nothing says that it has ended.
pub(super) fn read(object: Value) -> Pod {
    let metadata = object["metadata"].clone();
    serde_json::from_value(object)
        .unwrap_or_else(|_| Pod { metadata: serde_json::from_value(metadata).unwrap_or_default(), ..Pod::default() })
}

/// The uids and versions of a Job's Pods: what changes when one of them moves. A Pod within its grace period moves.
pub(super) async fn versions(cluster: &Cluster, job: &JobReference) -> Result<Vec<(String, String)>, Failure> {
    let pods = cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await?.items;
    let now = cluster.now();
    let mut versions: Vec<_> = pods
        .into_iter()
        .map(read)
        .map(|pod| {
            let moves = pod.metadata.deletion_timestamp.as_ref().is_some_and(|end| end.0 > now) && !pod_ended(&pod);
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
            ("the garbage collector is given a moment", Collected, "Running", false, ours, now, Deed::Wait),
            ("then it is done without it", Collected, "Running", false, ours, later, Deed::Delete),
            ("a Pod on its way out is waited for", Collected, "Running", true, ours, later, Deed::Wait),
            ("an ended Pod is the garbage collector's", Collected, "Succeeded", false, ours, later, Deed::Nothing),
            ("what somebody orphaned is told", Collected, "Running", false, none, later, Deed::Keep),
            ("beside what somebody orphaned no next try works", Owned, "Running", false, none, later, Deed::Wait),
            ("what is the Job's is deleted", Owned, "Running", false, ours, later, Deed::Delete),
            ("a Pod of another owner is not ours", Collected, "Running", false, Some("x"), later, Deed::Nothing),
            ("an orphan is deleted at once", Orphaned, "Running", false, none, now, Deed::Delete),
            ("also one that does not know it yet", Orphaned, "Running", false, ours, now, Deed::Delete),
            ("also one that has ended", Orphaned, "Failed", false, none, now, Deed::Delete),
            ("an orphan on its way out is waited for", Orphaned, "Running", true, none, now, Deed::Wait),
            ("an ended orphan on its way out is not", Orphaned, "Succeeded", true, none, now, Deed::Nothing),
            ("an orphan that found another owner is its", Orphaned, "Running", false, Some("x"), now, Deed::Nothing),
            ("somebody else's are waited for", Watched, "Running", false, ours, later, Deed::Wait),
            ("until they have ended", Watched, "Failed", false, ours, later, Deed::Nothing),
            ("Pods that are to stay are told", Kept, "Running", false, ours, later, Deed::Keep),
        ];
        for (name, ownership, phase, deleting, owner, gone_for, expected) in cases {
            assert_eq!(deed(&pod(phase, deleting, owner), "u", ownership, gone_for), expected, "{name}");
        }
    }

    #[test]
    fn pod_that_cannot_be_read_has_not_ended() {
        let pod = read(json!({"metadata": {"name": "p"}, "spec": {"containers": 3}, "status": {"phase": "Succeeded"}}));
        assert_eq!((pod.metadata.name.as_deref(), pod_ended(&pod)), (Some("p"), false));
    }
}
