//! Sees the work of deleted Jobs stop: their Pods, found by the uid of the Job, whoever owns them now.
//!
//! A Pod that the garbage collector should delete and does not is deleted here, by its uid, where the order was to
//! delete; a Pod that was orphaned is not waited for but deleted at once. Without the right to delete Pods they are
//! followed all the same.
//! Cost: one list for up to [`JOBS_A_LIST`] Jobs together, again with growing pauses while a Pod of theirs runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    cluster::{Cluster, Failure, Resource, Selector, retry},
    job::{message::Message, seen::JobReference},
};

/// The label that the Job controller puts on Pods; unlike their ownerReference it survives orphaning.
pub const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
/// The uids of so many Jobs fit into one selector: 4 KB of a request line.
const JOBS_A_LIST: usize = 100;
/// How long the garbage collector has, once the Job is gone, before its Pods are deleted from here.
const COLLECTED_WITHIN: Duration = Duration::from_secs(5);
/// The longest pause between two lists.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
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
    /// Its work has ended, and it is somebody else's to clean up.
    Nothing,
    /// It goes by itself: wait.
    Wait,
    /// Nobody deletes it.
    Delete,
}

fn deed(pod: &Pod, ownership: Ownership, gone_for: Duration) -> Deed {
    let deleting = pod.metadata.deletion_timestamp.is_some();
    match (ownership, ended(pod)) {
        (Ownership::Kept, _) | (Ownership::Collected | Ownership::Watched, true) => Deed::Nothing,
        (Ownership::Orphaned, true) if deleting => Deed::Nothing,
        (Ownership::Orphaned, _) if !deleting => Deed::Delete,
        (Ownership::Collected, false) if !deleting && gone_for >= COLLECTED_WITHIN => Deed::Delete,
        (Ownership::Collected | Ownership::Orphaned | Ownership::Watched, _) => Deed::Wait,
    }
}

/// Whether none of its containers runs any more.
fn ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
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

/// Sees the Pods of many Jobs end, in lists that they share.
#[derive(Clone)]
pub struct PodsWatcher {
    asked: mpsc::UnboundedSender<Asked>,
}

struct Asked {
    uid: String,
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
    pub async fn ended(&self, job: &JobReference, ownership: Ownership, deadline: Instant) -> Result<PodsEnd, Failure> {
        let (answer, end) = oneshot::channel();
        let (uid, gone) = (job.uid.clone(), Instant::now());
        let _ = self.asked.send(Asked { uid, ownership, gone, deadline, end: PodsEnd::default(), answer });
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
                    let mut left = Vec::new();
                    while !waiting.is_empty() {
                        let chunk = waiting.split_off(waiting.len().saturating_sub(JOBS_A_LIST));
                        left.extend(self.round(chunk).await);
                    }
                    waiting = left;
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
        let uids: Vec<_> = chunk.iter().map(|asked| asked.uid.as_str()).collect();
        let mut pods = match list(&self.cluster, &self.namespace, &uids).await {
            Ok(pods) => pods,
            Err(failure) => {
                for asked in chunk {
                    let _ = asked.answer.send(Err(failure.clone()));
                }
                return Vec::new();
            }
        };
        let now = Instant::now();
        let mut left = Vec::new();
        for mut asked in chunk {
            let mut open = false;
            asked.end.live.clear();
            for pod in pods.remove(&asked.uid).unwrap_or_default() {
                if asked.ownership == Ownership::Kept {
                    asked.end.kept.extend(pod.metadata.name);
                    continue;
                }
                match deed(&pod, asked.ownership, now.saturating_duration_since(asked.gone)) {
                    Deed::Nothing => {}
                    Deed::Wait => open = true,
                    Deed::Delete => {
                        open |= !ended(&pod);
                        self.delete(&pod, &mut asked.end).await;
                    }
                }
                if !ended(&pod) {
                    asked.end.live.push(live(pod));
                }
            }
            if !open || now >= asked.deadline || asked.answer.is_closed() {
                let _ = asked.answer.send(Ok(asked.end));
            } else {
                left.push(asked);
            }
        }
        left
    }

