//! Explains why a Job does not move or is not deleted: it turns facts into findings. It also lists Jobs ([`job_list`])
//! and says what became of one ([`job_report`]). Nothing here writes; the time is a fact, too.
//!
//! Promise: the same facts give the same findings, most blocking first. A healthy Job has no finding. A failed read is
//! never taken for an answer, and a cause that is not sure says so. [`collect`] gathers the facts about one Job,
//! [`survey`] those about a cluster; `dry_run` asks the API server what it would answer to a write. `rules` has one
//! file for each family of ways to be stuck. Each finding has one [`Code`], and its text names object, evidence, cause
//! and next step. [`rights`] reads what an identity may do. Start at [`findings`].

mod alike;
pub mod cluster_node;
mod facts;
mod finding;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use cluster_node::ClusterNode;
pub use facts::{Facts, Failures, Known, LastLine, NamespaceState, NodeState, Probe, QueueFacts, Unknown};
pub use finding::{Code, Finding, ObjectReference, Remedy, Severity};
pub use rules::namespace::of_namespace;

use crate::{
    error::Report,
    model::{
        message::{Level, Message},
        pod::work_has_stopped,
    },
};
use rules::{deletion, image, namespace, pods, restarts, running, startup};

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
    let living = facts.pods().filter(|pod| !work_has_stopped(pod)).count();
    let mut found = alike::together(&facts.reference, living, found);
    found.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.code));
    found
}

/// Adds the findings to an error: their evidence, in place of less of the same, the first one's next step as its hint,
/// and all of them as the fact `findings`.
#[must_use]
pub fn explain(mut report: Report, findings: &[Finding]) -> Report {
    for finding in findings {
        report.seen.retain(|seen| !finding.seen.iter().any(|evidence| evidence.contains(seen.as_str())));
        if !report.message.contains(&finding.cause) {
            report = report.seen(format!("{}: {}", finding.code, finding.cause));
        }
        report.seen.extend(finding.seen.iter().cloned());
    }
    if let Some(first) = findings.first() {
        report = report.hint(first.next_step.clone());
    }
    report.fact("findings", serde_json::to_value(findings).unwrap_or(Value::Null))
}

/// The message about a finding, for the task log.
#[must_use]
pub fn message(finding: &Finding) -> Message {
    let level = match finding.severity {
        Severity::Info => Level::Info,
        Severity::Warning | Severity::Blocking => Level::Warning,
    };
    Message::of_lines(level, finding.code.name(), finding.to_string())
}

/// Whether a container that waits for this reason has a finding.
#[must_use]
pub fn covers(waiting_reason: &str) -> bool {
    waiting_reason == restarts::CRASH_LOOP || image::REASONS.contains(&waiting_reason)
}
pub mod collect;
pub(crate) mod dry_run;
pub mod job_list;
pub mod job_report;
pub mod rights;
pub mod rules;
pub mod survey;
