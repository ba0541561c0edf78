//! Finds Jobs that get no Pod, and Pods whose containers do not start.
//!
//! The Job controller writes an Event `FailedCreate` for each Pod that was refused. The scheduler and the kubelet write
//! their problems into conditions and Events of the Pod. If one of the three says nothing at all, that is a finding,
//! too.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};

use super::{
    deletion::controller_manager, pods::out_of_reach, refused::refused, unschedulable::unschedulable, volumes,
};
use crate::{
    diagnose::{
        facts::{Facts, Known, NodeState},
        finding::{Code, Finding, ObjectReference, Severity},
    },
    model::{
        conditions,
        job::managed_by_another,
        pod::{all_containers, event_last_time, event_time, has_started, time, work_has_stopped},
        pod_reason::first_sentence,
        pod_template::TemplateSpec,
    },
    text::Command,
};

/// After this many seconds a controller that works has done something about a new object.
const SILENT_AFTER: u64 = 30;
/// The seconds after which an Event is old: a kubelet that fails tries again, and says so, within two minutes.
const REPEATED_WITHIN: u64 = 180;
/// The same after 25 Events about one Pod: from then on a kubelet writes at most one in five minutes. Source: client-go
/// `tools/record/events_cache.go`, `defaultSpamQPS`.
const REPEATED_AT_LEAST_WITHIN: u64 = 360;

pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(job) = facts.job() else { return };
    if facts.deleted_at().is_some() || conditions::decided(job).is_some() {
        return;
    }
    let paused = facts.job.as_ref().is_some_and(|job| job.pause().is_some());
    if !paused && !facts.spec().is_some_and(managed_by_another) {
        no_pod(facts, found);
    }
    for pod in facts.pods().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !work_has_stopped(pod)) {
        if !all_containers(pod).any(has_started) {
            not_started(facts, pod, found);
        }
    }
}

fn no_pod(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(job) = facts.job() else { return };
    let about_job = |event: &&Event| event.involved_object.uid.as_deref() == Some(&facts.reference.uid);
    let newest_pod = facts.pods().filter_map(|pod| time(pod.metadata.creation_timestamp.as_ref())).max();
    // A refusal is over once a Pod was made after it.
    let refusals: Vec<_> = facts
        .events()
        .iter()
        .filter(about_job)
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .filter(|event| newest_pod.is_none_or(|made| event_last_time(event).is_some_and(|at| at > made)))
        .collect();
    if let Some(finding) = refused(facts, &refusals).filter(|_| missing_pods(facts)) {
        found.push(finding);
        return;
    }
    let silent = job.status.as_ref().is_none_or(|status| {
        status.start_time.is_none() && status.active.is_none() && status.conditions.as_ref().is_none_or(Vec::is_empty)
    });
    let made = time(job.metadata.creation_timestamp.as_ref());
    let no_pods = facts.pods.get().is_some_and(Vec::is_empty);
    if silent && no_pods && facts.waited(made, SILENT_AFTER) && !facts.events().iter().any(|event| about_job(&event)) {
        let reference = &facts.reference;
        let events = facts.events.get().map_or("no Event is known", |_| "no Event");
        found.push(
            Finding::new(Code::JobControllerSilent, Severity::Blocking, reference, format!(
                "The Job controller of kube-controller-manager does not work (it is down, frozen, not the leader or \
                 overloaded): {reference} has no Pod, no status, and {events}"
            ))
            .since(made)
            .seen(made.map_or_else(String::new, |made| format!("made at {made:.0}, and nothing has happened since")))
            .next(controller_manager()),
        );
    }
}

/// Whether there are fewer Pods than should run now.
fn missing_pods(facts: &Facts) -> bool {
    let Some(spec) = facts.spec() else { return false };
    let live = facts.pods().filter(|pod| !work_has_stopped(pod)).count();
    let status = facts.job().and_then(|job| job.status.as_ref());
    let succeeded = status.and_then(|status| status.succeeded).unwrap_or(0);
    let left = spec.completions.map_or(i32::MAX, |completions| completions.saturating_sub(succeeded));
    let wanted = spec.parallelism.unwrap_or(1).min(left);
    usize::try_from(wanted).is_ok_and(|wanted| live < wanted)
}

fn not_started(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    let object = ObjectReference::from(pod);
    let scheduled = condition(pod, "PodScheduled");
    let made = time(pod.metadata.creation_timestamp.as_ref());
    match scheduled {
        Some(no) if no.status == "False" && no.reason.as_deref() == Some("SchedulingGated") => {
            found.push(
                Finding::new(
                    Code::SchedulingGated,
                    Severity::Info,
                    pod,
                    format!("{object} waits for its scheduling gates: whoever set them has not removed them yet"),
                )
                .since(time(no.last_transition_time.as_ref()))
                .seen(no.message.clone().unwrap_or_default())
                .next(
                    Command::kubectl_in(&object.namespace, &["get", "pod"])
                        .name(&object.name)
                        .words(&["-o", "jsonpath={.spec.schedulingGates}"]),
                ),
            );
        }
        Some(no) if no.status == "False" => found.push(unschedulable(facts, pod, no)),
        None if node_name(pod).is_none() && facts.waited(made, SILENT_AFTER) => {
            found.push(no_scheduler(facts, pod, made));
        }
        _ => on_its_node(facts, pod, found),
    }
}

