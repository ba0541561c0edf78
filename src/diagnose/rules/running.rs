//! Finds Jobs that have begun and make no progress, and Jobs that wait as is meant.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{deletion::controller_manager, pods::out_of_reach};
use crate::{
    diagnose::{
        facts::{Facts, Known, NodeState},
        finding::{Code, Finding, ObjectReference, Severity},
    },
    model::{
        conditions,
        job::{Job, JobSpec, managed_by_another},
        lingering::{Lingering, lingering},
        observed_job::Pause,
        pod::{all_containers, ended_at, event_last_time, main_containers, phase, time, work_has_stopped},
    },
    text::Command,
};

/// The seconds that another container may run on after the work has ended.
const SIDECAR_AFTER: u64 = 60;
/// The seconds that the Job controller may need to fail a Job at its deadline.
const ENFORCED_WITHIN: u64 = 30;
/// The seconds that the Job controller may need to make a Pod once its pause is over.
const RESUMED_WITHIN: u64 = 60;
/// A deadline is near in its last tenth, but at most for this many seconds.
const NEAR: u64 = 600;
const KUEUE_QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The waiting reason of a container that has failed again and again.
pub(crate) const CRASH_LOOP: &str = "CrashLoopBackOff";
/// The container that does the work.
const BASE: &str = "base";

pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    let (Some(job), Some(spec)) = (facts.job(), facts.spec()) else { return };
    if facts.deleted_at().is_some() || conditions::decided(job).is_some() {
        return;
    }
    let pause = facts.job.as_ref().and_then(|job| job.pause());
    if pause == Some(Pause::Suspended) {
        found.push(suspended(facts, job));
        return;
    }
    if managed_by_another(spec) {
        found.push(managed(facts, spec));
    }
    // Unlike a suspension, this does not stop the clock of activeDeadlineSeconds.
    deadline(facts, job, spec, found);
    if pause == Some(Pause::NoParallelism) {
        found.push(no_parallelism(facts));
    } else {
        backoff(facts, job, spec, found);
    }
    for pod in facts.pods().filter(|pod| !work_has_stopped(pod) && pod.metadata.deletion_timestamp.is_none()) {
        lost_node(facts, pod, found);
        restarts(pod, found);
        sidecar(facts, spec, pod, found);
    }
}

fn suspended(facts: &Facts, job: &Job) -> Finding {
    let reference = &facts.reference;
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let since = conditions
        .into_iter()
        .find(|condition| condition.type_ == "Suspended" && condition.status == "True")
        .and_then(|condition| time(condition.last_transition_time.as_ref()))
        .or_else(|| time(job.metadata.creation_timestamp.as_ref()));
    let (namespace, name) = (&reference.namespace, &reference.name);
    if let Some(queue) = &job.metadata.labels.queue_name {
        return Finding::new(
            Code::KueueNotAdmitted,
            Severity::Info,
            reference,
            format!("{reference} waits in the queue `{queue}`: Kueue has not admitted it yet"),
        )
        .since(since)
        .seen(format!("spec.suspend is true, label {KUEUE_QUEUE}={queue}"))
        .next(
            Command::kubectl_in(namespace, &["get", "workloads,localqueues"])
                .comment("shows why it waits, and behind which workloads"),
        );
    }
    let managed = job.spec.as_ref().is_some_and(managed_by_another);
    let by = if managed { " by its manager" } else { "" };
    // Only the manager that suspended it may resume it.
    let next = if managed {
        Command::kubectl_in(namespace, &["get", "job"]).name(name).words(&["-o", "yaml"])
    } else {
        Command::kubectl_in(namespace, &["patch", "job"]).name(name).words(&[
            "--type=merge",
            "-p",
            r#"{"spec":{"suspend":false}}"#,
        ])
    };
    Finding::new(
        Code::Suspended,
        Severity::Info,
        reference,
        format!("{reference} is suspended{by}: no Pod is made until it is resumed"),
    )
    .since(since)
    .seen("spec.suspend is true")
    .next(next)
}

