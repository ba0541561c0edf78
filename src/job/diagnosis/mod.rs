//! Why a Job does not move, or does not go: from facts to findings. Pure: the clock is a fact, too.
//!
//! Promise: the same facts give the same findings, most blocking first; a healthy Job has none; what could not be
//! read is never taken for an answer, and a cause that is not sure says so. Nothing here talks to a cluster:
//! [`super::examine`] gathers the facts. One file a family of rules, one [`Code`] a finding; all texts of a family
//! stand in its file, in the order object, evidence, cause, next step.
//! Start at [`findings`].

mod deletion;
mod facts;
mod finding;
mod image;
mod namespace;
mod pods;
mod running;
mod startup;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use facts::{Facts, Failures, Known, NamespaceState, NodeState, Probe, Unknown};
pub use finding::{Code, Finding, ObjectReference, Remedy, Severity};
pub use pods::{JOB_TRACKING, ended, ended_at};

use crate::error::Report;

/// What the facts show, most blocking first. Empty for a Job that is well.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    namespace::rules(facts, &mut found);
    deletion::rules(facts, &mut found);
    pods::rules(facts, &mut found);
    startup::rules(facts, &mut found);
    image::rules(facts, &mut found);
    running::rules(facts, &mut found);
    found.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.code));
    found
}

/// Adds the findings to an error: their evidence, in place of less of the same, the first one's next step as its hint,
/// and all of them as the fact `findings`.
#[must_use]
pub fn explain(mut report: Report, findings: &[Finding]) -> Report {
    for finding in findings {
        report.seen.retain(|seen| !finding.seen.iter().any(|evidence| evidence.contains(seen.as_str())));
        report = report.seen(format!("{}: {}", finding.code, finding.cause));
        report.seen.extend(finding.seen.iter().cloned());
    }
    if let Some(first) = findings.first() {
        report = report.hint(first.next_step.clone());
    }
    report.fact("findings", serde_json::to_value(findings).unwrap_or(Value::Null))
}

/// Whether a container that waits for this reason has a finding.
#[must_use]
pub fn covers(waiting_reason: &str) -> bool {
    waiting_reason == running::CRASH_LOOP || image::REASONS.contains(&waiting_reason)
}
