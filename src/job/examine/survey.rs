//! Every Job of a namespace, or of all of them, that has findings.
//!
//! Promise: all Jobs are looked at, whoever made them; lists are read page by page, and only what findings need is
//! kept, so that the cost in memory is that of the Jobs that have trouble or are under way. A Pod counts as left behind
//! only after its Job was asked for by name, and after a second look at the Pod: it may be listed before its Job.
//! Cost: two paged lists (Pods, Jobs); one of nodes where Pods are under way, one of namespaces, one of warning Events in
//! each namespace where Pods are missing or have not started; one GET and one list a Job that is gone; dry runs as in
//! [`super::probe`] for at most [`PROBED`] Jobs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use serde::{Serialize, de::DeserializeOwned};

use super::{AT_ONCE, SECOND_LOOK_AFTER, known, namespace, no_namespace, pods_of, probe, unknown};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector, Verb},
    error::Error,
    job::{
        delete::{CONTROLLER_UID, JOB_NAME},
        diagnosis::{Facts, Failures, Finding, Known, NamespaceState, NodeState, Unknown, ended_at, findings},
        lean::{self, Job},
        outcome,
        ownership::look,
        seen::{JobReference, SeenJob},
        view::{all_containers, has_started, pod_ended},
    },
};

/// At most this many Jobs are probed by dry runs: what breaks one breaks them all.
const PROBED: usize = 20;
/// From so many namespaces on, Events are listed in all at once.
const MANY_NAMESPACES: usize = 5;

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// How many Jobs were looked at.
    pub jobs: usize,
    /// Those that have findings, most blocking first.
    pub diagnoses: Vec<Diagnosis>,
    /// What could not be read.
    pub unknown: Vec<Unknown>,
}

/// One Job, and what was found about it.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Which Job; its name and uid are empty where the namespace itself is what is stuck.
    pub job: JobReference,
    /// Most blocking first.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// That of a few Jobs which were looked at one by one: all of them, also those without findings.
    #[must_use]
    pub fn of(facts: &[Facts]) -> Self {
        let unknown: BTreeSet<_> = facts.iter().flat_map(Facts::unknown).collect();
        Self {
            jobs: facts.iter().filter(|facts| facts.job.is_some()).count(),
            diagnoses: facts
                .iter()
                .map(|facts| Diagnosis { job: facts.reference.clone(), findings: findings(facts) })
                .collect(),
            unknown: unknown.into_iter().collect(),
        }
    }
}

/// Looks at all Jobs of a namespace, or of all for an empty name.
pub async fn survey(cluster: &Cluster, place: &str) -> Result<Survey, Error> {
    let (pods, mut unknowns) = match pods_under_way(cluster, place).await {
        Ok(pods) => (Known::Seen(pods), BTreeSet::new()),
        Err(failure) if failure.code() == Some(403) => {
            let why = unknown(&failure, Verb::List, Resource::Pods);
            (Known::Not(why.clone()), BTreeSet::from([why]))
        }
        Err(failure) => return Err(cannot_list(failure, place, Resource::Pods, "Pods")),
    };
    let mut jobs = jobs_under_way(cluster, place, pods).await?;
    jobs.vanished(cluster).await;
    jobs.nodes(cluster).await;
    jobs.namespaces(cluster, place).await?;
    jobs.events(cluster).await;
    let now = cluster.now();
    for facts in &mut jobs.suspects {
        facts.now = now;
    }
    jobs.probe(cluster).await;

    let mut diagnoses = Vec::new();
    for facts in jobs.suspects {
        unknowns.extend(facts.unknown());
        let findings = findings(&facts);
        if !findings.is_empty() {
            diagnoses.push(Diagnosis { job: facts.reference, findings });
        }
    }
    diagnoses.sort_by_cached_key(|diagnosis| {
        let first = &diagnosis.findings[0];
        (std::cmp::Reverse(first.severity), first.code, diagnosis.job.namespace.clone(), diagnosis.job.name.clone())
    });
    Ok(Survey { jobs: jobs.seen, diagnoses, unknown: unknowns.into_iter().collect() })
}

