//! Gathers the facts that [`crate::diagnose`] draws its findings from: about one Job, or about all of a namespace or a
//! cluster ([`super::survey`]).
//!
//! Promise: nothing is changed. A missing right and a request without an answer are facts and not errors, unless the
//! Job itself cannot be read. Cost of one Job: GET Job, LIST Pods, LIST Events of it, of up to three Pods that have not
//! started, of three that have failed and of three claims, GET namespace, GET of each node, LIST nodes if a Pod gets
//! none, one or two lists of Workloads and as many reads of its queue if the Job waits in one of Kueue, the last line of up
//! to three containers that have run for an hour, and at most three dry runs if a deletion is stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Namespace as NamespaceObject, Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    cluster_node::ClusterNode,
    dry_run,
    facts::{Facts, Known, LastLine, NamespaceState, NodeState, QueueFacts, Unknown},
    rules::quiet::SILENT_FOR,
};
use crate::{
    cluster::{Cluster, Failure},
    error::{Error, Report},
    identity::{JobName, Namespace},
    job_api::{
        events::{EventSubject, list_events},
        jobs::{find_job_or_error, get_job_or_error},
        last_lines::last_line,
        pods::{list_pods, pods_of_job},
        workloads::{QueuePositions, find_workload},
    },
    model::{
        log_position::LogSource,
        observed_job::{JobReference, ObservedJob},
        pod::{
            CONTROLLER_UID, JOB_NAME, all_containers, ended_at, has_started, is_running, main_containers, started_at,
            work_has_stopped,
        },
        pod_reason::pod_condition,
        pod_template::TemplateSpec,
        workload::FoundWorkload,
    },
    resource::{KueueVersion, Namespaces, Object, Path, Resource, Selector, Verb},
};

/// Events are listed for at most this many Pods.
const PODS_ASKED: usize = 3;
/// The time between the two reads of Pods whose Job is gone: the garbage collector needs about a second.
pub(super) const SECOND_LOOK_AFTER: Duration = Duration::from_secs(2);
/// How long the request for a last line may take: it only explains.
const LINE_WITHIN: Duration = Duration::from_secs(5);
/// This many requests are under way at a time.
pub(super) const AT_ONCE: usize = 8;

/// Reads all that can be known of one Job now.
pub async fn examine(cluster: &Cluster, job: &JobReference) -> Result<Facts, Error> {
    let seen = get_job_or_error(cluster, job).await?;
    Ok(gather(cluster, job, seen).await)
}

/// Reads the facts about the Job of this name, and about Pods that earlier Jobs of the same name have left behind.
pub async fn by_name(cluster: &Cluster, namespace: &Namespace, name: &JobName) -> Result<Vec<Facts>, Error> {
    let present = find_job_or_error(cluster, namespace, name).await?;
    let by_name = Selector::labels(format!("{JOB_NAME}={name}"));
    let pods = list_pods(cluster, namespace, &by_name).await.unwrap_or_default();
    let uids = pods.into_iter().filter_map(|pod| pod.metadata.labels?.remove(CONTROLLER_UID));
    let mut facts = Vec::new();
    let of_present = present.as_ref().map(|seen| seen.reference.uid.clone());
    if let Some(seen) = present {
        facts.push(gather(cluster, &seen.reference.clone(), Some(seen)).await);
    }
    let others: BTreeSet<_> = uids.filter(|uid| Some(uid) != of_present.as_ref()).collect();
    if !others.is_empty() {
        // The garbage collector may be deleting them just now.
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
    }
    for uid in others {
        let namesake = JobReference { namespace: namespace.clone(), name: name.clone(), uid };
        let left = gather(cluster, &namesake, None).await;
        if left.pods.get().is_none_or(|pods| !pods.is_empty()) {
            facts.push(left);
        }
    }
    if facts.is_empty() && namespace_is_gone(cluster, namespace).await {
        return Err(no_namespace(namespace));
    }
    Ok(facts)
}

pub(super) fn no_namespace(name: &Namespace) -> Error {
    Error::ApiRefused(Box::new(
        Report::new(format!("Namespace `{name}` does not exist"))
            .hint("kubectl get namespaces  # and check which cluster this is")
            .fact("namespace", name.clone()),
    ))
}

/// Adds to an error what the API server reports about itself: only there an etcd that does not answer is seen.
pub async fn with_readiness(cluster: &Cluster, error: Error) -> Error {
    let Error::ApiUnreachable(report) = error else { return error };
    let Err(Failure::Status { status, .. }) = cluster.open(&Path::readiness()).await else {
        return Error::ApiUnreachable(report);
    };
    let failing: Vec<_> = status.message.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    if failing.is_empty() {
        return Error::ApiUnreachable(report);
    }
    Error::ApiUnreachable(Box::new(
        report
            .seen(format!("the API server says that it is not ready: {}", failing.join(", ")))
            .hint("kubectl get --raw='/readyz?verbose'  # what the API server itself waits for"),
    ))
}

