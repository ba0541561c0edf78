//! Finds containers that fail and are started again, with what ends them: their own exit, a probe, memory, a hook.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::{
    diagnose::{
        facts::Facts,
        finding::{Code, Finding, ObjectReference, Severity, capitalized},
        rules::image,
    },
    model::{
        container_exit::{ContainerExit, container_exit},
        container_killer::{OUT_OF_MEMORY, unexplained_kill},
        pod::{all_containers, event_last_time, main_containers, time},
        pod_reason::first_sentence,
    },
    text::Command,
};

/// The waiting reason of a container that has failed again and again.
pub(crate) const CRASH_LOOP: &str = "CrashLoopBackOff";
/// A container that was started again so often, and failed last within so many seconds, fails again and again although
/// it may run just now.
const RESTARTED: (i32, u64) = (2, 600);
/// How many seconds the Event may take that says who killed a container.
const EVENT_WITHIN: u64 = 10;
/// How many seconds after a failed probe a container may need to end.
const ENDS_WITHIN: i64 = 60;

pub(super) fn rules(facts: &Facts, pod: &Pod, found: &mut Vec<Finding>) {
    for container in all_containers(pod) {
        found.extend(failing(facts, pod, container));
    }
}

fn failing(facts: &Facts, pod: &Pod, container: &ContainerStatus) -> Option<Finding> {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    if reason.is_some_and(|reason| image::REASONS.contains(&reason)) {
        // The finding about a container that cannot start says it at this moment.
        return None;
    }
    let looping = reason == Some(CRASH_LOOP);
    let over = container.state.as_ref().is_some_and(|state| state.terminated.is_some());
    let exit = container_exit(pod, container, facts.events()).filter(|exit| exit.exit_code != 0)?;
    let ended = [&container.state, &container.last_state];
    let at = ended.into_iter().find_map(|state| time(state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()));
    let (often, recent) = RESTARTED;
    let again = looping || (container.restart_count >= often && at.is_some_and(|at| facts.age(at) < recent));
    let init = main_containers(pod).all(|main| main.name != container.name);
    if !(again || (init && over)) {
        return None;
    }
    if unexplained_kill(pod, container, facts.events()).is_some() && at.is_some_and(|at| facts.age(at) < EVENT_WITHIN) {
        return None;
    }
    let object = ObjectReference::from(pod);
    let ending = capitalized(&with_probe(facts, pod, container, &exit).unwrap_or_else(|| exit.clause()));
    let restarts = container.restart_count;
    let times = if restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
    let (code, cause) = if init {
        (Code::InitContainerFailing, format!("{ending}, so {object} cannot start the containers after it"))
    } else {
        (Code::CrashLoop, format!("{ending}, again and again, so {object} gets no further"))
    };
    let logs = object.logs(&container.name);
    let logs = if restarts > 0 { logs.words(&["--previous"]) } else { logs };
    let next = match exit.reason.as_deref() {
        _ if exit.not_started().is_some() => Command::kubectl_in(&object.namespace, &["get", "pod"])
            .name(&object.name)
            .words(&["-o", "jsonpath={.spec.containers[*].command}"])
            .comment("correct cmds in the DAG or the manifest, or use an image that has the command"),
        Some(OUT_OF_MEMORY) => logs.comment("raise limits.memory in container_resources, or make the program use less"),
        _ if ending.contains(" probe failed") => {
            logs.comment("repair what the probe checks, or correct the probe in the manifest. A Job seldom needs one")
        }
        _ if ending.contains(" hook failed") => logs.comment("correct the lifecycle hook in the manifest"),
        _ => logs.comment("shows what the program said before it ended"),
    };
    Some(
        Finding::new(code, Severity::Warning, pod, cause)
            .since(at)
            .seen(format!(
                "ended with exit code {} ({}), restarted {times}",
                exit.exit_code,
                exit.reason.as_deref().unwrap_or_default()
            ))
            .seen_all(exit.message.iter().map(|said| format!("its termination message: {}", said.trim_end())))
            .next(next),
    )
}

/// A kill by a probe of which only the warning is known, and not the Event of the kill.
fn with_probe(facts: &Facts, pod: &Pod, container: &ContainerStatus, exit: &ContainerExit) -> Option<String> {
    if exit.killed_by.is_some() || !matches!(exit.signal, Some(9 | 15)) {
        return None;
    }
    let ended = [&container.state, &container.last_state];
    let end = ended.into_iter().find_map(|state| time(state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()))?;
    let path = format!("{{{}}}", container.name);
    let of_it = |event: &&Event| {
        let about = &event.involved_object;
        let field = about.field_path.as_deref();
        about.uid == pod.metadata.uid && field.is_none_or(|field| field.ends_with(&path))
    };
    // The Event is one of many alike, and its time that of the last: it may be about the run that came after.
    let near =
        |event: &&Event| event_last_time(event).is_some_and(|at| end.as_second() - at.as_second() <= ENDS_WITHIN);
    facts.events().iter().filter(of_it).filter(near).find_map(|event| {
        let said = event.message.as_deref().filter(|_| event.reason.as_deref() == Some("Unhealthy"))?;
        ["Liveness", "Startup"].iter().find_map(|kind| {
            let why = first_sentence(said.strip_prefix(kind)?.strip_prefix(" probe failed: ")?);
            let kind = kind.to_lowercase();
            let who = if exit.init { "init container" } else { "container" };
            Some(format!(
                "{who} `{}` was killed: its {kind} probe failed: {why} (exit code {})",
                exit.container, exit.exit_code
            ))
        })
    })
}
