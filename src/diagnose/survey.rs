//! Examines every Job of a namespace, or of all namespaces, and hands over those that have findings, page by page.
//!
//! Promise: all Jobs are examined, whoever made them, and each is handed over once. Memory does not grow with the
//! number of stuck Jobs, only with the Pods that have not ended and with the warnings about those. A Pod counts as left
//! behind only after its Job was read by name, and the Pod a second time: a Pod may be listed before its Job. Cost: two
//! paged lists (Pods, Jobs); one list of nodes if Pods have not ended, one of namespaces, one of warning Events in each
//! namespace where Pods are missing or have not started; one GET and one list for each Job that is gone; dry runs as in
//! [`super::dry_run`] for at most [`PROBED`] Jobs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, Namespace as NamespaceObject, Node, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use tokio::sync::mpsc;

use super::{
    cluster_node::ClusterNode,
    collect::{
        AT_ONCE, SECOND_LOOK_AFTER, any_unschedulable, in_queue, known, namespace, no_namespace, pods_of, unknown,
    },
    dry_run,
    facts::{Facts, Failures, Known, NamespaceState, NodeState, Unknown},
    finding::{Finding, Severity},
    findings,
    rules::{namespace::of_namespace, unschedulable::CLAIM},
};
use crate::{
    cluster::{Cluster, Failure},
    error::Error,
    identity::{JobName, Namespace},
    job_api::{api_call::ApiCall, jobs::get_job, workloads::QueuePositions},
    model::{
        conditions,
        container_exit::BY_WHOM,
        job::Job,
        observed_job::{JobReference, ObservedJob},
        pod::{
            self, CONTROLLER_UID, JOB_NAME, all_containers, ended_at, event_last_time, event_time, has_started,
            phase_is_terminal, work_has_stopped,
        },
        pod_end::pod_end,
        pod_template::TemplateSpec,
        snapshot::ObservedPod,
    },
    resource::{Malformed, Namespaces, Resource, Selector, Verb},
    unreadable,
};

/// At most this many Jobs are probed by dry runs: a webhook that breaks one Job breaks them all.
const PROBED: usize = 20;
/// The Workloads of at most this many Jobs that wait in queues of Kueue are read.
const WORKLOADS_READ: usize = 20;
/// From this many namespaces on, one list of Events covers all namespaces.
const MANY_NAMESPACES: usize = 5;
/// This many Jobs that are gone are examined before their findings are handed over.
const GONE_AT_ONCE: usize = 200;
/// At most this many warnings are kept about one object: findings read the newest.
const WARNINGS_KEPT: usize = 5;
/// The longest message of a warning, in characters; Kubernetes itself cuts at 1024.
const LONGEST_MESSAGE: usize = 1024;

/// At most this many objects that cannot be understood are named.
const NAMED: usize = 20;

/// The totals of a survey.
#[derive(Debug, Default)]
pub struct Totals {
    /// How many Jobs were examined.
    pub jobs: usize,
    /// How many Jobs have a blocking finding.
    pub stuck: usize,
    /// How many Jobs have ended badly. That is no finding: nothing waits for anybody.
    pub failed: usize,
    /// The reasons why something could not be read.
    pub unknown: BTreeSet<Unknown>,
}

/// The channel for diagnoses as they are made; within one message the most blocking comes first.
pub type DiagnosisSender = mpsc::Sender<Vec<Diagnosis>>;

/// One Job and the findings about it.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// The Job, or its namespace.
    pub job: Diagnosed,
    /// The findings, most blocking first.
    pub findings: Vec<Finding>,
}

/// The object that has findings.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Diagnosed {
    /// A Job.
    Job(JobReference),
    /// A namespace that is stuck itself and has no Job any more. It is written like a Job with an empty name and uid.
    Namespace {
        /// The namespace.
        namespace: Namespace,
        /// Always empty.
        name: &'static str,
        /// Always empty.
        uid: &'static str,
    },
}

impl Diagnosed {
    fn sort_key(&self) -> (Namespace, Option<JobName>) {
        match self {
            Self::Job(job) => (job.namespace.clone(), Some(job.name.clone())),
            Self::Namespace { namespace, .. } => (namespace.clone(), None),
        }
    }
}

