//! The namespace of a Job is being deleted: nothing can be made in it, and what holds it is told by its conditions.

use super::{
    facts::{Facts, Known, NamespaceState},
    finding::{Code, Finding, ObjectReference, Severity},
};

/// The namespace controller cannot list all kinds of objects, so it cannot know whether the namespace is empty.
const DISCOVERY_FAILED: &str = "NamespaceDeletionDiscoveryFailure";

pub(super) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    let Known::Seen(NamespaceState::Terminating { since, conditions }) = &facts.namespace else { return };
    let name = &facts.reference.namespace;
    let object =
        || ObjectReference { kind: "Namespace", namespace: String::new(), name: name.clone(), uid: String::new() };
    let told = conditions.iter().map(|(kind, message)| format!("condition {kind}: {message}"));
    if conditions.iter().any(|(kind, _)| kind == DISCOVERY_FAILED) {
        found.push(
            Finding::new(Code::AggregatedApiUnavailable, Severity::Blocking, object(), format!(
                "Namespace `{name}` is deleted but does not go: an aggregated API of the cluster does not answer, so \
                 that Kubernetes cannot tell whether the namespace is empty"
            ))
            .since(*since)
            .seen_all(told)
            .next("kubectl get apiservices  # one that is not Available: repair what it names, or delete the APIService"),
        );
        return;
    }
    found.push(
        Finding::new(
            Code::NamespaceTerminating,
            Severity::Blocking,
            object(),
            format!("Namespace `{name}` is being deleted: no Pod can be made in it, and everything in it goes"),
        )
        .since(*since)
        .seen_all(told)
        .next(format!("kubectl get namespace {name} -o yaml  # its conditions name what is left")),
    );
}