fn cannot_list(failure: Failure, place: &str, resource: Resource, what: &str) -> Error {
    let place = if place.is_empty() { "all namespaces".to_owned() } else { format!("namespace `{place}`") };
    failure.into_error(&format!("list the {what} of {place}"), Verb::List, resource, None)
}

type PodsByJob = HashMap<String, Vec<Arc<Pod>>>;

/// What is kept of all Pods.
#[derive(Default)]
struct Pods {
    /// Those that have not ended, and those that have and are held, by the uid of their Job.
    by_job: PodsByJob,
    /// Those of the others that have failed: the pause of the Job begins with the end of the newest.
    failures: HashMap<String, Failures>,
}

impl Pods {
    fn take(&mut self, mut pod: Pod) {
        let labels = pod.metadata.labels.as_ref();
        let Some(uid) = labels.and_then(|labels| labels.get(CONTROLLER_UID)).cloned() else { return };
        if matters(&pod) {
            lean::pod(&mut pod);
            pod.metadata.annotations = None;
            self.by_job.entry(uid).or_default().push(Arc::new(pod));
        } else if phase(&pod) == Some("Failed")
            && let Some(end) = ended_at(&pod)
        {
            let failures = self.failures.entry(uid).or_default();
            failures.count += 1;
            failures.newest = failures.newest.max(Some(end));
        }
    }
}

async fn pods_under_way(cluster: &Cluster, place: &str) -> Result<Pods, Failure> {
    let of_jobs = Selector::labels(CONTROLLER_UID);
    let mut pages = cluster.pages::<Pod>(Resource::Pods, place, &of_jobs);
    let mut found = Pods::default();
    while let Some(page) = pages.next().await? {
        if page.anew {
            found = Pods::default();
        }
        page.items.into_iter().for_each(|pod| found.take(pod));
    }
    Ok(found)
}

/// An ended Pod matters where something holds it, or where it has nobody who deletes it.
fn matters(pod: &Pod) -> bool {
    let held = pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let owned = pod.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !pod_ended(pod) || held || !owned || pod.metadata.deletion_timestamp.is_some()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

struct Jobs {
    seen: usize,
    suspects: Vec<Facts>,
    /// Pods whose Job was not listed, by its uid.
    unclaimed: PodsByJob,
}

async fn jobs_under_way(cluster: &Cluster, place: &str, pods: Known<Pods>) -> Result<Jobs, Error> {
    let nothing = Selector::default();
    let mut pages = cluster.pages::<Job>(Resource::Jobs, place, &nothing);
    let (mut seen, mut suspects, mut uids) = (0, Vec::new(), HashSet::new());
    loop {
        let page = pages.next().await.map_err(|failure| cannot_list(failure, place, Resource::Jobs, "Jobs"))?;
        let Some(page) = page else { break };
        if page.anew {
            seen = 0;
            suspects.clear();
            uids.clear();
        }
        for job in page.items {
            seen += 1;
            let uid = job.metadata.uid.clone();
            let its_pods = match &pods {
                Known::Seen(pods) => Known::Seen(pods.by_job.get(&uid).cloned().unwrap_or_default()),
                Known::Not(why) => Known::Not(why.clone()),
            };
            let failures = pods.get().and_then(|pods| pods.failures.get(&uid).copied()).unwrap_or_default();
            uids.insert(uid);
            if is_over(&job, cluster.now()) && its_pods.get().is_none_or(Vec::is_empty) {
                continue;
            }
            let seen = SeenJob::of(job);
            let mut facts = Facts::new(cluster.now(), seen.reference.clone(), Some(Arc::new(seen)));
            facts.pods = its_pods;
            facts.failures = failures;
            suspects.push(facts);
        }
    }
    let mut unclaimed = match pods {
        Known::Seen(pods) => pods.by_job,
        Known::Not(_) => PodsByJob::new(),
    };
    unclaimed.retain(|uid, _| !uids.contains(uid));
    Ok(Jobs { seen, suspects, unclaimed })
}

/// Ended, not being deleted, and not beyond its TTL.
fn is_over(job: &Job, now: Timestamp) -> bool {
    let ttl = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished).map(i64::from);
    let overdue = match (ttl, outcome::ended_at(job)) {
        (Some(ttl), Some(ended)) => now.duration_since(ended).as_secs() > ttl,
        _ => false,
    };
    outcome::finished(job).is_some() && job.metadata.deletion_timestamp.is_none() && !overdue
}

