//! Finds the cause of a failed Job as one clause, from the Pod that decided the failure: the reason of the Job
//! controller seldom explains it. Pure.

use super::{pod_end::PodEnd, snapshot::JobSnapshot};

/// The cause of a failure with this reason; none if the Job controller's own words say it best, or if no Pod was seen.
pub(crate) fn failure_cause(snapshot: &JobSnapshot, reason: &str, pods: &[PodEnd]) -> Option<String> {
    match reason {
        "DeadlineExceeded" => Some(deadline(snapshot, pods)),
        // This crate gives this reason itself, and the message names the container.
        "LingeringSidecar" => None,
        _ => {
            let indexes = snapshot.job.job.status.as_ref().and_then(|status| status.failed_indexes.as_deref());
            decisive(pods).map(|end| of_pod(end, indexes.filter(|indexes| indexes.contains([',', '-']))))
        }
    }
}

/// `indexes` are those that have failed, if there are several, as Kubernetes writes them: `1,3-5`.
fn of_pod(end: &PodEnd, indexes: Option<&str>) -> String {
    match (&end.index, indexes) {
        (Some(index), Some(all)) => format!("indexes {all} failed, index {index} last: {}", end.words),
        (Some(index), None) => format!("index {index}: {}", end.words),
        (None, _) => end.words.clone(),
    }
}

/// The cause after a deadline. The Job controller ends all Pods then, so their ends explain nothing; only the fact that
/// they never began does.
fn deadline(snapshot: &JobSnapshot, pods: &[PodEnd]) -> String {
    let limit = snapshot.job.job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    let limit =
        limit.map_or_else(|| "activeDeadlineSeconds".to_owned(), |limit| format!("{limit} s (activeDeadlineSeconds)"));
    let unstarted = pods.last().filter(|_| !snapshot.started());
    // Without a Pod it is not known whether one has started: the Job controller deletes them at the deadline.
    unstarted.map_or_else(
        || format!("it had not ended after {limit}"),
        |end| format!("it did not start in {limit}: {}", end.words),
    )
}

/// The Pod that ended last. Once a Job has failed, its controller deletes the Pods that still work, so these count only
/// if there is no other.
fn decisive(pods: &[PodEnd]) -> Option<&PodEnd> {
    let (deleted, failed): (Vec<&PodEnd>, Vec<&PodEnd>) = pods.iter().partition(|end| end.only_deleted);
    let candidates = if failed.is_empty() { deleted } else { failed };
    candidates.into_iter().max_by_key(|end| end.at)
}