async fn gather(cluster: &Cluster, job: &JobReference, seen: Option<ObservedJob>) -> Facts {
    let mut facts = Facts::new(cluster.now(), job.clone(), seen.map(Arc::new));
    let (pods, events, namespace) = futures::join!(
        pods_of(cluster, job),
        list_events(cluster, &job.namespace, job.uid.as_str()),
        namespace(cluster, &job.namespace),
    );
    facts.pods = known(pods, Verb::List, Resource::Pods);
    facts.events = known(events, Verb::List, Resource::Events);
    facts.namespace = namespace;
    events_of_pods(cluster, &mut facts).await;
    let names: BTreeSet<_> = node_names(&facts).map(str::to_owned).collect();
    let nodes = stream::iter(names).map(|name| async move {
        let state = node(cluster, &name).await;
        (name, state)
    });
    facts.nodes = nodes.buffer_unordered(AT_ONCE).collect().await;
    if any_unschedulable(&facts) {
        facts.cluster_nodes = cluster_nodes(cluster).await;
    }
    if let Some(queue) = facts.queue_name() {
        facts.queue = in_queue(cluster, job, &queue, &QueuePositions::default()).await;
    }
    facts.now = cluster.now();
    facts.last_lines = last_lines(cluster, &facts).await;
    dry_run::probe(cluster, &mut facts).await;
    facts
}

/// Reads what Kueue says of a Job that waits in this queue.
pub(crate) async fn in_queue(
    cluster: &Cluster,
    job: &JobReference,
    queue: &str,
    positions: &QueuePositions,
) -> QueueFacts {
    let found = find_workload(cluster, job).await;
    let workload = known(found, Verb::List, Resource::Workloads(KueueVersion::V1Beta1));
    let has_position = match &workload {
        Known::Seen(FoundWorkload::Found(workload)) => workload.waits_for_quota(),
        Known::Not(Unknown::NoRight { .. }) => true,
        Known::Seen(FoundWorkload::NotServed | FoundWorkload::Missing) | Known::Not(_) => false,
    };
    let position = match queue.parse() {
        Ok(queue) if has_position => positions.find(cluster, job, &queue).await,
        _ => None,
    };
    QueueFacts { workload, position }
}

/// Lists the Pods with the controller-uid of the Job, whoever owns them now.
pub(crate) async fn pods_of(cluster: &Cluster, job: &JobReference) -> Result<Vec<Arc<Pod>>, Failure> {
    Ok(pods_of_job(cluster, job).await?.into_iter().map(Arc::new).collect())
}

/// Lists the Events about Pods that have not started, about Pods with a container that was killed, and about the claims
/// of Pods that get no node.
async fn events_of_pods(cluster: &Cluster, facts: &mut Facts) {
    let pods = facts.pods.get().into_iter().flatten();
    let unstarted = |pod: &Arc<Pod>| !work_has_stopped(pod) && !all_containers(pod).any(has_started);
    let mut failed: Vec<_> = pods.clone().filter(|pod| all_containers(pod).any(has_failed)).collect();
    failed.sort_by_key(|pod| std::cmp::Reverse(ended_at(pod)));
    let told = pods.filter(|pod| unstarted(pod)).take(PODS_ASKED).chain(failed.into_iter().take(PODS_ASKED));
    let mut about: BTreeSet<_> = told.filter_map(|pod| pod.metadata.uid.as_deref().map(EventSubject::from)).collect();
    if any_unschedulable(facts) {
        let claims = facts.template().map(TemplateSpec::claims).unwrap_or_default();
        about.extend(claims.into_iter().take(PODS_ASKED).map(|claim| EventSubject::Claim(claim.to_owned())));
    }
    let Known::Seen(events) = &mut facts.events else { return };
    for subject in about {
        if let Ok(more) = list_events(cluster, &facts.reference.namespace, subject).await {
            events.extend::<Vec<Event>>(more);
        }
    }
}

/// Whether a container has ended, now or before it was started again, and not well.
fn has_failed(container: &ContainerStatus) -> bool {
    let ended = |state: &Option<ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code != 0)
    };
    ended(&container.state) || ended(&container.last_state)
}

/// Whether the scheduler has found no node for a Pod.
pub(crate) fn any_unschedulable(facts: &Facts) -> bool {
    facts.pods.get().into_iter().flatten().any(|pod| is_unschedulable(pod))
}

/// Whether the scheduler has found no node for this Pod.
pub(crate) fn is_unschedulable(pod: &Pod) -> bool {
    pod_condition(pod, "PodScheduled")
        .is_some_and(|no| no.status == "False" && no.reason.as_deref() != Some("SchedulingGated"))
}

