//! The facts about one Job at one moment, and the reasons why others are not known.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};

use super::cluster_node::ClusterNode;
use crate::model::{
    job::{Job, JobSpec},
    observed_job::{JobReference, ObservedJob},
    pod::time,
    pod_template::TemplateSpec,
    workload::{FoundWorkload, QueuePosition},
};

/// The answer to a question to the cluster, or the reason why there is none.
#[derive(Debug, Clone)]
pub enum Known<T> {
    /// The answer.
    Seen(T),
    /// There is no answer, for this reason.
    Not(Unknown),
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// No rule needed it so far.
    NotAsked,
    /// The identity has no right to ask.
    NoRight {
        /// The word that RBAC uses.
        verb: &'static str,
        /// The word that RBAC uses.
        resource: &'static str,
    },
    /// The question got no usable answer.
    NoAnswer {
        /// The resource that was asked for.
        resource: &'static str,
        /// The failure.
        why: String,
    },
    /// The object was listed, but does not have the form of its kind.
    Unreadable {
        /// The word that RBAC uses.
        resource: &'static str,
        /// Namespace and name.
        object: String,
        /// What is wrong with the object.
        why: String,
    },
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("unknown: not asked"),
            Self::NoRight { verb, resource } => write!(f, "unknown: no right to {verb} {resource}"),
            Self::NoAnswer { resource, why } => write!(f, "unknown: {resource} could not be read: {why}"),
            Self::Unreadable { resource, object, why } => {
                write!(f, "unknown: {resource} `{object}` cannot be understood: {why}")
            }
        }
    }
}

impl<T> Known<T> {
    /// The answer, if there is one.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::Not(_) => None,
        }
    }

    /// Turns the answer into something that follows from it.
    pub fn map<K>(self, follows: impl FnOnce(T) -> K) -> Known<K> {
        match self {
            Self::Seen(value) => Known::Seen(follows(value)),
            Self::Not(why) => Known::Not(why),
        }
    }

    /// Takes a part of the answer.
    pub fn each<K>(&self, part: impl FnOnce(&T) -> K) -> Known<K> {
        match self {
            Self::Seen(value) => Known::Seen(part(value)),
            Self::Not(why) => Known::Not(why.clone()),
        }
    }

    /// The reason why there is no answer, unless nobody asked.
    pub fn missing(&self) -> Option<&Unknown> {
        match self {
            Self::Not(why) if *why != Unknown::NotAsked => Some(why),
            _ => None,
        }
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self::Not(Unknown::NotAsked)
    }
}

/// Whether a node is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// It does.
    Ready,
    /// Its kubelet does not report, or reports that it is not ready.
    NotReady {
        /// When the node became not ready.
        since: Option<Timestamp>,
        /// The condition's reason and message.
        why: String,
    },
    /// There is no such node.
    Gone,
}

impl NodeState {
    /// Reads the state from a Node object.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        match conditions.into_iter().find(|condition| condition.type_ == "Ready") {
            Some(ready) if ready.status == "True" => Self::Ready,
            Some(ready) => Self::NotReady {
                since: time(ready.last_transition_time.as_ref()),
                why: [ready.reason.as_deref(), ready.message.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(": "),
            },
            None => Self::NotReady { since: None, why: "it has never reported".into() },
        }
    }
}

/// Whether a namespace accepts new objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceState {
    /// It does.
    Active,
    /// It is being deleted.
    Terminating {
        /// When its deletion was accepted.
        since: Option<Timestamp>,
        /// Type and message of each of its conditions that is true.
        conditions: Vec<(String, String)>,
    },
    /// There is no such namespace.
    Gone,
}

impl NamespaceState {
    /// Reads the state from a Namespace object.
    #[must_use]
    pub fn of(namespace: &Namespace) -> Self {
        let since = time(namespace.metadata.deletion_timestamp.as_ref());
        let status = namespace.status.clone().unwrap_or_default();
        if since.is_none() && status.phase.as_deref() != Some("Terminating") {
            return Self::Active;
        }
        let conditions = status.conditions.into_iter().flatten().filter(|condition| condition.status == "True");
        Self::Terminating { since, conditions: conditions.map(|c| (c.type_, c.message.unwrap_or_default())).collect() }
    }
}

/// The result of a write with `dryRun=All`: admission answers as for a real write, and nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The write would have been done.
    Accepted,
    /// Admission refused it.
    Refused(String),
}

/// The ends of failed Pods of which nothing else is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: usize,
    /// The newest end.
    pub newest: Option<Timestamp>,
    /// How that Pod ended, as a clause.
    pub words: Option<Box<str>>,
}

/// The last line that a container has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLine {
    /// When it was written; none if the container has written nothing.
    pub at: Option<Timestamp>,
    /// The line, cut if it is long.
    pub text: String,
}