impl Jobs {
    /// Pods whose Job does not exist: asked for by name, and looked at twice.
    async fn vanished(&mut self, cluster: &Cluster) {
        let candidates: Vec<_> = self.unclaimed.drain().filter_map(|(uid, pods)| reference(&uid, &pods)).collect();
        if candidates.is_empty() {
            return;
        }
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
        let looked = stream::iter(candidates).map(|job| async move {
            // A Job that is there was made after the Pods were listed, or cannot be ruled out.
            if !matches!(look(cluster, &job).await, Ok(None)) {
                return None;
            }
            let pods = known(pods_of(cluster, &job).await, Verb::List, Resource::Pods);
            let mut facts = Facts::new(cluster.now(), job, None);
            facts.pods = pods;
            Some(facts)
        });
        let found: Vec<_> = looked.buffer_unordered(AT_ONCE).collect().await;
        self.suspects.extend(found.into_iter().flatten());
    }

    async fn nodes(&mut self, cluster: &Cluster) {
        let bound = self.suspects.iter().flat_map(super::node_names).next().is_some();
        if !bound {
            return;
        }
        let states = all::<Node, _>(cluster, Resource::Nodes, "", &Selector::default(), |node| {
            Some((node.metadata.name.clone()?, NodeState::of(&node)))
        })
        .await;
        let states = states.map(|listed| listed.into_iter().collect::<BTreeMap<_, _>>());
        for facts in &mut self.suspects {
            let names: BTreeSet<_> = super::node_names(facts).map(str::to_owned).collect();
            facts.nodes = names
                .into_iter()
                .map(|name| {
                    let state = match &states {
                        Ok(states) => Known::Seen(states.get(&name).cloned().unwrap_or(NodeState::Gone)),
                        Err(failure) => Known::Not(unknown(failure, Verb::List, Resource::Nodes)),
                    };
                    (name, state)
                })
                .collect();
        }
    }

    async fn namespaces(&mut self, cluster: &Cluster, place: &str) -> Result<(), Error> {
        if !place.is_empty() {
            let state = namespace(cluster, place).await;
            if matches!(state, Known::Seen(NamespaceState::Gone)) {
                return Err(no_namespace(place));
            }
            if matches!(state, Known::Seen(NamespaceState::Terminating { .. })) && self.suspects.is_empty() {
                // Nothing of a Job is left to show it.
                let nobody = JobReference { namespace: place.to_owned(), name: String::new(), uid: String::new() };
                self.suspects.push(Facts::new(cluster.now(), nobody, None));
            }
            for facts in &mut self.suspects {
                facts.namespace = state.clone();
            }
            return Ok(());
        }
        let states = all::<Namespace, _>(cluster, Resource::Namespaces, "", &Selector::default(), |namespace| {
            Some((namespace.metadata.name.clone()?, NamespaceState::of(&namespace)))
        })
        .await;
        let states = states.map(|listed| listed.into_iter().collect::<BTreeMap<_, _>>());
        for facts in &mut self.suspects {
            facts.namespace = match &states {
                Ok(states) => {
                    Known::Seen(states.get(&facts.reference.namespace).cloned().unwrap_or(NamespaceState::Active))
                }
                Err(failure) => Known::Not(unknown(failure, Verb::List, Resource::Namespaces)),
            };
        }
        Ok(())
    }