/// Lists all nodes, as the scheduler sees them.
pub(crate) async fn cluster_nodes(cluster: &Cluster) -> Known<Arc<[ClusterNode]>> {
    let nothing = Selector::default();
    let mut pages = cluster.survey::<Node>(Resource::Nodes, &Namespaces::All, &nothing);
    let mut nodes = Vec::new();
    loop {
        match pages.next().await {
            Ok(Some(page)) => {
                if page.anew {
                    nodes.clear();
                }
                nodes.extend(page.items.into_iter().filter_map(ClusterNode::of));
            }
            Ok(None) => return Known::Seen(nodes.into()),
            Err(failure) => return Known::Not(unknown(&failure, Verb::List, Resource::Nodes)),
        }
    }
}

/// Reads the last line of a few containers that have run for long.
async fn last_lines(cluster: &Cluster, facts: &Facts) -> BTreeMap<(String, String), LastLine> {
    let mut found = BTreeMap::new();
    for source in long_running(facts) {
        if let Some((at, text)) = last_line(cluster, &source, LINE_WITHIN).await {
            let container = source.container.as_str().to_owned();
            found.insert((source.pod_uid, container), LastLine { at, text });
        }
    }
    found
}

/// A few init containers that run, and containers that have run for long.
fn long_running(facts: &Facts) -> Vec<LogSource> {
    let mut sources = Vec::new();
    for pod in facts.pods().filter(|pod| !work_has_stopped(pod) && pod.metadata.deletion_timestamp.is_none()) {
        let (Some(name), Some(uid)) = (&pod.metadata.name, &pod.metadata.uid) else { continue };
        let main = |container: &ContainerStatus| main_containers(pod).any(|main| main.name == container.name);
        let started = main_containers(pod).any(has_started);
        for container in all_containers(pod) {
            let long = if main(container) { facts.older(started_at(container), SILENT_FOR) } else { !started };
            let asked = is_running(container) && long;
            // An API server stores no other names.
            let (Ok(pod), Ok(container)) = (name.parse(), container.name.parse()) else { continue };
            if asked && sources.len() < PODS_ASKED {
                let namespace = facts.reference.namespace.clone();
                let pod_uid = uid.clone();
                sources.push(LogSource { namespace, pod, pod_uid, container, index: None, alone: false });
            }
        }
    }
    sources
}

/// The names of the nodes on which Pods of the Job may run.
pub(super) fn node_names(facts: &Facts) -> impl Iterator<Item = &str> {
    let pods = facts.pods.get().into_iter().flatten().filter(|pod| !work_has_stopped(pod));
    pods.filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref())
}

pub(super) async fn namespace(cluster: &Cluster, name: &Namespace) -> Known<NamespaceState> {
    match cluster.get(Object::Namespace(name)).await {
        Ok(Some(object)) => {
            Known::Seen(read::<NamespaceObject>(object).map_or(NamespaceState::Active, |n| NamespaceState::of(&n)))
        }
        Ok(None) => Known::Seen(NamespaceState::Gone),
        Err(failure) => Known::Not(unknown(&failure, Verb::Get, Resource::Namespaces)),
    }
}

/// Whether the namespace does not exist. Without the right to read namespaces that is not known.
pub(crate) async fn namespace_is_gone(cluster: &Cluster, name: &Namespace) -> bool {
    matches!(namespace(cluster, name).await, Known::Seen(NamespaceState::Gone))
}

/// Reads whether a node is ready.
pub(crate) async fn node(cluster: &Cluster, name: &str) -> Known<NodeState> {
    let Ok(name) = name.parse() else { return Known::default() };
    match cluster.get(Object::Node(&name)).await {
        Ok(Some(object)) => Known::Seen(read::<Node>(object).map_or(NodeState::Ready, |node| NodeState::of(&node))),
        Ok(None) => Known::Seen(NodeState::Gone),
        Err(failure) => Known::Not(unknown(&failure, Verb::Get, Resource::Nodes)),
    }
}

fn read<T: DeserializeOwned>(object: Value) -> Option<T> {
    serde_json::from_value(object).ok()
}

pub(super) fn known<T>(answer: Result<T, Failure>, verb: Verb, resource: Resource) -> Known<T> {
    answer.map_or_else(|failure| Known::Not(unknown(&failure, verb, resource)), Known::Seen)
}

pub(super) fn unknown(failure: &Failure, verb: Verb, resource: Resource) -> Unknown {
    if failure.is_forbidden() {
        Unknown::NoRight { verb: verb.rbac(), resource: resource.rbac() }
    } else {
        Unknown::NoAnswer { resource: resource.rbac(), why: failure.message() }
    }
}
