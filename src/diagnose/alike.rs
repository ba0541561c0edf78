//! Joins the same finding about many Pods of one Job into one finding about the Job: a lost node may have thousands of
//! Pods.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Severity};
use crate::model::observed_job::JobReference;

/// At most this many Pods are named as examples.
pub(crate) const EXAMPLES: usize = 5;
/// Stands for the Pod in the causes of findings that are compared; no name has it.
const THE_POD: &str = "\u{0}";

/// Joins findings about Pods that say the same, and more than [`EXAMPLES`] that only have the same code and severity.
///
/// `pods` is the number of Pods that have not ended.
pub(crate) fn together(job: &JobReference, pods: usize, found: Vec<Finding>) -> Vec<Finding> {
    let mut alike: BTreeMap<(Code, Severity), BTreeMap<String, Vec<Finding>>> = BTreeMap::new();
    let mut joined = Vec::new();
    for finding in found {
        if finding.object.kind == "Pod" {
            let words = finding.cause.replace(&finding.object.to_string(), THE_POD);
            let of_code = alike.entry((finding.code, finding.severity)).or_default();
            of_code.entry(words).or_default().push(finding);
        } else {
            joined.push(finding);
        }
    }
    for groups in alike.into_values() {
        if groups.len() > EXAMPLES {
            let all: Vec<_> = groups.into_values().flatten().collect();
            let (count, first) = (all.len(), all[0].cause.clone());
            let cause = format!("{first} (the same is true of {} more Pods of {job})", count - 1);
            joined.push(one(job, cause, all));
            continue;
        }
        for (words, mut group) in groups {
            if group.len() == 1 {
                joined.append(&mut group);
                continue;
            }
            let count = group.len();
            let who = if pods > count { format!("{count} of {pods} Pods") } else { format!("{count} Pods") };
            let whole = words.replacen(THE_POD, &format!("{who} of {job}"), 1).replace(THE_POD, "such a Pod");
            joined.push(one(job, whole, group));
        }
    }
    joined
}

/// Makes one finding of a group; the next step is that of the first.
fn one(job: &JobReference, cause: String, group: Vec<Finding>) -> Finding {
    let count = group.len();
    let since = group.iter().filter_map(|finding| finding.since).min();
    let names: Vec<_> = group.iter().take(EXAMPLES).map(|finding| format!("`{}`", finding.object.name)).collect();
    let more = count.checked_sub(EXAMPLES).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
    let running = group.iter().flat_map(|finding| finding.running.iter().cloned()).collect();
    let mut all = group.into_iter();
    let Some(first) = all.next() else { unreachable!("a group is not empty") };
    let mut joined = Finding::new(first.code, first.severity, job, cause)
        .seen(format!("the Pods: {}{more}", names.join(", ")))
        .seen_all(first.seen)
        .since(since);
    for evidence in all.take(EXAMPLES).flat_map(|finding| finding.seen) {
        if !joined.seen.contains(&evidence) && joined.seen.len() <= EXAMPLES {
            joined = joined.seen(evidence);
        }
    }
    joined.next_step = first.next_step;
    joined.last_resort = first.last_resort;
    joined.remedy = first.remedy;
    joined.running = running;
    joined.count = count;
    joined
}
