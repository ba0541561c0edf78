//! Finds out what ended a container from outside: its memory limit, a probe, a hook, or whatever ended its Pod. Pure.
//!
//! The status alone shows only the memory limit; Events of the kubelet show that a probe or a hook was the cause.
//! Source: k/k `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `computePodActions`, and
//! `pkg/kubelet/prober/prober.go`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use super::{
    pod::{event_last_time, time},
    pod_reason::{first_sentence, in_words, pod_reason},
};

/// The reason of a container that needed more memory than its limit.
pub(crate) const OUT_OF_MEMORY: &str = "OOMKilled";
/// The killer of a container if only the deletion of its Pod is known.
pub(crate) const POD_DELETED: &str = "its Pod was deleted";
/// How far apart two times of the same moment may be: Kubernetes keeps Events and ends of containers in whole seconds.
const SECONDS_APART: i64 = 2;

/// What killed the container, as a clause such as "its liveness probe failed: db down"; none if it ended by itself, or
/// nothing shows it.
pub(crate) fn killer(
    pod: &Pod,
    container: &ContainerStatus,
    end: &ContainerStateTerminated,
    signal: Option<i32>,
    events: &[Event],
) -> Option<String> {
    if end.reason.as_deref() == Some(OUT_OF_MEMORY) {
        let limit = container.resources.as_ref().and_then(|resources| resources.limits.as_ref()?.get("memory"));
        return Some(
            limit.map_or_else(|| "out of memory".to_owned(), |limit| format!("out of memory, limit {}", limit.0)),
        );
    }
    if end.exit_code == 0 {
        return None;
    }
    if let Some(by_kubelet) = by_probe_or_hook(pod, &container.name, end, events) {
        return Some(by_kubelet);
    }
    // A container that was started again has not ended with its Pod.
    container.state.as_ref()?.terminated.as_ref()?;
    // Whatever ends a Pod sends one of these two signals; any other code is the program's own.
    signal.filter(|signal| matches!(signal, 9 | 15))?;
    match pod_reason(pod) {
        Some(given) => Some(in_words(pod, given, "its Pod")),
        None => pod.metadata.deletion_timestamp.is_some().then(|| POD_DELETED.to_owned()),
    }
}

/// When the container was killed last, if nothing seen so far shows by whom, and Events may show it.
pub(crate) fn unexplained_kill(pod: &Pod, container: &ContainerStatus, events: &[Event]) -> Option<Timestamp> {
    let ended = [&container.state, &container.last_state];
    let end = ended.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    let signal = end.signal.filter(|signal| *signal > 0).or(Some(end.exit_code - 128));
    let unexplained = matches!(signal, Some(9 | 15)) && killer(pod, container, end, signal, events).is_none();
    unexplained.then(|| time(end.finished_at.as_ref()).unwrap_or(Timestamp::MIN))
}

fn by_probe_or_hook(pod: &Pod, container: &str, end: &ContainerStateTerminated, events: &[Event]) -> Option<String> {
    let path = format!("{{{container}}}");
    let about_it = |event: &&Event| {
        let about = &event.involved_object;
        about.uid == pod.metadata.uid && about.field_path.as_deref().is_some_and(|field| field.ends_with(&path))
    };
    let message = |event: &Event| event.message.clone().unwrap_or_default();
    let newest = |reason: &str, part: &str| {
        let of_kind = |event: &&Event| {
            event.reason.as_deref() == Some(reason) && event.message.as_deref().is_some_and(|said| said.contains(part))
        };
        events.iter().filter(about_it).filter(of_kind).max_by_key(|event| event_last_time(event))
    };
    let colon = |said: String| if said.is_empty() { said } else { format!(": {said}") };
    if let Some(hook) = newest("FailedPostStartHook", "").filter(|event| near(event, end)) {
        let said = Some(message(hook)).filter(|said| said != "PostStartHook failed").unwrap_or_default();
        return Some(format!("its postStart hook failed{}", colon(first_sentence(&said))));
    }
    // If no other run follows, the kubelet does not say why it stops the container; it only says just before what it
    // saw.
    let for_itself = pod.metadata.deletion_timestamp.is_none() && pod_reason(pod).is_none();
    let stopping = newest("Killing", "Stopping container").filter(|event| for_itself && near(event, end));
    for (kind, capital) in [("liveness", "Liveness"), ("startup", "Startup")] {
        let begin = format!("{capital} probe failed: ");
        let failure = newest("Unhealthy", &begin);
        let killing = newest("Killing", &format!("failed {kind} probe")).filter(|event| near(event, end));
        let just_before = || Some(at_the_same_time(failure?, stopping?)).filter(|same| *same);
        if killing.is_some() || just_before().is_some() {
            let said = failure.map(message).unwrap_or_default();
            return Some(format!("its {kind} probe failed{}", colon(first_sentence(said.trim_start_matches(&begin)))));
        }
    }
    None
}

fn at_the_same_time(one: &Event, other: &Event) -> bool {
    let at = |event| event_last_time(event).map(Timestamp::as_second);
    at(one).zip(at(other)).is_some_and(|(one, other)| (one - other).abs() <= SECONDS_APART)
}

/// Whether an Event can be about this run of the container, and not about one before or after it.
fn near(event: &Event, end: &ContainerStateTerminated) -> bool {
    let Some(at) = event_last_time(event).map(Timestamp::as_second) else { return true };
    let began = time(end.started_at.as_ref()).map(|began| began.as_second() - SECONDS_APART);
    let over = time(end.finished_at.as_ref()).map(|over| over.as_second() + SECONDS_APART);
    began.is_none_or(|began| began <= at) && over.is_none_or(|over| at <= over)
}