impl Diagnosis {
    /// Makes the diagnosis from the facts about one Job; none if there is no finding.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        Self { job: Diagnosed::Job(facts.reference.clone()), findings: findings(facts) }
    }

    fn is_stuck(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Blocking)
    }
}

impl Totals {
    /// Adds a diagnosis to the totals.
    pub fn add(&mut self, facts: &Facts, diagnosis: &Diagnosis) {
        self.unknown.extend(facts.unknown());
        self.stuck += usize::from(diagnosis.is_stuck());
    }
}

/// Examines all Jobs of a namespace, or of all namespaces.
pub async fn survey(cluster: &Cluster, scope: &Namespaces, found: &DiagnosisSender) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    let pods = match pods_under_way(cluster, scope).await {
        Ok(pods) => Known::Seen(pods),
        Err(failure) if failure.is_forbidden() => Known::Not(unknown(&failure, Verb::List, Resource::Pods)),
        Err(failure) => return Err(ApiCall::ListPods(&scope_name(scope)).failed(failure, None)),
    };
    totals.unknown.extend(pods.missing().cloned());
    let mut shared_facts = SharedFacts::of(cluster, scope).await?;
    let (mut told, mut unreadable) = (HashSet::new(), Vec::new());
    let mut uids = HashSet::new();
    let nothing = Selector::default();
    let mut pages = cluster.survey::<Job>(Resource::Jobs, scope, &nothing);
    loop {
        let page = pages.next().await.map_err(|failure| jobs_not_listed(scope, failure))?;
        let Some(page) = page else { break };
        if page.anew {
            (totals.jobs, totals.failed) = (0, 0);
            uids.clear();
            unreadable.clear();
        }
        unreadable.extend(page.unreadable);
        totals.jobs += page.items.len();
        totals.failed += page.items.iter().filter(|job| has_failed(job)).count();
        uids.extend(page.items.iter().map(|job| job.metadata.uid.clone()));
        let mut suspects = Vec::new();
        for job in page.items {
            match suspect(cluster, job, &pods) {
                Ok(suspect) => suspects.extend(suspect),
                Err(why) => unreadable.push(why),
            }
        }
        // A list that began again brings Jobs that were already handed over.
        suspects.retain(|facts| told.insert(facts.reference.uid.clone()));
        shared_facts.judge(suspects, found, &mut totals).await;
    }
    totals.unknown.extend(some_of(&unreadable));
    let Known::Seen(ListedPods { by_job: mut unclaimed, unreadable, .. }) = pods else { return Ok(totals) };
    totals.unknown.extend(some_of(&unreadable));
    unclaimed.retain(|uid, _| !uids.contains(uid));
    let mut candidates: Vec<_> = unclaimed.drain().filter_map(|(uid, pods)| reference(&uid, &pods)).collect();
    if !candidates.is_empty() {
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
    }
    while !candidates.is_empty() {
        let some = candidates.split_off(candidates.len().saturating_sub(GONE_AT_ONCE));
        shared_facts.judge(vanished(cluster, some).await, found, &mut totals).await;
    }
    if told.is_empty()
        && let Namespaces::One(scope) = scope
        && let Some(finding) = shared_facts.own_namespace.as_ref().and_then(|state| of_namespace(scope, state))
    {
        // No Job is left that could carry this finding.
        let job = Diagnosed::Namespace { namespace: scope.clone(), name: "", uid: "" };
        let diagnosis = Diagnosis { job, findings: vec![finding] };
        totals.stuck += usize::from(diagnosis.is_stuck());
        let _ = found.send(vec![diagnosis]).await;
    }
    Ok(totals)
}

/// The error where the Jobs cannot be listed. A Role of one namespace gives no right to list those of all.
pub(super) fn jobs_not_listed(scope: &Namespaces, failure: Failure) -> Error {
    let everywhere = *scope == Namespaces::All && failure.is_forbidden();
    let error = ApiCall::ListJobs(&scope_name(scope)).failed(failure, None);
    if !everywhere {
        return error;
    }
    error.with_report(|report| {
        report.hint("give one namespace: -n NAMESPACE; for all of them this identity needs a ClusterRole that allows `list` on `jobs.batch`")
    })
}