/// The facts about one Job.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The clock of the API server.
    pub now: Timestamp,
    /// The Job.
    pub reference: JobReference,
    /// The state of the Job; none if it does not exist any more.
    pub job: Option<Arc<ObservedJob>>,
    /// Its Pods by controller-uid, whoever owns them now.
    pub pods: Known<Vec<Arc<Pod>>>,
    /// The ends of its failed Pods that are not in `pods`.
    pub failures: Failures,
    /// Events about it, about Pods of it that have not started or were killed, and about the claims of its volumes.
    pub events: Known<Vec<Event>>,
    /// The nodes of its Pods.
    pub nodes: BTreeMap<String, Known<NodeState>>,
    /// All nodes, if a Pod gets none.
    pub cluster_nodes: Known<Arc<[ClusterNode]>>,
    /// The last lines of containers that have run for long, by the Pod's uid and the container, as far as they were
    /// asked for.
    pub last_lines: BTreeMap<(String, String), LastLine>,
    /// What Kueue says of a Job that waits in one of its queues.
    pub queue: QueueFacts,
    /// Whether the waiting for the Job is over: then what it waits for is named, however short that was.
    pub given_up: bool,
    /// Its namespace.
    pub namespace: Known<NamespaceState>,
    /// The result of a dry run of a change of the Job.
    pub job_update: Known<Probe>,
    /// The result of a dry run of a deletion of the Job.
    pub job_delete: Known<Probe>,
    /// The result of a dry run of a change of a Pod that should be gone and is not.
    pub pod_update: Known<Probe>,
}

/// What Kueue says of a Job that waits in one of its queues.
#[derive(Debug, Clone, Default)]
pub struct QueueFacts {
    /// Its Workload.
    pub workload: Known<FoundWorkload>,
    /// Where it stands in its queue, if that is known.
    pub position: Option<QueuePosition>,
}

impl Facts {
    /// Facts with the Job alone; nothing else was asked for yet.
    #[must_use]
    pub fn new(now: Timestamp, reference: JobReference, job: Option<Arc<ObservedJob>>) -> Self {
        Self {
            now,
            reference,
            job,
            pods: Known::default(),
            failures: Failures::default(),
            events: Known::default(),
            nodes: BTreeMap::new(),
            cluster_nodes: Known::default(),
            last_lines: BTreeMap::new(),
            queue: QueueFacts::default(),
            given_up: false,
            namespace: Known::default(),
            job_update: Known::default(),
            job_delete: Known::default(),
            pod_update: Known::default(),
        }
    }

    /// The reasons why questions got no answer, each once.
    #[must_use]
    pub fn unknown(&self) -> Vec<Unknown> {
        let nodes = self.nodes.values().filter_map(Known::missing);
        let rest = [
            self.pods.missing(),
            self.events.missing(),
            self.cluster_nodes.missing(),
            self.namespace.missing(),
            self.queue.workload.missing(),
            self.job_update.missing(),
            self.job_delete.missing(),
            self.pod_update.missing(),
        ];
        let mut all: Vec<_> = rest.into_iter().flatten().chain(nodes).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// The queue of Kueue that holds the Job now, if one does.
    pub(crate) fn queue_name(&self) -> Option<String> {
        self.job.as_ref()?.held_in_queue().map(str::to_owned)
    }

    pub(crate) fn job(&self) -> Option<&Job> {
        self.job.as_ref().map(|seen| &seen.job)
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> + Clone {
        self.pods.get().into_iter().flatten().map(|pod| &**pod)
    }

    pub(crate) fn events(&self) -> &[Event] {
        self.events.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn spec(&self) -> Option<&JobSpec> {
        self.job()?.spec.as_ref()
    }

    /// The spec of the Pods that the Job makes.
    pub(crate) fn template(&self) -> Option<&TemplateSpec> {
        self.spec()?.template.spec.as_ref()
    }

    /// The name of the container that does the work.
    pub(crate) fn base_container(&self) -> Option<&str> {
        self.template()?.base_container().map(|container| container.name.as_str())
    }

    /// When the deletion of the Job was accepted.
    pub(crate) fn deleted_at(&self) -> Option<Timestamp> {
        time(self.job()?.metadata.deletion_timestamp.as_ref())
    }

    pub(crate) fn finalizers(&self) -> &[String] {
        self.job().and_then(|job| job.metadata.finalizers.as_deref()).unwrap_or_default()
    }

    /// The node that a Pod is bound to, and what is known of it.
    pub(crate) fn node_of<'a>(&'a self, pod: &'a Pod) -> Option<(&'a str, &'a Known<NodeState>)> {
        let name = pod.spec.as_ref()?.node_name.as_deref()?;
        Some((name, self.nodes.get(name)?))
    }

    /// The whole seconds since then, 0 if that time is in the future.
    pub(crate) fn age(&self, then: Timestamp) -> u64 {
        u64::try_from(self.now.duration_since(then).as_secs()).unwrap_or(0)
    }

    /// Whether at least so many seconds have passed since then.
    pub(crate) fn older(&self, then: Option<Timestamp>, seconds: u64) -> bool {
        then.is_some_and(|then| self.now >= then && self.age(then) >= seconds)
    }

    /// The same, or the waiting for the Job is over.
    pub(crate) fn waited(&self, then: Option<Timestamp>, seconds: u64) -> bool {
        self.given_up || self.older(then, seconds)
    }
}
