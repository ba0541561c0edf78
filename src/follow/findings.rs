//! Reports the findings about a followed Job, each once, from the snapshot that the follower has anyway.
//!
//! Promise: a finding is reported when it first holds, and again only if it is about a pause that has ended in between.
//! It costs no request, except a GET of a node whose Pod does not become ready or does not end.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::channel::mpsc;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    cluster::Cluster,
    diagnose::{Code, Facts, Finding, Known, NodeState, QueueFacts, collect, findings, message},
    model::{
        message::Message,
        pod::{all_containers, is_running, main_containers},
        snapshot::JobSnapshot,
    },
};

/// The interval at which a Job is judged although nothing changes: some findings come with time alone.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The shortest interval between two judgements: a Job of thousands of Pods changes all the time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a Pod must look out of touch: a Pod that was bound a moment ago looks like that, too.
const OUT_OF_TOUCH_FOR: Duration = Duration::from_secs(2);
/// The interval at which the same node is read again.
const NODE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Remembers which findings were reported, and what is known of the nodes.
pub(crate) struct FindingAnnouncer {
    /// When to judge next, if nothing happens before; none if time alone brings no finding.
    pub due: Option<Instant>,
    told: HashSet<(Code, String)>,
    not_before: Instant,
    /// Since when Pods on these nodes are out of touch.
    silent_nodes: BTreeMap<String, Instant>,
    nodes: BTreeMap<String, (Instant, Known<NodeState>)>,
    outbox: mpsc::UnboundedSender<(String, Known<NodeState>)>,
    inbox: mpsc::UnboundedReceiver<(String, Known<NodeState>)>,
}

impl FindingAnnouncer {
    pub fn new() -> Self {
        let (outbox, inbox) = mpsc::unbounded();
        let now = Instant::now();
        Self {
            due: Some(now),
            told: HashSet::new(),
            not_before: now,
            silent_nodes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            outbox,
            inbox,
        }
    }

    /// The messages about new findings. Within a second after a judgement there are none.
    pub fn observe(&mut self, cluster: &Cluster, snapshot: &JobSnapshot, queue: &QueueFacts) -> Vec<Message> {
        let now = Instant::now();
        if now < self.not_before {
            self.due = Some(self.not_before);
            return Vec::new();
        }
        self.not_before = now + LOOK_AGAIN_AFTER;
        self.due = (!at_rest(snapshot)).then(|| now + LOOK_EVERY);
        self.ask_for_nodes(cluster, snapshot, now);
        let facts = Facts { queue: queue.clone(), ..self.facts(snapshot, cluster.now()) };
        self.tell(&findings(&facts))
    }

    /// What is known of the Job.
    pub fn facts(&self, snapshot: &JobSnapshot, now: Timestamp) -> Facts {
        let mut facts = Facts::new(now, snapshot.job.reference.clone(), Some(Arc::clone(&snapshot.job)));
        let pods = snapshot.pods.values().filter(|seen| !seen.gone).map(|seen| Arc::clone(&seen.pod));
        facts.pods = Known::Seen(pods.collect());
        if !snapshot.events.is_empty() {
            facts.events = Known::Seen(snapshot.events.clone());
        }
        facts.nodes = self.nodes.iter().map(|(name, (_, state))| (name.clone(), state.clone())).collect();
        facts
    }

    fn tell(&mut self, found: &[Finding]) -> Vec<Message> {
        // The announcer reports pauses between failed Pods when the Pods fail.
        let told = |finding: &&Finding| finding.code != Code::BackoffWaiting;
        // A Job that waits in a queue is told of again when it waits for something else.
        let key = |finding: &Finding| match finding.code {
            Code::KueueNotAdmitted => (finding.code, format!("{} {}", finding.object.uid, finding.cause)),
            code => (code, finding.object.uid.clone()),
        };
        let over: Vec<_> = self.told.iter().filter(|(code, _)| is_meant(*code)).cloned().collect();
        let now: BTreeSet<_> = found.iter().map(key).collect();
        for past in over.iter().filter(|past| !now.contains(past)) {
            self.told.remove(past);
        }
        let fresh: Vec<_> = found.iter().filter(told).filter(|finding| self.told.insert(key(finding))).collect();
        fresh.into_iter().map(message).collect()
    }

    fn ask_for_nodes(&mut self, cluster: &Cluster, snapshot: &JobSnapshot, now: Instant) {
        while let Ok((name, state)) = self.inbox.try_recv() {
            self.nodes.insert(name, (Instant::now(), state));
        }
        let pods = snapshot.pods.values().filter(|seen| !seen.gone && out_of_touch(&seen.pod, cluster.now()));
        let names: BTreeSet<_> = pods.filter_map(|seen| seen.pod.spec.as_ref()?.node_name.clone()).collect();
        self.nodes.retain(|name, _| names.contains(name));
        self.silent_nodes.retain(|name, _| names.contains(name));
        for name in names {
            let due = *self.silent_nodes.entry(name.clone()).or_insert(now) + OUT_OF_TOUCH_FOR;
            if now < due {
                self.due = Some(self.due.map_or(due, |next| next.min(due)));
                continue;
            }
            if self.nodes.get(&name).is_some_and(|(asked, _)| now < *asked + NODE_AGAIN_AFTER) {
                continue;
            }
            self.nodes.entry(name.clone()).or_insert((now, Known::default())).0 = now;
            let (cluster, outbox) = (cluster.clone(), self.outbox.clone());
            let asking = async move {
                let state = collect::node(&cluster, &name).await;
                let _ = outbox.unbounded_send((name, state));
            };
            tokio::spawn(asking.in_current_span());
        }
    }
}

