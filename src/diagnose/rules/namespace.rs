//! Finds a namespace that is being deleted: nothing can be made in it, and its conditions say what holds it.

use crate::{
    diagnose::{
        facts::{Facts, Known, NamespaceState},
        finding::{Code, Finding, ObjectReference, Severity},
    },
    identity::Namespace,
    text::Command,
};

/// The namespace controller cannot list all kinds of objects, so it cannot know whether the namespace is empty.
const DISCOVERY_FAILED: &str = "NamespaceDeletionDiscoveryFailure";

pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    found.extend(of_namespace(&facts.reference.namespace, &facts.namespace));
}

/// The finding about a namespace that is being deleted, even if no Job is left in it.
#[must_use]
pub fn of_namespace(name: &Namespace, state: &Known<NamespaceState>) -> Option<Finding> {
    let Known::Seen(NamespaceState::Terminating { since, conditions }) = state else { return None };
    let object =
        || ObjectReference { kind: "Namespace", namespace: String::new(), name: name.to_string(), uid: String::new() };
    let told = conditions.iter().map(|(kind, message)| format!("condition {kind}: {message}"));
    if conditions.iter().any(|(kind, _)| kind == DISCOVERY_FAILED) {
        return Some(
            Finding::new(Code::AggregatedApiUnavailable, Severity::Blocking, object(), format!(
                "Namespace `{name}` is deleted but still there: an aggregated API of the cluster does not answer, so \
                 Kubernetes cannot tell whether the namespace is empty"
            ))
            .since(*since)
            .seen_all(told)
            .next(
                Command::new(&["kubectl", "get", "apiservices"])
                    .comment("if one is not Available, repair the service that it names, or delete the APIService"),
            ),
        );
    }
    Some(
        Finding::new(
            Code::NamespaceTerminating,
            Severity::Blocking,
            object(),
            format!("Namespace `{name}` is being deleted: no Pod can be made in it, and everything in it is deleted"),
        )
        .since(*since)
        .seen_all(told)
        .next(
            Command::new(&["kubectl", "get", "namespace"])
                .name(name.as_str())
                .words(&["-o", "yaml"])
                .comment("its conditions name what is left"),
        ),
    )
}
