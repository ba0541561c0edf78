//! Finds Pods that should end and do not, Pods that have ended and are still there, and Pods whose Job is gone.
//!
//! The `deletionTimestamp` of a Pod is the moment at which its grace period is over, not that of the DELETE.

use k8s_openapi::api::core::v1::Pod;

use super::deletion::{ask_the_owner, controller_manager, domain, fix, pods_of, remove_finalizer};
use crate::{
    diagnose::{
        alike::EXAMPLES,
        facts::{Facts, Known, NodeState, Probe},
        finding::{Code, Finding, ObjectReference, Remedy, Severity},
    },
    model::{
        conditions::{self, JobEnd},
        pod::{JOB_TRACKING, ended_at, finalizers, owned_by_another, phase, phase_is_terminal, time, work_has_stopped},
    },
    text::Command,
};

/// The seconds that a kubelet may need beyond the grace period until a Pod is gone.
const GONE_WITHIN: u64 = 10;
/// The seconds that the Job controller may need to count a Pod that has ended.
const COUNTED_WITHIN: u64 = 30;
/// The seconds that a decided outcome may wait for its Pods: twice their usual grace period.
const ENDED_WITHIN: u64 = 60;
/// The seconds that the garbage collector may need for a Pod whose owner is gone.
const COLLECTED_WITHIN: u64 = 10;
pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.job.is_none() {
        of_vanished_job(facts, found);
    }
    for pod in facts.pods() {
        one(facts, pod, found);
    }
    decided(facts, found);
}

fn one(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    uncounted(facts, pod, found);
    let Some(over) = time(pod.metadata.deletion_timestamp.as_ref()) else { return };
    if !held(facts, pod) {
        return;
    }
    let object = ObjectReference::from(pod);
    let since = format!("its grace period was over at {over:.0}");
    let foreign: Vec<_> = finalizers(pod).iter().filter(|finalizer| finalizer.as_str() != JOB_TRACKING).collect();
    for finalizer in foreign {
        let ObjectReference { namespace, name, uid, .. } = &object;
        found.push(
            Finding::new(Code::PodForeignFinalizer, Severity::Blocking, pod, format!(
                "{object} is being deleted, and waits for its finalizer `{finalizer}`: only whoever runs `{}` knows when it may be removed",
                domain(finalizer)
            ))
            .since(Some(over))
            .seen(since.clone())
            .next(ask_the_owner())
            .last_resort(remove_finalizer("pod", namespace, name, uid, finalizers(pod), finalizer)),
        );
    }
    if work_has_stopped(pod) {
        return;
    }
    match facts.node_of(pod) {
        Some((node, Known::Seen(state @ (NodeState::NotReady { .. } | NodeState::Gone)))) => {
            found.push(
                Finding::new(
                    Code::PodOnLostNode,
                    Severity::Blocking,
                    pod,
                    format!(
                        "{object} is deleted and may still run: its node `{node}` {}, so nobody can end it or know its state",
                        out_of_reach(state)
                    ),
                )
                .since(Some(over))
                .seen(since)
                .next(
                    Command::new(&["kubectl", "get", "node"])
                        .name(node)
                        .comment("bring the node back, or, if it is off for good, run kubectl delete node"),
                ),
            );
        }
        node => {
            let (on_node, unsure) = match node {
                Some((node, Known::Seen(_))) => (format!(" on node `{node}`, which is ready"), String::new()),
                Some((node, Known::Not(why))) => {
                    (format!(" on node `{node}`"), format!("; whether that node is ready is {why}"))
                }
                None => match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
                    Some(node) => (format!(" on node `{node}`"), "; whether that node is ready is not known".into()),
                    None => (String::new(), String::new()),
                },
            };
            found.push(
                Finding::new(
                    Code::PodOutlivesGracePeriod,
                    Severity::Blocking,
                    pod,
                    format!("{object} still runs{on_node}, although its grace period is over{unsure}"),
                )
                .since(Some(over))
                .seen(since)
                .next(
                    Command::kubectl_in(&object.namespace, &["events", "--for"])
                        .name_after("pod/", &object.name)
                        .comment("its Events say why the kubelet cannot end it. Have that node checked"),
                ),
            );
        }
    }
}

