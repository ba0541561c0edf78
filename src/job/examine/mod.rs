//! Gathers the facts that [`super::diagnosis`] draws its findings from: about one Job, or about all of a namespace or a
//! cluster ([`survey`]).
//!
//! Promise: nothing is changed; a right that is missing and a question without an answer are facts and not errors,
//! except where the Job itself cannot be read. Cost of one Job: GET Job, LIST Pods, LIST Events of it and of up to
//! three Pods that have not started, GET namespace, GET of each node, and at most three dry runs where a deletion is
//! stuck.

mod probe;
pub mod survey;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(in crate::job) use self::probe::by_admission;
use super::{
    delete::{CONTROLLER_UID, JOB_NAME, by_controller_uid},
    diagnosis::{Facts, Known, NamespaceState, NodeState, Unknown},
    events::list_events,
    ownership::look,
    seen::{JobReference, SeenJob},
    view::{all_containers, has_started, pod_ended},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Verb},
    error::{Error, Report},
};

/// Events are asked for at most this many Pods.
const PODS_ASKED: usize = 3;
/// Between the two looks at Pods whose Job is gone: the garbage collector needs about a second.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(2);
/// So many questions are under way at a time.
const AT_ONCE: usize = 8;

/// All that can be known of one Job now.
pub async fn examine(cluster: &Cluster, job: &JobReference) -> Result<Facts, Error> {
    let seen = look(cluster, job)
        .await
        .map_err(|failure| failure.into_error(&format!("look at {job}"), Verb::Get, Resource::Jobs, None))?;
    Ok(gather(cluster, job, seen).await)
}

/// The Job of this name, and what namesakes of it have left behind.
pub async fn by_name(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<Facts>, Error> {
    let cannot = |failure: Failure| {
        failure.into_error(&format!("look at Job `{namespace}/{name}`"), Verb::Get, Resource::Jobs, None)
    };
    let present = cluster.get(Resource::Jobs, namespace, name).await.map_err(cannot)?;
    let present = present.map(|object| SeenJob::read(&object)).transpose()?;
    let by_name = Selector::labels(format!("{JOB_NAME}={name}"));
    let pods = cluster.list(Resource::Pods, namespace, &by_name).await.map(|listed| listed.items).unwrap_or_default();
    let uids = pods.into_iter().filter_map(read::<Pod>).filter_map(|pod| pod.metadata.labels?.remove(CONTROLLER_UID));
    let mut facts = Vec::new();
    let of_present = present.as_ref().map(|seen| seen.reference.uid.clone());
    if let Some(seen) = present {
        facts.push(gather(cluster, &seen.reference.clone(), Some(seen)).await);
    }
    let others: BTreeSet<_> = uids.filter(|uid| Some(uid) != of_present.as_ref()).collect();
    if !others.is_empty() {
        // The garbage collector may be at them.
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
    }
    for uid in others {
        let namesake = JobReference { namespace: namespace.to_owned(), name: name.to_owned(), uid };
        let left = gather(cluster, &namesake, None).await;
        if left.pods.get().is_none_or(|pods| !pods.is_empty()) {
            facts.push(left);
        }
    }
    if facts.is_empty() && matches!(self::namespace(cluster, namespace).await, Known::Seen(NamespaceState::Gone)) {
        return Err(no_namespace(namespace));
    }
    Ok(facts)
}

fn no_namespace(name: &str) -> Error {
    Error::ApiRefused(Box::new(
        Report::new(format!("Namespace `{name}` does not exist"))
            .hint("kubectl get namespaces  # and check which cluster this is")
            .fact("namespace", name),
    ))
}

/// Adds to an error what the API server says of itself: an etcd that does not answer is seen there only.
pub async fn with_readiness(cluster: &Cluster, error: Error) -> Error {
    let Error::ApiUnreachable(report) = error else { return error };
    let Err(Failure::Status { status, .. }) = cluster.open("/readyz?verbose").await else {
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

async fn gather(cluster: &Cluster, job: &JobReference, seen: Option<SeenJob>) -> Facts {
    let mut facts = Facts::new(cluster.now(), job.clone(), seen.map(Arc::new));
    let (pods, events, namespace) = futures::join!(
        pods_of(cluster, job),
        list_events(cluster, &job.namespace, &job.uid),
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
    facts.now = cluster.now();
    probe::probe(cluster, &mut facts).await;
    facts
}

/// The Pods by controller-uid, whoever owns them now.
pub(super) async fn pods_of(cluster: &Cluster, job: &JobReference) -> Result<Vec<Arc<Pod>>, Failure> {
    let listed = cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await?;
    Ok(listed.items.into_iter().filter_map(read).map(Arc::new).collect())
}

/// What happened to Pods that have not started.
async fn events_of_pods(cluster: &Cluster, facts: &mut Facts) {
    let unstarted = facts.pods.get().into_iter().flatten().filter(|pod| !all_containers(pod).any(has_started));
    let uids: Vec<_> = unstarted.filter_map(|pod| pod.metadata.uid.clone()).take(PODS_ASKED).collect();
    let Known::Seen(events) = &mut facts.events else { return };
    for uid in uids {
        if let Ok(more) = list_events(cluster, &facts.reference.namespace, &uid).await {
            events.extend::<Vec<Event>>(more);
        }
    }
}

/// The nodes on which something of the Job may run.
fn node_names(facts: &Facts) -> impl Iterator<Item = &str> {
    let pods = facts.pods.get().into_iter().flatten().filter(|pod| !pod_ended(pod));
    pods.filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref())
}

async fn namespace(cluster: &Cluster, name: &str) -> Known<NamespaceState> {
    match cluster.get(Resource::Namespaces, "", name).await {
        Ok(Some(object)) => {
            Known::Seen(read::<Namespace>(object).map_or(NamespaceState::Active, |n| NamespaceState::of(&n)))
        }
        Ok(None) => Known::Seen(NamespaceState::Gone),
        Err(failure) => Known::Not(unknown(&failure, Verb::Get, Resource::Namespaces)),
    }
}

/// Whether the kubelet of a node reports.
pub(super) async fn node(cluster: &Cluster, name: &str) -> Known<NodeState> {
    match cluster.get(Resource::Nodes, "", name).await {
        Ok(Some(object)) => Known::Seen(read::<Node>(object).map_or(NodeState::Ready, |node| NodeState::of(&node))),
        Ok(None) => Known::Seen(NodeState::Gone),
        Err(failure) => Known::Not(unknown(&failure, Verb::Get, Resource::Nodes)),
    }
}

fn read<T: DeserializeOwned>(object: Value) -> Option<T> {
    serde_json::from_value(object).ok()
}

fn known<T>(answer: Result<T, Failure>, verb: Verb, resource: Resource) -> Known<T> {
    answer.map_or_else(|failure| Known::Not(unknown(&failure, verb, resource)), Known::Seen)
}

fn unknown(failure: &Failure, verb: Verb, resource: Resource) -> Unknown {
    if failure.code() == Some(403) {
        Unknown::NoRight { verb: verb.rbac(), resource: resource.rbac() }
    } else {
        Unknown::NoAnswer { resource: resource.rbac(), why: failure.message() }
    }
}
