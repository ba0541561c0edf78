//! Gathers the facts that [`crate::diagnose`] draws its findings from: about one Job, or about all of a namespace or a
//! cluster ([`super::survey`]).
//!
//! Promise: nothing is changed. A missing right and a request without an answer are facts and not errors, unless the
//! Job itself cannot be read. Cost of one Job: GET Job, LIST Pods, LIST Events of it and of up to three Pods that have
//! not started, GET namespace, GET of each node, and at most three dry runs if a deletion is stuck.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Event, Namespace as NamespaceObject, Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    dry_run,
    facts::{Facts, Known, NamespaceState, NodeState, Unknown},
};
use crate::{
    cluster::{Cluster, Failure},
    error::{Error, Report},
    identity::{JobName, Namespace},
    job_api::{
        api_call::ApiCall,
        events::list_events,
        jobs::{find_job, get_job, named},
    },
    model::{
        observed_job::{JobReference, ObservedJob},
        pod::{CONTROLLER_UID, JOB_NAME, all_containers, by_controller_uid, has_started, work_has_stopped},
    },
    resource::{Object, Path, Resource, Selector, Verb},
};

/// Events are listed for at most this many Pods.
const PODS_ASKED: usize = 3;
/// The time between the two reads of Pods whose Job is gone: the garbage collector needs about a second.
pub(super) const SECOND_LOOK_AFTER: Duration = Duration::from_secs(2);
/// This many requests are under way at a time.
pub(super) const AT_ONCE: usize = 8;

/// Reads all that can be known of one Job now.
pub async fn examine(cluster: &Cluster, job: &JobReference) -> Result<Facts, Error> {
    let seen = get_job(cluster, job).await.map_err(|failure| ApiCall::GetJob(job).failed(failure, None))?;
    Ok(gather(cluster, job, seen).await)
}

/// Reads the facts about the Job of this name, and about Pods that earlier Jobs of the same name have left behind.
pub async fn by_name(cluster: &Cluster, namespace: &Namespace, name: &JobName) -> Result<Vec<Facts>, Error> {
    let present = find_job(cluster, namespace, name).await;
    let present = present.map_err(|failure| ApiCall::GetJob(&named(namespace, name)).failed(failure, None))?;
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
    if facts.is_empty()
        && matches!(crate::diagnose::collect::namespace(cluster, namespace).await, Known::Seen(NamespaceState::Gone))
    {
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
    dry_run::probe(cluster, &mut facts).await;
    facts
}

/// Lists the Pods with the controller-uid of the Job, whoever owns them now.
pub(crate) async fn pods_of(cluster: &Cluster, job: &JobReference) -> Result<Vec<Arc<Pod>>, Failure> {
    let listed = cluster.list(Resource::Pods, &job.namespace, &by_controller_uid(job)).await?;
    Ok(listed.items.into_iter().filter_map(read).map(Arc::new).collect())
}

/// Lists the Events about Pods that have not started.
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