fn scope_name(scope: &Namespaces) -> String {
    match scope {
        Namespaces::One(namespace) => format!("namespace `{namespace}`"),
        Namespaces::All => "all namespaces".to_owned(),
    }
}

type PodsByJob = HashMap<String, Vec<Arc<Pod>>>;

/// The Pods that are kept, of all that were listed.
#[derive(Default)]
struct ListedPods {
    /// Pods that have not ended, and ended ones that something holds, by the uid of their Job.
    by_job: PodsByJob,
    /// The failed ones among the other Pods: the pause of a Job begins with the end of its newest.
    failures: HashMap<String, Failures>,
    /// Pods that cannot be understood.
    unreadable: Vec<Malformed>,
    /// The uids of the Jobs of these Pods: not enough is known about the Pods of those Jobs.
    incomplete: HashMap<String, Unknown>,
}

impl ListedPods {
    fn read(&mut self, object: &RawValue) {
        let Ok(pod) = serde_json::from_str(object.get()) else { return self.malformed(object) };
        self.take(pod);
    }

    fn malformed(&mut self, object: &RawValue) {
        let why = unreadable::from_json::<Pod>(object.get().as_bytes()).err();
        let why = why.map(|why| why.to_string()).unwrap_or_default();
        let object: Value = serde_json::from_str(object.get()).unwrap_or_default();
        let unreadable = Malformed::new(Resource::Pods, &object, why);
        if let Some(uid) = object["metadata"]["labels"][CONTROLLER_UID].as_str() {
            self.incomplete.insert(uid.to_owned(), not_understood(&unreadable));
        }
        self.unreadable.push(unreadable);
    }

    fn take(&mut self, mut pod: Pod) {
        let labels = pod.metadata.labels.as_ref();
        let Some(uid) = labels.and_then(|labels| labels.get(CONTROLLER_UID)).cloned() else { return };
        if matters(&pod) {
            pod::trim(&mut pod);
            pod.metadata.annotations = None;
            self.by_job.entry(uid).or_default().push(Arc::new(pod));
        } else if phase(&pod) == Some("Failed")
            && let Some(end) = ended_at(&pod)
        {
            let failures = self.failures.entry(uid).or_default();
            failures.count += 1;
            if failures.newest < Some(end) {
                failures.newest = Some(end);
                // No Event was asked for, so who killed a container was not even asked.
                failures.words = words(pod).map(|words| words.replace(BY_WHOM, "").into_boxed_str());
            }
        }
    }
}

/// How a failed Pod ended, as a clause. Who does the work is not known here: the container `base`, as a rule.
fn words(pod: Pod) -> Option<String> {
    let seen = ObservedPod::new(Arc::new(pod), false);
    pod_end(&seen, Some("base"), &[]).map(|end| end.words)
}

async fn pods_under_way(cluster: &Cluster, scope: &Namespaces) -> Result<ListedPods, Failure> {
    let of_jobs = Selector::labels(CONTROLLER_UID);
    let mut pages = cluster.survey::<Box<RawValue>>(Resource::Pods, scope, &of_jobs);
    let mut found = ListedPods::default();
    while let Some(page) = pages.next().await? {
        if page.anew {
            found = ListedPods::default();
        }
        page.items.iter().for_each(|pod| found.read(pod));
    }
    Ok(found)
}

