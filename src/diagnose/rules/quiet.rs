//! Finds containers that run and of which nothing is heard: no line for hours, or no success of the readiness probe.
//!
//! Neither shows that anything is wrong, so these findings are for information only.

use k8s_openapi::api::core::v1::Pod;

use crate::{
    diagnose::{
        facts::{Facts, LastLine},
        finding::{Code, Finding, ObjectReference, Severity},
    },
    model::pod::{is_running, main_containers, started_at},
    text::Command,
};

/// The seconds without a line after which a container is named.
pub(crate) const SILENT_FOR: u64 = 3600;
/// The seconds that a readiness probe may need.
const READY_WITHIN: u64 = 60;

pub(super) fn rules(facts: &Facts, pod: &Pod) -> Vec<Finding> {
    let object = ObjectReference::from(pod);
    let mut found = Vec::new();
    for container in main_containers(pod) {
        let running = is_running(container);
        let since = started_at(container).filter(|_| running);
        let name = &container.name;
        if let Some(LastLine { at, text }) = facts.last_lines.get(&(object.uid.clone(), name.clone()))
            && let last = at.or(since)
            && running
            && facts.older(last, SILENT_FOR)
        {
            let last = last.map_or_else(String::new, |last| format!("{last:.0}"));
            let cause = match at {
                Some(_) => format!("Container `{name}` of {object} runs, and has written no line since {last}"),
                None => format!("Container `{name}` of {object} runs since {last}, and has written no line"),
            };
            found.push(
                Finding::new(Code::ContainerSilent, Severity::Info, pod, cause)
                    .since(at.or(since))
                    .seen_all(at.map(|_| format!("its last line: {text}")))
                    .next(
                        Command::kubectl_in(&object.namespace, &["exec"])
                            .name(&object.name)
                            .words(&["-c"])
                            .name(name)
                            .words(&["--", "ps"])
                            .comment(
                                "does it still work, or does it hang? active_deadline_seconds ends a Job that hangs",
                            ),
                    ),
            );
        }
        let template = facts.template().iter().flat_map(|template| &template.containers).find(|own| own.name == *name);
        let probed = template.is_some_and(|own| own.readiness_probe.is_some());
        if probed && !container.ready && facts.older(since, READY_WITHIN) {
            found.push(
                Finding::new(
                    Code::NotReady,
                    Severity::Info,
                    pod,
                    format!(
                        "Container `{name}` of {object} runs. Its readiness probe does not succeed, which a Job ignores"
                    ),
                )
                .since(since)
                .seen("it runs, and is not ready")
                .next(object.logs(name).comment("only if you want to know more: nothing has to be done")),
            );
        }
    }
    found
}