    async fn delete(&mut self, pod: &Pod, end: &mut PodsEnd) {
        let (Some(name), Some(uid)) = (&pod.metadata.name, &pod.metadata.uid) else { return };
        if !self.may_delete {
            return;
        }
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        match self.cluster.delete(Resource::Pods, &self.namespace, name, &options).await {
            Ok(_) => {
                end.deleted.insert(name.clone());
            }
            Err(failure) if matches!(failure.code(), Some(404 | 409)) => {}
            Err(failure) => {
                self.may_delete = failure.code() != Some(403);
                let text = format!(
                    "Pod `{}/{name}` has no owner that deletes it, and cannot be deleted from here: {}",
                    self.namespace,
                    failure.message()
                );
                (self.say)(Message::warning("pod-not-deleted", text));
            }
        }
    }
}

/// The Pods of these Jobs, by the uid of the Job.
async fn list(cluster: &Cluster, namespace: &str, uids: &[&str]) -> Result<BTreeMap<String, Vec<Pod>>, Failure> {
    let selector = match uids {
        [uid] => format!("{CONTROLLER_UID}={uid}"),
        uids => format!("{CONTROLLER_UID} in ({})", uids.join(",")),
    };
    let listed = cluster.list(Resource::Pods, namespace, &Selector::labels(selector)).await?;
    let mut pods: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in listed.items.into_iter().filter_map(|object| serde_json::from_value::<Pod>(object).ok()) {
        let uid = pod.metadata.labels.as_ref().and_then(|labels| labels.get(CONTROLLER_UID)).cloned();
        pods.entry(uid.unwrap_or_default()).or_default().push(pod);
    }
    Ok(pods)
}

/// The names and versions of a Job's Pods: what changes when one of them moves.
pub(super) async fn versions(cluster: &Cluster, job: &JobReference) -> Result<Vec<(String, String)>, Failure> {
    let pods = list(cluster, &job.namespace, &[&job.uid]).await?;
    let mut versions: Vec<_> = pods
        .into_values()
        .flatten()
        .map(|pod| (pod.metadata.uid.unwrap_or_default(), pod.metadata.resource_version.unwrap_or_default()))
        .collect();
    versions.sort();
    Ok(versions)
}

fn live(pod: Pod) -> LivePod {
    LivePod { name: pod.metadata.name.unwrap_or_default(), node: pod.spec.and_then(|spec| spec.node_name) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn pod(phase: &str, deleting: bool) -> Pod {
        let deleted = if deleting { json!("2026-01-01T00:00:00Z") } else { Value::Null };
        serde_json::from_value(json!({"metadata": {"deletionTimestamp": deleted}, "status": {"phase": phase}})).unwrap()
    }

    #[test]
    fn pods_of_a_job_that_is_gone_are_judged_by_this_table() {
        use Ownership::{Collected, Kept, Orphaned, Watched};
        let (now, later) = (Duration::ZERO, COLLECTED_WITHIN);
        let cases = [
            ("the garbage collector is given a moment", Collected, "Running", false, now, Deed::Wait),
            ("then it is done without it", Collected, "Running", false, later, Deed::Delete),
            ("a Pod on its way out is waited for", Collected, "Running", true, later, Deed::Wait),
            ("an ended Pod is left to the garbage collector", Collected, "Succeeded", false, later, Deed::Nothing),
            ("an orphan is deleted at once", Orphaned, "Running", false, now, Deed::Delete),
            ("also one that has ended", Orphaned, "Failed", false, now, Deed::Delete),
            ("an orphan on its way out is waited for", Orphaned, "Running", true, now, Deed::Wait),
            ("an ended orphan on its way out is not", Orphaned, "Succeeded", true, now, Deed::Nothing),
            ("somebody else's are waited for", Watched, "Running", false, later, Deed::Wait),
            ("Pods that are to stay are left alone", Kept, "Running", false, later, Deed::Nothing),
        ];
        for (name, ownership, phase, deleting, gone_for, expected) in cases {
            assert_eq!(deed(&pod(phase, deleting), ownership, gone_for), expected, "{name}");
        }
    }
}