/// Whether a Pod must be kept. An ended Pod matters if something holds it, or if nobody will delete it. A Pod that is
/// being deleted always matters, so its phase is enough and its containers need not be read.
fn matters(pod: &Pod) -> bool {
    let held = pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let owned = pod.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !phase_is_terminal(pod) || held || !owned || pod.metadata.deletion_timestamp.is_some()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// The facts about a Job, if it may have findings.
fn suspect(cluster: &Cluster, job: Job, pods: &Known<ListedPods>) -> Result<Option<Facts>, Malformed> {
    let uid = &job.metadata.uid;
    let its_pods = match pods {
        Known::Seen(pods) => match pods.incomplete.get(uid) {
            Some(why) => Known::Not(why.clone()),
            None => Known::Seen(pods.by_job.get(uid).cloned().unwrap_or_default()),
        },
        Known::Not(why) => Known::Not(why.clone()),
    };
    let failures = pods.get().and_then(|pods| pods.failures.get(uid).cloned()).unwrap_or_default();
    if is_over(&job, cluster.now()) && its_pods.get().is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let seen = ObservedJob::of(job)?;
    let mut facts = Facts::new(cluster.now(), seen.reference.clone(), Some(Arc::new(seen)));
    facts.pods = its_pods;
    facts.failures = failures;
    Ok(Some(facts))
}

fn not_understood(unreadable: &Malformed) -> Unknown {
    let Malformed { resource, object, why } = unreadable;
    Unknown::Unreadable { resource: resource.rbac(), object: object.clone(), why: why.clone() }
}

/// The first of the unreadable objects, and how many more there are.
pub(super) fn some_of(unreadable: &[Malformed]) -> impl Iterator<Item = Unknown> {
    let more = unreadable.get(NAMED..).filter(|more| !more.is_empty());
    let more = more.map(|more| Unknown::NoAnswer {
        resource: more[0].resource.rbac(),
        why: format!("{} more objects cannot be understood", more.len()),
    });
    unreadable.iter().take(NAMED).map(not_understood).chain(more)
}

/// Whether a Job has ended badly.
#[must_use]
pub fn has_failed(job: &Job) -> bool {
    matches!(conditions::finished(job), Some(conditions::JobEnd::Failed { .. }))
}

/// Whether a Job has ended, is not being deleted, and is not past its TTL.
fn is_over(job: &Job, now: Timestamp) -> bool {
    let ttl = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished).map(i64::from);
    let overdue = match (ttl, conditions::ended_at(job)) {
        (Some(ttl), Some(ended)) => now.duration_since(ended).as_secs() > ttl,
        _ => false,
    };
    conditions::finished(job).is_some() && job.metadata.deletion_timestamp.is_none() && !overdue
}

/// Reads Pods whose Job does not exist a second time, and returns those that are still there.
async fn vanished(cluster: &Cluster, candidates: Vec<JobReference>) -> Vec<Facts> {
    let looked = stream::iter(candidates).map(|job| async move {
        // If the Job exists, it was made after the Pods were listed. Without an answer, it may exist.
        if !matches!(get_job(cluster, &job).await, Ok(None)) {
            return None;
        }
        let pods = known(pods_of(cluster, &job).await, Verb::List, Resource::Pods);
        let mut facts = Facts::new(cluster.now(), job, None);
        facts.pods = pods;
        Some(facts)
    });
    let found: Vec<_> = looked.buffer_unordered(AT_ONCE).collect().await;
    found.into_iter().flatten().collect()
}

/// Facts that many Jobs share. Each is read once, as soon as a Job needs it.
struct SharedFacts<'a> {
    cluster: &'a Cluster,
    scope: &'a Namespaces,
    /// The state of the survey's namespace, if the survey is about one.
    own_namespace: Option<Known<NamespaceState>>,
    namespaces: Option<Known<BTreeMap<String, NamespaceState>>>,
    nodes: Option<Known<ListedNodes>>,
    /// Warnings by namespace; under the key `None` those of all namespaces.
    events: BTreeMap<Option<Namespace>, Known<Warnings>>,
    probes_left: usize,
    workloads_left: usize,
    positions: QueuePositions,
}

impl<'a> SharedFacts<'a> {
    async fn of(cluster: &'a Cluster, scope: &'a Namespaces) -> Result<Self, Error> {
        let mut own_namespace = None;
        if let Namespaces::One(scope) = scope {
            let state = namespace(cluster, scope).await;
            if matches!(state, Known::Seen(NamespaceState::Gone)) {
                return Err(no_namespace(scope));
            }
            own_namespace = Some(state);
        }
        Ok(Self {
            cluster,
            scope,
            own_namespace,
            namespaces: None,
            nodes: None,
            events: BTreeMap::new(),
            probes_left: PROBED,
            workloads_left: WORKLOADS_READ,
            positions: QueuePositions::default(),
        })
    }