/// Finds a Pod that has ended and is not counted: it keeps `job-tracking` until the Job controller has counted it. The
/// controller counts a Pod that is being deleted before its last phase, so here the containers decide whether it has
/// ended. Source: k/k `pkg/controller/job/job_controller.go`, `isPodFailed`.
fn uncounted(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    let since = ended_at(pod).or_else(|| time(pod.metadata.creation_timestamp.as_ref()));
    let tracked = finalizers(pod).iter().any(|finalizer| finalizer == JOB_TRACKING);
    if !tracked || !work_has_stopped(pod) || !facts.older(since, COUNTED_WITHIN) || managed_elsewhere(facts) {
        return;
    }
    if phase(pod) == "Failed" && waits_for_replacement(facts) {
        return;
    }
    let why = match &facts.pod_update {
        Known::Seen(Probe::Refused(_)) => "it cannot, because no change of the Pod passes admission",
        Known::Seen(Probe::Accepted) => "changes of the Pod pass admission, so it is down, frozen or overloaded",
        Known::Not(_) => "it is down, frozen or overloaded, or a webhook refuses changes of Pods (which is not known)",
    };
    let object = ObjectReference::from(pod);
    found.push(
        Finding::new(
            Code::PodJobTrackingStuck,
            Severity::Blocking,
            pod,
            format!(
                "{object} has ended, but the Job controller of kube-controller-manager has neither counted it nor \
             removed its finalizer `{JOB_TRACKING}`: {why}"
            ),
        )
        .since(since)
        .seen(format!("phase {}, finalizers `{}`", phase(pod), finalizers(pod).join("`, `")))
        .next(controller_manager()),
    );
}

/// With `backoffLimitPerIndex` the last failed Pod of an index keeps `job-tracking` until its replacement is made,
/// which may take as long as a pause: up to 10 min. Source: k/k `pkg/controller/job/job_controller.go`,
/// `trackJobStatusAndRemoveFinalizers`.
fn waits_for_replacement(facts: &Facts) -> bool {
    let by_index = facts.spec().is_some_and(|spec| spec.backoff_limit_per_index.is_some());
    by_index && facts.deleted_at().is_none() && facts.job().is_some_and(|job| conditions::decided(job).is_none())
}

fn decided(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(job) = facts.job() else { return };
    let Some(end) = conditions::decided(job).filter(|_| conditions::finished(job).is_none()) else { return };
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let since = conditions
        .into_iter()
        .filter(|c| c.status == "True" && matches!(c.type_.as_str(), "FailureTarget" | "SuccessCriteriaMet"))
        .find_map(|c| time(c.last_transition_time.as_ref()));
    // The Job controller waits for the phase, which may come later than the end of the containers, or never.
    let all: Vec<&Pod> = facts.pods().filter(|pod| !phase_is_terminal(pod)).collect();
    // A Pod within its grace period, however long that is, still ends as planned.
    let in_grace = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() && !held(facts, pod);
    let remaining: Vec<&Pod> = all.iter().copied().filter(|pod| !in_grace(pod)).collect();
    let late = remaining.iter().any(|pod| held(facts, pod));
    if (!late && !facts.older(since, ENDED_WITHIN)) || (remaining.is_empty() && !all.is_empty()) {
        return;
    }
    let (end, why) = match end {
        JobEnd::Succeeded => ("succeeded".to_owned(), "SuccessCriteriaMet".to_owned()),
        JobEnd::Failed { reason, message } => {
            (format!("failed ({reason})"), format!("FailureTarget {reason}: {message}"))
        }
    };
    let held = if remaining.is_empty() {
        format!(
            "{} terminating Pods that are not visible",
            job.status.as_ref().and_then(|s| s.terminating).unwrap_or_default()
        )
    } else {
        pod_names(remaining.iter().copied())
    };
    let job = &facts.reference;
    found.push(
        Finding::new(
            Code::DecidedButHeldByPods,
            Severity::Blocking,
            job,
            format!("{job} has {end}, but it ends only after its Pods, and these have not ended: {held}"),
        )
        .since(since)
        .seen(format!("condition {why}"))
        .next(pods_of(job)),
    );
}