/// Whether time alone can bring no finding, so that a thousand Jobs that run or are suspended cost no judgements.
fn at_rest(snapshot: &JobSnapshot) -> bool {
    let mut living = snapshot.pods.values().filter(|seen| !seen.gone).peekable();
    if snapshot.job.deletion_timestamp().is_some() {
        return false;
    }
    if living.peek().is_none() {
        return snapshot.job.pause().is_some() || snapshot.end.is_some();
    }
    living.all(|seen| {
        let unready = |c: &PodCondition| c.type_ == "Ready" && c.status == "False";
        let conditions = seen.pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        seen.pod.metadata.deletion_timestamp.is_none()
            && main_containers(&seen.pod).next().is_some()
            && main_containers(&seen.pod).all(is_running)
            && !conditions.into_iter().any(unready)
    })
}

/// Whether a finding is about a pause, which can begin again.
fn is_meant(code: Code) -> bool {
    matches!(code, Code::Suspended | Code::ParallelismZero | Code::KueueNotAdmitted)
}

/// Whether a Pod looks as if its node were lost: the node controller has set it to not ready, or it does not end in
/// time.
fn out_of_touch(pod: &Pod, now: Timestamp) -> bool {
    let late = pod.metadata.deletion_timestamp.as_ref().is_some_and(|time| time.0 < now);
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "False");
    let runs = all_containers(pod).any(is_running);
    let begun = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    late || (unready && runs) || (bound && !begun)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    fn snapshot(spec: &Value, pods: &[Value]) -> JobSnapshot {
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": spec,
            "status": {"startTime": "2026-01-06T10:00:00Z"}});
        let mut snapshot = JobSnapshot::new(ObservedJob::read(&job).unwrap());
        for pod in pods {
            snapshot.apply_pod_object(pod.clone(), false);
        }
        snapshot
    }

    fn told(explained: &mut FindingAnnouncer, snapshot: &JobSnapshot) -> Vec<String> {
        let found = findings(&explained.facts(snapshot, "2026-01-06T10:10:00Z".parse().unwrap()));
        explained.tell(&found).into_iter().map(|message| message.code).collect()
    }

    fn waiting(reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason, "message": "registry/train:1: not found"}});
        json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}})
    }

    #[tokio::test]
    async fn finding_is_told_once_although_its_reason_comes_and_goes() {
        let mut explained = FindingAnnouncer::new();
        let template = json!({"template": {}});
        assert_eq!(told(&mut explained, &snapshot(&template, &[waiting("ErrImagePull")])), ["image-not-found"]);
        assert!(told(&mut explained, &snapshot(&template, &[])).is_empty());
        assert!(told(&mut explained, &snapshot(&template, &[waiting("ImagePullBackOff")])).is_empty());
    }

    #[tokio::test]
    async fn suspension_is_told_each_time() {
        let mut explained = FindingAnnouncer::new();
        let suspended = |suspend: bool| snapshot(&json!({"template": {}, "suspend": suspend}), &[]);
        let mut said = Vec::new();
        for suspend in [true, true, false, true] {
            said.extend(told(&mut explained, &suspended(suspend)));
        }
        assert_eq!(said, ["suspended", "suspended"]);
    }

    #[tokio::test]
    async fn parallelism_0_is_told_each_time() {
        let mut explained = FindingAnnouncer::new();
        let paused = |parallelism: i32| snapshot(&json!({"template": {}, "parallelism": parallelism}), &[]);
        let mut said = Vec::new();
        for parallelism in [0, 0, 1, 0] {
            said.extend(told(&mut explained, &paused(parallelism)));
        }
        assert_eq!(said, ["parallelism-zero", "parallelism-zero"]);
    }

    #[test]
    fn job_that_runs_or_is_suspended_is_not_looked_at_by_the_clock() {
        let running = json!({"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Running", "containerStatuses": [
            {"name": "base", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}});
        let template = json!({"template": {}});
        assert!(at_rest(&snapshot(&template, &[running])));
        assert!(at_rest(&snapshot(&json!({"template": {}, "suspend": true}), &[])));
        assert!(at_rest(&snapshot(&json!({"template": {}, "parallelism": 0}), &[])));
        assert!(!at_rest(&snapshot(&template, &[])));
        assert!(!at_rest(&snapshot(&template, &[waiting("ContainerCreating")])));
    }

    #[test]
    fn node_of_a_pod_that_answers_is_not_asked_for() {
        let now = "2026-01-06T10:10:00Z".parse().unwrap();
        let pod = |change: Value| {
            let mut pod = json!({"metadata": {}, "spec": {"nodeName": "n", "containers": []}, "status": {
                "startTime": "2026-01-06T10:00:00Z", "containerStatuses": [{"name": "base", "image": "", "imageID": "",
                "ready": true, "restartCount": 0, "state": {"running": {}}}]}});
            json_patch::merge(&mut pod, &change);
            serde_json::from_value::<Pod>(pod).unwrap()
        };
        let cases = [
            ("it runs", json!({}), false),
            (
                "its readiness was taken away",
                json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
                true,
            ),
            ("its time to end is over", json!({"metadata": {"deletionTimestamp": "2026-01-06T10:09:00Z"}}), true),
            ("its time to end runs", json!({"metadata": {"deletionTimestamp": "2026-01-06T10:11:00Z"}}), false),
            ("its kubelet has not begun", json!({"status": {"startTime": null, "containerStatuses": null}}), true),
        ];
        for (name, change, asked) in cases {
            assert_eq!(out_of_touch(&pod(change), now), asked, "{name}");
        }
    }
}