    /// Completes the facts about some Jobs, and hands over their diagnoses.
    async fn judge(&mut self, mut suspects: Vec<Facts>, found: &DiagnosisSender, totals: &mut Totals) {
        if suspects.is_empty() {
            return;
        }
        self.nodes(&mut suspects).await;
        self.namespaces(&mut suspects).await;
        self.workloads(&mut suspects).await;
        self.events(&mut suspects).await;
        let now = self.cluster.now();
        for facts in &mut suspects {
            facts.now = now;
        }
        let stuck: Vec<_> =
            suspects.iter_mut().filter(|facts| dry_run::explains(facts)).take(self.probes_left).collect();
        self.probes_left -= stuck.len();
        stream::iter(stuck).for_each_concurrent(AT_ONCE, |facts| dry_run::probe(self.cluster, facts)).await;
        let mut diagnoses = Vec::new();
        for facts in suspects {
            let of_job = Diagnosis::of(&facts);
            totals.add(&facts, &of_job);
            if !of_job.findings.is_empty() {
                diagnoses.push(of_job);
            }
        }
        diagnoses.sort_by_cached_key(|diagnosis| {
            let first = &diagnosis.findings[0];
            (std::cmp::Reverse(first.severity), first.code, diagnosis.job.sort_key())
        });
        if !diagnoses.is_empty() {
            // An error means that nobody listens any more: the survey is about to be dropped.
            let _ = found.send(diagnoses).await;
        }
    }

    async fn nodes(&mut self, suspects: &mut [Facts]) {
        let wanted = |facts: &Facts| super::collect::node_names(facts).next().is_some() || any_unschedulable(facts);
        if !suspects.iter().any(wanted) {
            return;
        }
        if self.nodes.is_none() {
            let listed =
                all::<Node, _>(self.cluster, Resource::Nodes, &Namespaces::All, &Selector::default(), |node| {
                    let state = NodeState::of(&node);
                    Some((state, ClusterNode::of(node)?))
                })
                .await;
            let states = known(listed, Verb::List, Resource::Nodes);
            self.nodes = Some(states.map(ListedNodes::of));
        }
        let Some(listed) = &self.nodes else { return };
        for facts in suspects {
            let names: BTreeSet<_> = super::collect::node_names(facts).map(str::to_owned).collect();
            let state =
                |name: &String| listed.each(|listed| listed.states.get(name).cloned().unwrap_or(NodeState::Gone));
            facts.nodes = names.into_iter().map(|name| (name.clone(), state(&name))).collect();
            if any_unschedulable(facts) {
                facts.cluster_nodes = listed.each(|listed| Arc::clone(&listed.nodes));
            }
        }
    }

    /// Reads what Kueue says of a few Jobs that wait in a queue of Kueue.
    async fn workloads(&mut self, suspects: &mut [Facts]) {
        let queued = suspects.iter_mut().filter_map(|facts| facts.queue_name().map(|queue| (facts, queue)));
        let asked: Vec<_> = queued.take(self.workloads_left).collect();
        self.workloads_left -= asked.len();
        let (cluster, positions) = (self.cluster, &self.positions);
        stream::iter(asked)
            .for_each_concurrent(AT_ONCE, |(facts, queue)| async move {
                facts.queue = in_queue(cluster, &facts.reference, &queue, positions).await;
            })
            .await;
    }

    async fn namespaces(&mut self, suspects: &mut [Facts]) {
        if let Some(state) = &self.own_namespace {
            for facts in suspects {
                facts.namespace = state.clone();
            }
            return;
        }
        if self.namespaces.is_none() {
            let nothing = Selector::default();
            let listed = all::<NamespaceObject, _>(
                self.cluster,
                Resource::Namespaces,
                &Namespaces::All,
                &nothing,
                |namespace| Some((namespace.metadata.name.clone()?, NamespaceState::of(&namespace))),
            )
            .await;
            let states = known(listed, Verb::List, Resource::Namespaces);
            self.namespaces = Some(states.map(|listed| listed.into_iter().collect()));
        }
        let Some(states) = &self.namespaces else { return };
        for facts in suspects {
            let own = &facts.reference.namespace;
            facts.namespace = states.each(|states| states.get(own.as_str()).cloned().unwrap_or(NamespaceState::Active));
        }
    }