fn of_vanished_job(facts: &Facts, found: &mut Vec<Finding>) {
    let left = |pod: &&Pod| {
        if owned_by_another(pod, &facts.reference.uid) {
            return false;
        }
        let made = time(pod.metadata.creation_timestamp.as_ref());
        pod.metadata.deletion_timestamp.is_none() && facts.older(made, COLLECTED_WITHIN)
    };
    let (running, over): (Vec<&Pod>, Vec<&Pod>) = facts.pods().filter(left).partition(|pod| !work_has_stopped(pod));
    for (pods, severity, (is, are)) in [
        (running, Severity::Blocking, ("has not ended", "have not ended")),
        (over, Severity::Warning, ("is still there", "are still there")),
    ] {
        if pods.is_empty() {
            continue;
        }
        let job = &facts.reference;
        let owned = pods.iter().any(|pod| pod.metadata.owner_references.iter().flatten().any(|o| o.uid == job.uid));
        let why = if owned {
            "the garbage collector of kube-controller-manager deletes them as soon as it works"
        } else {
            "somebody deleted the Job without its Pods (propagation policy Orphan), so nobody will clean them up"
        };
        let names = pod_names(pods.iter().copied());
        let left = if pods.len() == 1 { format!("Pod {names} {is}") } else { format!("Pods {names} {are}") };
        found.push(
            Finding::new(
                Code::PodsOfVanishedJob,
                severity,
                job,
                format!("{job} does not exist any more, but its {left}: {why}"),
            )
            .since(pods.iter().filter_map(|pod| time(pod.metadata.creation_timestamp.as_ref())).min())
            .seen_all(pods.iter().take(EXAMPLES).map(|pod| where_it_is(pod)))
            .seen_all(more(pods.len()))
            .next(fix(job).comment(
                "deletes these Pods, each by its uid. First see in their logs whether somebody still needs their work",
            ))
            .remedy(Remedy::DeleteOwnerlessPods),
        );
    }
}

fn more(pods: usize) -> Option<String> {
    pods.checked_sub(EXAMPLES).filter(|more| *more > 0).map(|more| format!("and {more} more Pods"))
}

fn where_it_is(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    let owners = pod.metadata.owner_references.iter().flatten().count();
    let owned = if owners == 0 { ", no owner" } else { "" };
    format!("Pod `{}` {} on `{node}`{owned}", pod.metadata.name.as_deref().unwrap_or("?"), phase(pod))
}

/// Whether a Pod that is being deleted is still there well after its grace period.
pub(crate) fn held(facts: &Facts, pod: &Pod) -> bool {
    facts.older(time(pod.metadata.deletion_timestamp.as_ref()), GONE_WITHIN)
}

fn managed_elsewhere(facts: &Facts) -> bool {
    facts.spec().is_some_and(crate::model::job::managed_by_another)
}

/// The state of a node as a clause that follows "which" or the node's name.
pub(crate) fn out_of_reach(state: &NodeState) -> String {
    match state {
        NodeState::Ready => "reports".into(),
        NodeState::NotReady { since: Some(since), why } => format!("has not been ready since {since:.0} ({why})"),
        NodeState::NotReady { since: None, why } => format!("is not ready ({why})"),
        NodeState::Gone => "does not exist any more".into(),
    }
}

/// The names of a few Pods, and how many more there are.
pub(crate) fn pod_names<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> String {
    let names: Vec<_> = pods.into_iter().map(|pod| pod.metadata.name.as_deref().unwrap_or("?")).collect();
    let shown = names.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