    /// Warnings about Jobs that get no Pod and about Pods that do not start.
    async fn events(&mut self, cluster: &Cluster) {
        let mut wanted: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for facts in &self.suspects {
            let about = explainable(facts);
            if !about.is_empty() {
                wanted.entry(facts.reference.namespace.clone()).or_default().extend(about);
            }
        }
        let places: Vec<String> =
            if wanted.len() > MANY_NAMESPACES { vec![String::new()] } else { wanted.keys().cloned().collect() };
        let uids: HashSet<String> = wanted.into_values().flatten().collect();
        let warnings = Selector::fields("type=Warning");
        for place in places {
            let listed = all::<Event, _>(cluster, Resource::Events, &place, &warnings, |event| {
                event.involved_object.uid.as_ref().is_some_and(|uid| uids.contains(uid)).then_some(event)
            })
            .await;
            let listed = known(listed, Verb::List, Resource::Events);
            let here = |facts: &&mut Facts| place.is_empty() || facts.reference.namespace == place;
            for facts in self.suspects.iter_mut().filter(here) {
                let about = explainable(facts);
                facts.events = match &listed {
                    Known::Seen(events) => Known::Seen(
                        events
                            .iter()
                            .filter(|e| e.involved_object.uid.as_ref().is_some_and(|uid| about.contains(uid)))
                            .cloned()
                            .collect(),
                    ),
                    Known::Not(why) => Known::Not(why.clone()),
                };
            }
        }
    }

    async fn probe(&mut self, cluster: &Cluster) {
        let stuck = self.suspects.iter_mut().filter(|facts| probe::explains(facts)).take(PROBED);
        stream::iter(stuck).for_each_concurrent(AT_ONCE, |facts| probe::probe(cluster, facts)).await;
    }
}

/// The uids about which Events can explain something.
fn explainable(facts: &Facts) -> HashSet<String> {
    let Some(job) = &facts.job else { return HashSet::new() };
    if job.suspended() || outcome::decided(&job.job).is_some() || job.deletion_timestamp().is_some() {
        return HashSet::new();
    }
    let pods = facts.pods.get().into_iter().flatten();
    let unstarted = pods.clone().filter(|pod| !all_containers(pod).any(has_started));
    let uids = unstarted.filter_map(|pod| pod.metadata.uid.clone());
    let spec = job.job.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.parallelism).unwrap_or(1);
    let live = pods.filter(|pod| !pod_ended(pod)).count();
    let short = usize::try_from(wanted).is_ok_and(|wanted| live < wanted);
    uids.chain(short.then(|| facts.reference.uid.clone())).collect()
}

/// The Job that these Pods name.
fn reference(uid: &str, pods: &[Arc<Pod>]) -> Option<JobReference> {
    let metadata = &pods.first()?.metadata;
    let name = metadata.labels.as_ref()?.get(JOB_NAME)?.clone();
    Some(JobReference { namespace: metadata.namespace.clone()?, name, uid: uid.to_owned() })
}

/// A whole list, of each object what `keep` makes of it.
async fn all<T: DeserializeOwned, K>(
    cluster: &Cluster,
    resource: Resource,
    place: &str,
    selector: &Selector,
    mut keep: impl FnMut(T) -> Option<K>,
) -> Result<Vec<K>, Failure> {
    let mut pages = cluster.pages::<T>(resource, place, selector);
    let mut kept = Vec::new();
    while let Some(page) = pages.next().await? {
        if page.anew {
            kept.clear();
        }
        kept.extend(page.items.into_iter().filter_map(&mut keep));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_ended_pods_that_nothing_holds_only_the_failures_are_counted() {
        let pod = |phase: &str, end: &str| {
            let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "u-1"});
            let ended = json!({"name": "base", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 1, "finishedAt": end}}});
            serde_json::from_value::<Pod>(json!({
                "metadata": {"labels": {CONTROLLER_UID: "u-1"}, "ownerReferences": [owner]},
                "status": {"phase": phase, "containerStatuses": [ended]},
            }))
            .unwrap()
        };
        let mut pods = Pods::default();
        pods.take(pod("Failed", "2026-01-06T10:02:00Z"));
        pods.take(pod("Failed", "2026-01-06T10:01:00Z"));
        pods.take(pod("Succeeded", "2026-01-06T10:03:00Z"));
        assert!(pods.by_job.is_empty());
        let newest = Some("2026-01-06T10:02:00Z".parse().unwrap());
        assert_eq!(pods.failures["u-1"], Failures { count: 2, newest });
    }
}