    /// Reads warnings about Jobs that get no Pod and about Pods that do not start.
    async fn events(&mut self, suspects: &mut [Facts]) {
        let wanted: BTreeSet<Namespace> = suspects
            .iter()
            .filter(|facts| !explainable(facts).is_empty())
            .map(|facts| facts.reference.namespace.clone())
            .collect();
        if !self.events.contains_key(&None) {
            let mut missing: BTreeSet<Option<Namespace>> = wanted.into_iter().map(Some).collect();
            missing.retain(|scope| !self.events.contains_key(scope));
            if *self.scope == Namespaces::All && self.events.len() + missing.len() > MANY_NAMESPACES {
                self.events.clear();
                missing = BTreeSet::from([None]);
            }
            for scope in missing {
                let listed = warnings(self.cluster, &scope.clone().map_or(Namespaces::All, Namespaces::One)).await;
                self.events.insert(scope, known(listed, Verb::List, Resource::Events));
            }
        }
        for facts in suspects {
            let about = explainable(facts);
            let own = Some(facts.reference.namespace.clone());
            let here = self.events.get(&None).or_else(|| self.events.get(&own));
            let Some(here) = here.filter(|_| !about.is_empty()) else { continue };
            facts.events = here.each(|warnings| about.iter().flat_map(|uid| warnings.about(uid)).collect());
        }
    }
}

/// The nodes of the cluster.
struct ListedNodes {
    states: BTreeMap<String, NodeState>,
    nodes: Arc<[ClusterNode]>,
}

impl ListedNodes {
    fn of(listed: Vec<(NodeState, ClusterNode)>) -> Self {
        let states = listed.iter().map(|(state, node)| (node.name.clone(), state.clone())).collect();
        Self { states, nodes: listed.into_iter().map(|(_, node)| node).collect() }
    }
}

/// The newest few warning Events about each object, with only the fields that findings read: there may be as many as
/// Jobs.
#[derive(Default)]
struct Warnings(HashMap<String, Vec<Warning>>);

