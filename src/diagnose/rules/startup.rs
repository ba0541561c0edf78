//! Finds Jobs that get no Pod, and Pods whose containers do not start.
//!
//! The Job controller writes an Event `FailedCreate` for each Pod that was refused. The scheduler and the kubelet write
//! their problems into conditions and Events of the Pod. If one of the three says nothing at all, that is a finding,
//! too.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};

use super::{
    deletion::{controller_manager, webhook_configurations},
    image::{self, missing},
    pods::out_of_reach,
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
    },
    text::Command,
};

/// After this many seconds a controller that works has done something about a new object.
const SILENT_AFTER: u64 = 30;
/// The seconds that other Pods may need to end, or an autoscaler to bring a node.
const ROOM_WITHIN: u64 = 300;
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
    let refusal = facts
        .events()
        .iter()
        .filter(about_job)
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .filter(|event| newest_pod.is_none_or(|made| event_last_time(event).is_some_and(|at| at > made)))
        .max_by_key(|event| event_last_time(event));
    if let Some(event) = refusal
        && missing_pods(facts)
    {
        found.push(refused(facts, event));
        return;
    }
    let silent = job.status.as_ref().is_none_or(|status| {
        status.start_time.is_none() && status.active.is_none() && status.conditions.as_ref().is_none_or(Vec::is_empty)
    });
    let made = time(job.metadata.creation_timestamp.as_ref());
    let no_pods = facts.pods.get().is_some_and(Vec::is_empty);
    if silent && no_pods && facts.older(made, SILENT_AFTER) && !facts.events().iter().any(|event| about_job(&event)) {
        let reference = &facts.reference;
        let events = facts.events.get().map_or("no Event is known", |_| "no Event");
        found.push(
            Finding::new(Code::JobControllerSilent, Severity::Blocking, reference, format!(
                "{reference} has no Pod, no status, and {events}: the Job controller of kube-controller-manager, which \
                 acts within a second when it works, is down, frozen, not the leader or overloaded"
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

/// The finding about a refused Pod: the Event has what the API server answered to the Job controller's POST.
fn refused(facts: &Facts, event: &Event) -> Finding {
    let job = &facts.reference;
    let message = event.message.as_deref().unwrap_or_default();
    let none = facts.pods().all(work_has_stopped);
    let severity = if none { Severity::Blocking } else { Severity::Warning };
    let which = if none { "no Pod" } else { "no more Pods" };
    let namespace = &job.namespace;
    let quota = || Command::kubectl_in(namespace, &["describe", "resourcequota"]);
    let (code, cause, next) = if message.contains("exceeded quota") {
        (
            Code::QuotaExceeded,
            format!("{job} gets {which}: a ResourceQuota of the namespace is used up"),
            quota().comment("wait for other Pods to end, or raise it"),
        )
    } else if message.contains("failed quota") || message.contains("must specify") {
        (
            Code::QuotaExceeded,
            format!("{job} gets {which}: a ResourceQuota demands requests or limits that its containers do not name"),
            quota().comment("set container_resources accordingly"),
        )
    } else if message.contains("error looking up service account") || message.contains("serviceaccount \"") {
        let account = facts.spec().and_then(|spec| spec.template.spec.as_ref()?.service_account_name.clone());
        let account = account.unwrap_or_else(|| "default".into());
        (
            Code::ServiceAccountMissing,
            format!("{job} gets {which}: its service account `{namespace}/{account}` does not exist"),
            Command::kubectl_in(namespace, &["create", "serviceaccount"]).name(&account),
        )
    } else if message.contains("violates PodSecurity") {
        (
            Code::PodSecurityRefuses,
            format!("{job} gets {which}: its Pods violate the Pod Security level of namespace `{namespace}`"),
            Command::new(&["kubectl", "get", "namespace"]).name(namespace).words(&["--show-labels"]).comment(
                "meet the level named above with security_context, or have the label \
                 pod-security.kubernetes.io/enforce changed",
            ),
        )
    } else if message.contains("webhook") {
        (
            Code::WebhookRefusesPods,
            format!("{job} gets {which}: an admission webhook refuses them, or does not answer"),
            webhook_configurations(),
        )
    } else {
        (
            Code::PodsRefused,
            format!("{job} gets {which}: the API server refuses them"),
            Command::kubectl_in(namespace, &["describe", "job"])
                .name(&job.name)
                .comment("its Events say what is refused"),
        )
    };
    let count = event.count.unwrap_or(1);
    Finding::new(code, severity, job, cause)
        .since(event_time(event))
        .seen(format!("Event FailedCreate, {count} times{}: {message}", at(event_last_time(event))))
        .next(next)
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
        Some(no) if no.status == "False" => found.push(
            Finding::new(
                Code::Unschedulable,
                no_room(facts, no),
                pod,
                format!("{object} cannot be scheduled: no node takes it"),
            )
            .since(time(no.last_transition_time.as_ref()))
            .seen(format!(
                "{}: {}",
                no.reason.as_deref().unwrap_or("Unschedulable"),
                no.message.as_deref().unwrap_or_default()
            ))
            .next(
                Command::kubectl_in(&object.namespace, &["describe", "pod"]).name(&object.name).comment(
                    "lower container_resources, correct node_selector, affinity or tolerations, or add a node",
                ),
            ),
        ),
        None if node_name(pod).is_none() && facts.older(made, SILENT_AFTER) => found.push(
            Finding::new(
                Code::SchedulerSilent,
                Severity::Blocking,
                pod,
                format!(
                    "{object} has no node and no decision of the scheduler, which decides within a second when it works"
                ),
            )
            .since(made)
            .seen(format!("no condition PodScheduled{}", at(made)))
            .next(
                Command::new(&["kubectl", "-n", "kube-system", "get", "lease", "kube-scheduler", "-o", "yaml"])
                    .comment(
                        "if renewTime is older than a minute, no scheduler works. If there is no such lease, check its process",
                    ),
            ),
        ),
        _ => on_its_node(facts, pod, found),
    }
}

/// How severe it is that no node takes a Pod: for a while the Pod may still get one by itself.
fn no_room(facts: &Facts, scheduled: &PodCondition) -> Severity {
    let long = facts.older(time(scheduled.last_transition_time.as_ref()), ROOM_WITHIN);
    if long { Severity::Blocking } else { Severity::Warning }
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
        let message = event.message.as_deref().unwrap_or_default();
        let describe = Command::kubectl_in(&object.namespace, &["describe", "pod"]).name(&object.name);
        let finding = match event.reason.as_deref() {
            Some("FailedMount" | "FailedAttachVolume" | "FailedMapVolume") => Some(match missing(message) {
                Some(image::Missing { kind, name, key: None }) => (
                    Code::ConfigMissing,
                    format!(
                        "{object} cannot start: {kind} `{}/{name}`, a volume of it, does not exist",
                        object.namespace
                    ),
                    image::create_from_file(
                        &object.namespace,
                        if kind == "Secret" { &["create", "secret", "generic"] } else { &["create", "configmap"] },
                        &name,
                    ),
                ),
                _ => (
                    Code::VolumeNotMounted,
                    format!("{object} cannot start: a volume cannot be attached or mounted on node `{node}`"),
                    describe,
                ),
            }),
            Some("FailedCreatePodSandBox") => Some((
                Code::SandboxNotCreated,
                format!("{object} cannot start: node `{node}` cannot make its sandbox (network or container runtime)"),
                describe,
            )),
            _ => None,
        };
        if let Some((code, cause, next)) = finding {
            let reason = event.reason.as_deref().unwrap_or_default();
            found.push(
                Finding::new(code, Severity::Blocking, pod, cause)
                    .since(event_time(event))
                    .seen(format!("Event {reason}{}: {message}", at(event_last_time(event))))
                    .next(next),
            );
            return;
        }
    }
    let unseen = pod.status.as_ref().is_none_or(|status| status.start_time.is_none());
    let lost = matches!(facts.node_of(pod), Some((_, Known::Seen(NodeState::NotReady { .. } | NodeState::Gone))));
    if unseen && (lost || facts.older(scheduled, SILENT_AFTER)) {
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
                format!("{object} is bound to node `{node}`, but the kubelet there has not begun with it"),
            )
            .since(scheduled)
            .seen(known)
            .next(Command::new(&["kubectl", "describe", "node"]).name(node)),
        );
    }
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn at(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| format!(", last at {time:.0}"))
}