/// The finding about a Pod that no scheduler has decided about.
fn no_scheduler(facts: &Facts, pod: &Pod, made: Option<Timestamp>) -> Finding {
    let object = ObjectReference::from(pod);
    let other = facts.template().and_then(TemplateSpec::other_scheduler);
    let (cause, next) = match other {
        Some(name) => (
            format!("Scheduler `{name}` does nothing about {object}, so it gets no node"),
            Command::new(&["kubectl", "get", "pods", "-A"])
                .comment("start the scheduler that schedulerName names, or remove schedulerName from the manifest"),
        ),
        None => (
            format!(
                "kube-scheduler does not work: {object} has no node and no decision of the scheduler, which decides within a \
                 second when it works"
            ),
            Command::new(&["kubectl", "-n", "kube-system", "get", "lease", "kube-scheduler", "-o", "yaml"]).comment(
                "if renewTime is older than a minute, no scheduler works. If there is no such lease, check its process",
            ),
        ),
    };
    Finding::new(Code::SchedulerSilent, Severity::Blocking, pod, cause)
        .since(made)
        .seen(match other {
            Some(name) => format!("spec.schedulerName is {name}, and the Pod has no condition PodScheduled"),
            None => "the Pod has no condition PodScheduled".to_owned(),
        })
        .next(next)
}

fn on_its_node(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    let Some(node) = node_name(pod) else { return };
    let object = ObjectReference::from(pod);
    let about_it = facts.events().iter().filter(|event| event.involved_object.uid == pod.metadata.uid);
    let newest = about_it.max_by_key(|event| event_last_time(event));
    let scheduled = condition(pod, "PodScheduled").and_then(|yes| time(yes.last_transition_time.as_ref()));
    let sandbox = condition(pod, "PodReadyToStartContainers").map(|ready| ready.status.as_str());
    let recent = if sandbox == Some("False") { REPEATED_AT_LEAST_WITHIN } else { REPEATED_WITHIN };
    let holds = |event: &&Event| {
        event.type_.as_deref() == Some("Warning")
            && sandbox != Some("True")
            && event_last_time(event).is_some_and(|last| facts.age(last) < recent)
    };
    if let Some(event) = newest.filter(holds) {
        match event.reason.as_deref() {
            Some(reason) if volumes::REASONS.contains(&reason) => {
                found.push(volumes::not_mounted(facts, pod, event, node));
                return;
            }
            Some("FailedCreatePodSandBox") => {
                found.push(no_sandbox(pod, event, node));
                return;
            }
            _ => {}
        }
    }
    let unseen = pod.status.as_ref().is_none_or(|status| status.start_time.is_none());
    let lost = matches!(facts.node_of(pod), Some((_, Known::Seen(NodeState::NotReady { .. } | NodeState::Gone))));
    if unseen && (lost || facts.waited(scheduled, SILENT_AFTER)) {
        let known = match facts.node_of(pod) {
            Some((_, Known::Seen(state @ (NodeState::NotReady { .. } | NodeState::Gone)))) => {
                format!("the node {}", out_of_reach(state))
            }
            Some((_, Known::Seen(NodeState::Ready))) => "the node reports that it is ready".into(),
            Some((_, Known::Not(why))) => format!("whether the node is ready is {why}"),
            None => "whether the node is ready is not known".into(),
        };
        found.push(
            Finding::new(
                Code::KubeletSilent,
                Severity::Blocking,
                pod,
                format!("The kubelet of node `{node}` does not work: {object} is bound to it and has not begun there"),
            )
            .since(scheduled)
            .seen(known)
            .next(Command::new(&["kubectl", "describe", "node"]).name(node)),
        );
    }
}

/// The finding about a Pod whose network or cgroup the container runtime cannot make.
fn no_sandbox(pod: &Pod, event: &Event, node: &str) -> Finding {
    let object = ObjectReference::from(pod);
    let message = event.message.as_deref().unwrap_or_default();
    let why = message.rsplit_once("desc = ").map_or(message, |(_, why)| why);
    let why = why.trim_start_matches("failed to create pod sandbox: ").trim_start_matches("rpc error: ");
    let cause = format!(
        "Node `{node}` cannot make the network or the sandbox of a Pod ({}), so {object} cannot start",
        first_sentence(why)
    );
    Finding::new(Code::SandboxNotCreated, Severity::Blocking, pod, cause)
        .since(event_time(event))
        .seen(format!("Event FailedCreatePodSandBox{}: {message}", at(event_last_time(event))))
        .next(
            Command::new(&["kubectl", "get", "pods", "-A", "-o", "wide"]).comment(
                "check the network plugin and the container runtime of that node. Other Pods there fail alike",
            ),
        )
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// When an Event came last, as the end of a clause.
pub(super) fn at(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| format!(", last at {time:.0}"))
}