/// The finding about `parallelism: 0`. Kubernetes treats it as a pause, and stores no time of it in the Job.
fn no_parallelism(facts: &Facts) -> Finding {
    let reference = &facts.reference;
    Finding::new(
        Code::ParallelismZero,
        Severity::Info,
        reference,
        format!("{reference} is paused: its parallelism is 0, so no Pod is made until it is raised"),
    )
    .seen("spec.parallelism is 0")
    .next(
        Command::kubectl_in(&reference.namespace, &["patch", "job"])
            .name(&reference.name)
            .words(&["--type=merge", "-p", r#"{"spec":{"parallelism":1}}"#])
            .comment("or the number of Pods that should run at once"),
    )
}

fn managed(facts: &Facts, spec: &JobSpec) -> Finding {
    let job = &facts.reference;
    let manager = spec.managed_by.as_deref().unwrap_or_default();
    Finding::new(
        Code::ManagedElsewhere,
        Severity::Info,
        job,
        format!("{job} is managed by `{manager}`: its Pods may be in another cluster and not be visible here"),
    )
    .seen(format!("spec.managedBy is {manager}"))
    .next(Command::kubectl_in(&job.namespace, &["get", "job"]).name(&job.name).words(&["-o", "yaml"]))
}

fn deadline(facts: &Facts, job: &Job, spec: &JobSpec, found: &mut Vec<Finding>) {
    let started = job.status.as_ref().and_then(|status| time(status.start_time.as_ref()));
    let (Some(limit), Some(started)) = (spec.active_deadline_seconds, started) else { return };
    let Ok(seconds) = u64::try_from(limit) else { return };
    let Ok(end) = started.checked_add(SignedDuration::from_secs(limit)) else { return };
    let reference = &facts.reference;
    if facts.older(Some(end), ENFORCED_WITHIN) {
        found.push(
            Finding::new(Code::DeadlineNotEnforced, Severity::Blocking, reference, format!(
                "{reference} is past its activeDeadlineSeconds, but the Job controller of kube-controller-manager has not \
                 failed it: it is down, frozen, not the leader or overloaded"
            ))
            .since(Some(end))
            .seen(format!("started at {started:.0}, activeDeadlineSeconds {limit}"))
            .next(controller_manager()),
        );
    } else if facts.now < end && facts.age(started) >= seconds - (seconds / 10).min(NEAR) {
        let left = end.duration_since(facts.now).as_secs();
        found.push(
            Finding::new(
                Code::DeadlineNear,
                Severity::Info,
                reference,
                format!("{reference} reaches its activeDeadlineSeconds in {left} s: Kubernetes fails it then, unless it has ended"),
            )
            .since(Some(started))
            .seen(format!("started at {started:.0}, activeDeadlineSeconds {limit}"))
            .next(
                Command::kubectl_in(&reference.namespace, &["get", "job"])
                    .name(&reference.name)
                    .comment("active_deadline_seconds of a Job cannot be changed"),
            ),
        );
    }
}

/// The finding about the pause after a failed Pod, or about a new Pod that does not come after it. The Job controller
/// pauses from 10 s to 10 min between failed Pods, so gaps without a Pod are normal. Source: k/k
/// `pkg/controller/job/backoff_utils.go`.
fn backoff(facts: &Facts, job: &Job, spec: &JobSpec, found: &mut Vec<Finding>) {
    let status = job.status.clone().unwrap_or_default();
    let failed = status.failed.unwrap_or(0);
    let runs = status.active.unwrap_or(0) > 0 || facts.pods().any(|pod| !work_has_stopped(pod));
    if failed == 0 || runs || facts.pods.get().is_none() {
        return;
    }
    let last = facts.pods().flat_map(all_containers).filter_map(finished_at).chain(facts.failures.newest).max();
    let doublings = u32::try_from(failed - 1).unwrap_or(0).min(6);
    let pause = (10_u64 << doublings).min(600);
    let limit = spec.backoff_limit.unwrap_or(6);
    let next =
        last.and_then(|last| last.checked_add(SignedDuration::from_secs(i64::try_from(pause).unwrap_or(600))).ok());
    let reference = &facts.reference;
    // The backoff of a Job that was resumed begins again.
    let due = next.max(next.and(time(status.start_time.as_ref())));
    // A failed Pod that somebody has deleted may have ended later than those that are left.
    let failures = facts.pods().filter(|pod| phase(pod) == "Failed" && ended_at(pod).is_some());
    let known = failures.count() + facts.failures.count;
    let sure = usize::try_from(failed).is_ok_and(|failed| known >= failed);
    if sure && facts.older(due, RESUMED_WITHIN) && owes_a_pod(facts, job, spec, due) {
        found.push(
            Finding::new(
                Code::JobControllerSilent,
                Severity::Blocking,
                reference,
                format!(
                    "{reference} should have got a Pod after its pause, and has not: the Job controller of \
                 kube-controller-manager is down, frozen, not the leader or overloaded"
                ),
            )
            .since(due)
            .seen_all(
                last.map(|last| format!("failed Pod {failed} ended at {last:.0}, and the pause after it is {pause} s")),
            )
            .next(controller_manager()),
        );
        return;
    }
    let next = next.map(|next| format!("the next one comes about {next:.0}"));
    found.push(
        Finding::new(Code::BackoffWaiting, Severity::Info, reference, format!(
            "{reference} pauses after failed Pod {failed} of the {limit} that backoffLimit allows: the next one comes \
             {pause} s after the last"
        ))
        .since(last)
        .seen_all(next)
        .next(Command::kubectl_in(&reference.namespace, &["describe", "job"]).name(&reference.name)),
    );
}

/// Whether the Job controller has nothing to wait for, and has not been refused a Pod since then.
fn owes_a_pod(facts: &Facts, job: &Job, spec: &JobSpec, due: Option<Timestamp>) -> bool {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let resuming = conditions.any(|condition| condition.type_ == "Suspended" && condition.status == "True");
    let answered = facts.events().iter().any(|event| {
        event.involved_object.uid.as_deref() == Some(&facts.reference.uid) && event_last_time(event) >= due
    });
    !managed_by_another(spec) && !resuming && !answered
}

fn lost_node(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    let Some((node, Known::Seen(state @ (NodeState::NotReady { .. } | NodeState::Gone)))) = facts.node_of(pod) else {
        return;
    };
    let since = match state {
        NodeState::NotReady { since, .. } => *since,
        NodeState::Ready | NodeState::Gone => None,
    };
    let object = ObjectReference::from(pod);
    found.push(
        Finding::new(Code::NodeNotReady, Severity::Blocking, pod, format!(
            "{object} is on node `{node}`, which {}: whether it still runs is not known, and its log cannot be read",
            out_of_reach(state)
        ))
        .since(since)
        .seen(format!("phase {}", pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")))
        .next(Command::new(&["kubectl", "describe", "node"]).name(node)),
    );
}

fn restarts(pod: &Pod, found: &mut Vec<Finding>) {
    let object = ObjectReference::from(pod);
    let inits = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let init_names: Vec<_> = inits.map(|container| container.name.as_str()).collect();
    for container in all_containers(pod) {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let looping = waiting.and_then(|waiting| waiting.reason.as_deref()) == Some(CRASH_LOOP);
        let init = init_names.contains(&container.name.as_str());
        let Some(end) = last_end(container).filter(|end| end.code != 0 && (looping || (init && end.now))) else {
            continue;
        };
        let name = &container.name;
        let (code, cause) = if init {
            (
                Code::InitContainerFailing,
                format!("Init container `{name}` of {object} fails, so the containers after it do not start"),
            )
        } else {
            (Code::CrashLoop, format!("Container `{name}` of {object} fails again and again; each start waits longer"))
        };
        found.push(
            Finding::new(code, Severity::Warning, pod, cause)
                .since(end.at)
                .seen(format!(
                    "ended with exit code {} ({}), {} restarts",
                    end.code, end.reason, container.restart_count
                ))
                .next(
                    Command::kubectl_in(&object.namespace, &["logs"])
                        .name(&object.name)
                        .words(&["-c"])
                        .name(name)
                        .words(&["--previous"]),
                ),
        );
    }
}

struct LastExit {
    code: i32,
    reason: String,
    at: Option<Timestamp>,
    /// Whether the container is in this state now; otherwise it was before it started again.
    now: bool,
}

fn last_end(container: &ContainerStatus) -> Option<LastExit> {
    let ended = |state: &k8s_openapi::api::core::v1::ContainerState| state.terminated.clone();
    let now = container.state.as_ref().and_then(ended);
    let before = container.last_state.as_ref().and_then(ended);
    let is_now = now.is_some();
    now.or(before).map(|end| LastExit {
        code: end.exit_code,
        reason: end.reason.unwrap_or_default(),
        at: time(end.finished_at.as_ref()),
        now: is_now,
    })
}

/// The finding about a container that does not end, such as an injected proxy: it keeps the Pod alive, and so the Job,
/// although the work is done.
fn sidecar(facts: &Facts, spec: &JobSpec, pod: &Pod, found: &mut Vec<Finding>) {
    let Some(Lingering { base, exit_code, sidecars, .. }) = lingering(spec, pod) else { return };
    let over = main_containers(pod).find(|container| container.name == base).and_then(finished_at);
    if !facts.older(over, SIDECAR_AFTER) {
        return;
    }
    let template = || spec.template.spec.iter().flat_map(|pod| &pod.containers);
    let injected = sidecars.iter().all(|name| template().all(|container| container.name != *name));
    // It is sure which container does the work only if one is named `base`, or there is only one.
    let (severity, origin) = match (injected, base.as_str()) {
        (true, _) => (Severity::Blocking, "which is not in the Job's template but was added to the Pod"),
        (false, BASE) => (Severity::Warning, "which still runs"),
        (false, _) => (Severity::Info, "which still runs, as may be meant"),
    };
    let object = ObjectReference::from(pod);
    let others = sidecars.join("`, `");
    // A Job that may run as its user wants must not be deleted on a suspicion.
    let next = if severity == Severity::Blocking {
        Command::kubectl_in(&facts.reference.namespace, &["delete", "job"])
            .name(&facts.reference.name)
            .words(&["--cascade=background"])
            .comment(
                "once the log is read. To avoid it, make the sidecar an init container with restartPolicy Always, or set \
                 on_lingering_sidecar to finish",
            )
    } else {
        Command::kubectl_in(&object.namespace, &["describe", "pod"]).name(&object.name).comment(
            "to avoid it, make the sidecar an init container with restartPolicy Always, or set on_lingering_sidecar to \
             finish",
        )
    };
    found.push(
        Finding::new(Code::SidecarKeepsPodAlive, severity, pod, format!(
            "Container `{base}` of {object} has ended, but the Pod and its Job go on because of container `{others}`, \
             {origin}"
        ))
        .since(over)
        .seen(format!("`{base}` ended with exit code {exit_code}"))
        .next(next),
    );
}

fn finished_at(container: &ContainerStatus) -> Option<Timestamp> {
    time(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
}
