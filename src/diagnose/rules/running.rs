//! Finds Jobs that have begun and make no progress, and Jobs that wait as is meant.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::{deletion::controller_manager, pods::out_of_reach, queue, quiet, restarts};
use crate::{
    diagnose::{
        facts::{Facts, Known, LastLine, NodeState},
        finding::{Code, Finding, ObjectReference, Severity, capitalized},
    },
    model::{
        conditions,
        job::{Job, JobSpec, managed_by_another},
        lingering::{Lingering, lingering},
        observed_job::Pause,
        pod::{
            all_containers, ended_at, event_last_time, finished_at, has_started, init_containers, is_running,
            is_sidecar, main_containers, phase, started_at, time, work_has_stopped,
        },
        pod_end::pod_end,
        snapshot::ObservedPod,
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
/// The seconds that an init container may run before it is named.
const INIT_WITHIN: u64 = 60;
/// The seconds after which it is rather stuck than slow.
const INIT_LONG: u64 = 600;
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
    found.extend(indexes_failed(facts, job));
    for pod in facts.pods().filter(|pod| !work_has_stopped(pod) && pod.metadata.deletion_timestamp.is_none()) {
        lost_node(facts, pod, found);
        restarts::rules(facts, pod, found);
        found.extend(init_waiting(facts, pod));
        sidecar(facts, spec, pod, found);
        found.extend(quiet::rules(facts, pod));
    }
}

fn suspended(facts: &Facts, job: &Job) -> Finding {
    let reference = &facts.reference;
    if let Some(queue) = &job.metadata.labels.queue_name {
        return queue::waits(facts, job, queue);
    }
    let since = conditions::suspended_since(job);
    let (namespace, name) = (&reference.namespace, &reference.name);
    let managed = job.spec.as_ref().is_some_and(managed_by_another);
    let by = job.metadata.managed_fields.as_ref().and_then(|fields| fields.suspend.as_ref());
    let made = time(job.metadata.creation_timestamp.as_ref());
    let words = match by {
        _ if managed => "suspended by its manager".to_owned(),
        Some(by) if made.is_some_and(|made| by.time.is_none_or(|at| at <= made)) => {
            format!("suspended since it was made, by `{}`", by.name)
        }
        Some(by) => format!("suspended by {by}"),
        None => "suspended".to_owned(),
    };
    // Only the manager that suspended it may resume it.
    let next = if managed {
        Command::kubectl_in(namespace, &["get", "job"]).name(name).words(&["-o", "yaml"])
    } else {
        Command::kubectl_in(namespace, &["patch", "job"])
            .name(name)
            .words(&["--type=merge", "-p", r#"{"spec":{"suspend":false}}"#])
            .comment("resumes it. First ask who suspended it, and why")
    };
    Finding::new(
        Code::Suspended,
        Severity::Info,
        reference,
        format!("{reference} is {words}: it gets no Pod until somebody resumes it"),
    )
    .since(since)
    .seen("spec.suspend is true")
    .seen_all(
        by.map(|by| {
            format!("managedFields: spec.suspend was written by {by} (the name of a program, not of a person)")
        }),
    )
    .next(next)
}

/// The finding about `parallelism: 0`. Kubernetes treats it as a pause, and stores no time of it in the Job.
fn no_parallelism(facts: &Facts) -> Finding {
    let reference = &facts.reference;
    let fields = facts.job().and_then(|job| job.metadata.managed_fields.as_ref());
    let by = fields.and_then(|fields| fields.parallelism.as_ref()).map(|by| format!(", written by {by}"));
    Finding::new(
        Code::ParallelismZero,
        Severity::Info,
        reference,
        format!(
            "{reference} is paused: its parallelism is 0{}, so it gets no Pod until somebody raises it",
            by.unwrap_or_default()
        ),
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
                "The Job controller of kube-controller-manager does not work (it is down, frozen, not the leader or \
                 overloaded): {reference} is past its activeDeadlineSeconds, and was not failed"
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
                format!("{reference} fails in {left} s, at its activeDeadlineSeconds, unless it ends before"),
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
                    "The Job controller of kube-controller-manager does not work (it is down, frozen, not the leader or \
                     overloaded): {reference} should have got a Pod after its pause, and has not"
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
    let last_failed = facts.pods().filter(|pod| phase(pod) == "Failed").max_by_key(|pod| ended_at(pod));
    let why =
        last_failed.and_then(|pod| failed_words(facts, pod)).or_else(|| facts.failures.words.clone().map(String::from));
    let why = why.unwrap_or_else(|| "a Pod failed".to_owned());
    let comes = next.map_or_else(|| format!("{pause} s after the last"), |next| format!("at about {next:.0}"));
    let retry = if spec.backoff_limit_per_index.is_some() {
        "the next Pod".to_owned()
    } else {
        format!("retry {failed} of {limit}")
    };
    found.push(
        Finding::new(
            Code::BackoffWaiting,
            Severity::Info,
            reference,
            format!("{}, so {reference} pauses; Kubernetes starts {retry} by itself {comes}", capitalized(&why)),
        )
        .since(last)
        .seen(format!(
            "{failed} failed {}, the pause after the last is {pause} s",
            if failed == 1 { "Pod" } else { "Pods" }
        ))
        .seen_all(all_pauses(failed, limit).filter(|_| spec.backoff_limit_per_index.is_none()))
        .next(match last_failed.and_then(|pod| pod.metadata.name.as_deref()) {
            Some(pod) if why.contains(" hook failed") => Command::kubectl_in(&reference.namespace, &["get", "pod"])
                .name(pod)
                .words(&["-o", "jsonpath={.spec.containers[*].lifecycle}"])
                .comment("correct this lifecycle hook in the manifest. The pause itself is normal, the failure is not"),
            Some(pod) => Command::kubectl_in(&reference.namespace, &["logs"])
                .name(pod)
                .words(&["--all-containers", "--tail=20"])
                .comment("shows what the program said. The pause itself is normal, the failure is not"),
            None => Command::kubectl_in(&reference.namespace, &["get", "pods", "-l"])
                .name_after("batch.kubernetes.io/job-name=", reference.name.as_str())
                .comment("their logs show why they failed. The pause itself is normal"),
        }),
    );
}

/// How long all further pauses take together, if that is long.
fn all_pauses(failed: i32, limit: i32) -> Option<String> {
    let pauses = (failed..limit.min(100_000)).map(|number| 10_i64 << u32::try_from(number).unwrap_or(0).min(6));
    let hours = pauses.map(|pause| pause.min(600)).sum::<i64>() / 3600;
    (hours > 0)
        .then(|| format!("if every retry fails, the pauses up to backoffLimit {limit} take {hours} h more in all"))
}

/// How a Pod failed, as a clause.
fn failed_words(facts: &Facts, pod: &Pod) -> Option<String> {
    let seen = ObservedPod::new(Arc::new(pod.clone()), false);
    pod_end(&seen, facts.base_container(), facts.events()).map(|end| end.words)
}

/// Indexes that have failed for good while the others go on: the Job will fail at the end.
fn indexes_failed(facts: &Facts, job: &Job) -> Option<Finding> {
    let indexes = job.status.as_ref()?.failed_indexes.clone().filter(|indexes| !indexes.is_empty())?;
    let reference = &facts.reference;
    let mut failed: Vec<&Pod> = facts.pods().filter(|pod| phase(pod) == "Failed").collect();
    failed.sort_by_key(|pod| ended_at(pod));
    let words = |pod: &Pod| Some(format!("index {}: {}", conditions::index(pod)?, failed_words(facts, pod)?));
    let mut ends: Vec<(String, usize)> = Vec::new();
    for end in failed.iter().rev().filter_map(|pod| words(pod)) {
        match ends.iter_mut().find(|(known, _)| *known == end) {
            Some((_, times)) => *times += 1,
            None => ends.push((end, 1)),
        }
    }
    let ends = ends.into_iter().take(5);
    let ends = ends.map(|(end, times)| if times == 1 { end } else { format!("{end}, {times} times") });
    let last = failed
        .iter()
        .rev()
        .find_map(|pod| failed_words(facts, pod))
        .or_else(|| facts.failures.words.clone().map(String::from));
    let last = last.map_or_else(String::new, |last| format!(" ({last})"));
    let several = indexes.contains([',', '-']);
    let which = if several { format!("Indexes {indexes} have") } else { format!("Index {indexes} has") };
    let next = Command::kubectl_in(&reference.namespace, &["logs", "--tail=20", "-l"]);
    let index = indexes.split([',', '-']).next_back().unwrap_or(&indexes);
    let of_index = format!("{},batch.kubernetes.io/job-completion-index={index}", reference.name);
    Some(
        Finding::new(
            Code::IndexesFailed,
            Severity::Warning,
            reference,
            format!("{which} failed and will not be tried again{last}: the other indexes go on, and {reference} fails at the end"),
        )
        .seen(format!("failed: {} {indexes} (status.failedIndexes)", if several { "indexes" } else { "index" }))
        .since(failed.last().and_then(|pod| ended_at(pod)))
        .seen_all(ends)
        .next(
            next.name_after("batch.kubernetes.io/job-name=", &of_index)
                .comment("shows why it failed. Let the Job end, or delete it now"),
        ),
    )
}

/// An init container that runs for long: whatever it waits for does not come. A sidecar does not count.
fn init_waiting(facts: &Facts, pod: &Pod) -> Option<Finding> {
    if main_containers(pod).any(has_started) {
        return None;
    }
    let waits = init_containers(pod).find(|container| is_running(container) && !is_sidecar(pod, container))?;
    let since = started_at(waits);
    if !facts.waited(since, INIT_WITHIN) {
        return None;
    }
    let severity = if facts.waited(since, INIT_LONG) { Severity::Warning } else { Severity::Info };
    let object = ObjectReference::from(pod);
    let name = &waits.name;
    let last = facts.last_lines.get(&(object.uid.clone(), name.clone()));
    let logs = object.logs(name).comment("shows what it waits for. init_timeout_seconds ends such a wait by itself");
    let next = match last {
        Some(LastLine { at: None, .. }) => Command::kubectl_in(&object.namespace, &["get", "pod"])
            .name(&object.name)
            .words(&["-o", "jsonpath={.spec.initContainers[*].command}"])
            .comment("shows what it runs. init_timeout_seconds ends such a wait by itself"),
        _ => logs,
    };
    let said = match last {
        Some(LastLine { at: None, .. }) => Some("it has written nothing".to_owned()),
        Some(LastLine { at: Some(at), text }) => Some(format!("its last line, at {at:.0}: {text}")),
        None => None,
    };
    Some(
        Finding::new(
            Code::InitContainerWaiting,
            severity,
            pod,
            format!("Init container `{name}` runs and does not end, so {object} cannot start its other containers"),
        )
        .since(since)
        .seen_all(said)
        .next(next),
    )
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
        Finding::new(
            Code::NodeNotReady,
            Severity::Blocking,
            pod,
            format!(
                "Node `{node}` {}: whether {object} still runs there is not known, and its log cannot be read",
                out_of_reach(state)
            ),
        )
        .since(since)
        .seen(format!("phase {}", pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")))
        .next(Command::new(&["kubectl", "describe", "node"]).name(node)),
    );
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
        (true, _) => (Severity::Blocking, ", which is not in the Job's template but was added to the Pod,"),
        (false, BASE) => (Severity::Warning, ""),
        (false, _) => (Severity::Info, ""),
    };
    let meant = if severity == Severity::Info { ", as may be meant" } else { "" };
    let object = ObjectReference::from(pod);
    let others = sidecars.join("`, `");
    // A Job that may run as its user wants must not be deleted on a suspicion.
    let force = (severity == Severity::Blocking).then(|| {
        Command::kubectl_in(&facts.reference.namespace, &["delete", "job"])
            .name(&facts.reference.name)
            .words(&["--cascade=background"])
            .comment("deletes the Job with its Pods and their logs. its work has ended")
    });
    let next = object.logs(sidecars.first().map_or("", String::as_str)).comment(
        "shows whether it still has work. If it has none, mark the task as success in Airflow: that ends its Job. For the next run, \
         set on_lingering_sidecar=finish, or make it an init container with restartPolicy Always",
    );
    let finding = Finding::new(
        Code::SidecarKeepsPodAlive,
        severity,
        pod,
        format!(
            "Container `{base}` of {object} has ended with exit code {exit_code}, but container `{others}`{origin} still runs, so \
             the Job goes on{meant}"
        ),
    )
    .since(over)
    .next(next);
    found.push(match force {
        Some(force) => finding.last_resort(force),
        None => finding,
    });
}
