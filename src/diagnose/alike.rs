//! Joins the same finding about many Pods of one Job into one finding about the Job: a lost node may have thousands of
//! Pods.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Severity};
use crate::model::observed_job::JobReference;

/// Up to this many Pods have a finding each; if there are more, one finding names this many as examples.
pub(crate) const EXAMPLES: usize = 5;

/// Joins more than [`EXAMPLES`] findings about Pods that have the same code and severity.
pub(crate) fn together(job: &JobReference, found: Vec<Finding>) -> Vec<Finding> {
    let mut alike: BTreeMap<(Code, Severity), Vec<Finding>> = BTreeMap::new();
    let mut rest = Vec::new();
    for finding in found {
        if finding.object.kind == "Pod" {
            alike.entry((finding.code, finding.severity)).or_default().push(finding);
        } else {
            rest.push(finding);
        }
    }
    for group in alike.into_values() {
        if group.len() > EXAMPLES {
            rest.push(one(job, group));
        } else {
            rest.extend(group);
        }
    }
    rest
}

/// Makes one finding of a group: the cause and the next step are those of the first.
fn one(job: &JobReference, group: Vec<Finding>) -> Finding {
    let count = group.len();
    let since = group.iter().filter_map(|finding| finding.since).min();
    let names: Vec<_> = group.iter().take(EXAMPLES).map(|finding| format!("`{}`", finding.object.name)).collect();
    let running = group.iter().flat_map(|finding| finding.running.iter().cloned()).collect();
    let mut examples = group.into_iter().take(EXAMPLES);
    let Some(first) = examples.next() else { unreachable!("a group is not empty") };
    let cause = format!("The same is true of {count} Pods of {job}, such as {}: {}", names.join(", "), first.cause);
    let seen = first.seen.iter().cloned().chain(examples.map(|next| next.cause));
    let mut all = Finding::new(first.code, first.severity, job, cause).seen_all(seen).since(since);
    all.next_step = first.next_step;
    all.remedy = first.remedy;
    all.running = running;
    all.count = count;
    all
}