struct Warning {
    /// The kind and the name of a claim, which is asked for by its name; none for an object that is known by its uid.
    claim: Option<Box<str>>,
    field: Option<Box<str>>,
    reason: Box<str>,
    message: Box<str>,
    count: Option<i32>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Warnings {
    fn take(&mut self, event: Event) {
        let last = event_last_time(&event);
        let first = event_time(&event);
        let object = event.involved_object;
        let (key, claim) = match (object.kind.as_deref(), object.uid, object.namespace, object.name) {
            (Some("Job" | "Pod"), Some(uid), ..) => (uid, None),
            (Some(CLAIM), _, Some(namespace), Some(name)) => (claim_key(&namespace, &name), Some(name.into())),
            _ => return,
        };
        let field = object.field_path.map(String::into_boxed_str);
        let message: String = event.message.unwrap_or_default().chars().take(LONGEST_MESSAGE).collect();
        let reason = event.reason.unwrap_or_default().into();
        let about = self.0.entry(key).or_default();
        about.push(Warning { claim, field, reason, message: message.into(), count: event.count, first, last });
        if about.len() > WARNINGS_KEPT {
            about.sort_by_key(|warning| std::cmp::Reverse(warning.last));
            about.truncate(WARNINGS_KEPT);
        }
        about.shrink_to_fit();
    }

    /// The warnings about an object, as Events.
    fn about(&self, key: &str) -> Vec<Event> {
        let object = |warning: &Warning| match &warning.claim {
            Some(name) => ObjectReference {
                kind: Some(CLAIM.to_owned()),
                name: Some(name.to_string()),
                ..ObjectReference::default()
            },
            None => ObjectReference {
                uid: Some(key.to_owned()),
                field_path: warning.field.as_deref().map(str::to_owned),
                ..ObjectReference::default()
            },
        };
        let event = |warning: &Warning| Event {
            involved_object: object(warning),
            type_: Some("Warning".to_owned()),
            reason: Some(warning.reason.to_string()),
            message: Some(warning.message.to_string()),
            count: warning.count,
            first_timestamp: warning.first.map(Time),
            last_timestamp: warning.last.map(Time),
            ..Event::default()
        };
        self.0.get(key).into_iter().flatten().map(event).collect()
    }
}

async fn warnings(cluster: &Cluster, scope: &Namespaces) -> Result<Warnings, Failure> {
    let of_type = Selector::fields("type=Warning");
    let mut pages = cluster.survey::<Event>(Resource::Events, scope, &of_type);
    let mut found = Warnings::default();
    while let Some(page) = pages.next().await? {
        if page.anew {
            found = Warnings::default();
        }
        page.items.into_iter().for_each(|event| found.take(event));
    }
    Ok(found)
}

/// The key of the warnings about a claim.
fn claim_key(namespace: &str, name: &str) -> String {
    format!("{CLAIM} {namespace}/{name}")
}

/// The uids, and the keys of claims, about which Events can explain something.
fn explainable(facts: &Facts) -> HashSet<String> {
    let Some(job) = &facts.job else { return HashSet::new() };
    if job.pause().is_some() || conditions::decided(&job.job).is_some() || job.deletion_timestamp().is_some() {
        return HashSet::new();
    }
    let pods = facts.pods.get().into_iter().flatten();
    let failing = |pod: &Arc<Pod>| {
        all_containers(pod)
            .any(|container| container.last_state.as_ref().is_some_and(|state| state.terminated.is_some()))
    };
    let told = pods.clone().filter(|pod| !all_containers(pod).any(has_started) || failing(pod));
    let uids = told.filter_map(|pod| pod.metadata.uid.clone());
    let spec = job.job.spec.as_ref();
    let claims = spec.and_then(|spec| spec.template.spec.as_ref()).filter(|_| any_unschedulable(facts));
    let claims = claims.into_iter().flat_map(TemplateSpec::claims);
    let uids = uids.chain(claims.map(|claim| claim_key(facts.reference.namespace.as_str(), claim)));
    let wanted = spec.and_then(|spec| spec.parallelism).unwrap_or(1);
    // The rule about Pods that are refused counts them in the same way.
    let live = pods.filter(|pod| !work_has_stopped(pod)).count();
    let short = usize::try_from(wanted).is_ok_and(|wanted| live < wanted);
    uids.chain(short.then(|| facts.reference.uid.clone())).collect()
}

/// The Job that these Pods name.
fn reference(uid: &str, pods: &[Arc<Pod>]) -> Option<JobReference> {
    let metadata = &pods.first()?.metadata;
    let name = metadata.labels.as_ref()?.get(JOB_NAME)?.parse().ok()?;
    Some(JobReference { namespace: metadata.namespace.as_ref()?.parse().ok()?, name, uid: uid.to_owned() })
}

/// Reads a whole list, and keeps of each object what `keep` returns.
async fn all<T: DeserializeOwned, K>(
    cluster: &Cluster,
    resource: Resource,
    scope: &Namespaces,
    selector: &Selector,
    mut keep: impl FnMut(T) -> Option<K>,
) -> Result<Vec<K>, Failure> {
    let mut pages = cluster.survey::<T>(resource, scope, selector);
    let mut kept = Vec::new();
    while let Some(page) = pages.next().await? {
        if page.anew {
            kept.clear();
        }
        // An Event only explains, so one may be missing. An object of another kind would be reported as gone if it were
        // missing here.
        if let Some(unreadable) = page.unreadable.into_iter().next().filter(|_| resource != Resource::Events) {
            return Err(unreadable.into());
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
        let mut pods = ListedPods::default();
        pods.take(pod("Failed", "2026-01-06T10:02:00Z"));
        pods.take(pod("Failed", "2026-01-06T10:01:00Z"));
        pods.take(pod("Succeeded", "2026-01-06T10:03:00Z"));
        assert!(pods.by_job.is_empty());
        let newest = Some("2026-01-06T10:02:00Z".parse().unwrap());
        assert_eq!(pods.failures["u-1"], Failures { count: 2, newest, words: pods.failures["u-1"].words.clone() });
    }
}
