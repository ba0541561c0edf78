//! Who has a Job deleted, and what follows from that: which Jobs are meant, and what becomes of their Pods. Pure.

use super::{
    pods::Ownership,
    request::{DeleteRequest, SkipReason, WaitFor},
};
use crate::{
    error::Error,
    identity::Owner,
    job_api::owner_patch::taken_over,
    model::{
        observed_job::ObservedJob,
        policies::{Propagation, ReleasePolicy},
    },
};

/// Who has a Job deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DeletedBy<'a> {
    /// An attempt: only what it owns, and its next try must not work beside what is left.
    Owner(&'a Owner),
    /// A person, whom no ownership binds, by an order that may mean many Jobs.
    Person(&'a DeleteRequest),
}

impl DeletedBy<'_> {
    /// Why this Job is left alone; `None` where it is meant. Fails where it belongs to another attempt.
    pub fn skips(self, job: &ObservedJob) -> Result<Option<SkipReason>, Error> {
        match (self, job.attempt_metadata.as_ref().map(|metadata| &metadata.owner)) {
            (Self::Person(order), _) => Ok(order.skips(job)),
            (Self::Owner(ours), Some(now)) if now == ours => Ok(None),
            (Self::Owner(_), Some(other)) => Err(taken_over(&job.reference, other)),
            (Self::Owner(_), None) => {
                Err(Error::internal(format!("{} has no owner and was left alone", job.reference)))
            }
        }
    }

    /// Whether what was seen of a Job decides that it is deleted, so that a change in between must be noticed.
    pub fn judges_state(self) -> bool {
        match self {
            Self::Owner(_) => true,
            Self::Person(order) => order.judges_state(),
        }
    }

    /// Whether a DELETE whose turn comes after the deadline is sent. An owner's limit is one of its confirmation.
    pub fn deletes_late(self) -> bool {
        matches!(self, Self::Owner(_))
    }

    /// What the garbage collector does with the Pods.
    pub fn propagation(self) -> Propagation {
        match self {
            Self::Owner(_) => Propagation::Background,
            Self::Person(order) => order.propagation_policy,
        }
    }

    /// What ends the wait.
    pub fn waits_for(self) -> WaitFor {
        match self {
            Self::Owner(_) => WaitFor::Gone,
            Self::Person(order) => order.wait_for,
        }
    }

    /// Who takes the Pods with the Job. `orphaned`: they lose their owner; `foreign`: a Job of others was found as somebody
    /// else deletes it.
    pub fn ownership(self, orphaned: bool, foreign: bool) -> Ownership {
        match self {
            Self::Owner(_) => Ownership::Owned,
            Self::Person(order) => match order.propagation_policy {
                Propagation::Orphan => Ownership::Kept,
                // Somebody else may have meant to keep them: only an explicit order is stronger.
                _ if orphaned && foreign && order.release_stuck != ReleasePolicy::Gc => Ownership::Kept,
                Propagation::Background | Propagation::Foreground if orphaned => Ownership::Orphaned,
                Propagation::Background | Propagation::Foreground => Ownership::Collected,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(owner: Option<&str>) -> ObservedJob {
        let mut job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}});
        if let Some(owner) = owner {
            job["metadata"]["labels"] = json!({"unique-k8s-job/task": "t"});
            job["metadata"]["annotations"] = json!({"unique-k8s-job/attempt": "a", "unique-k8s-job/owner": owner,
                "unique-k8s-job/try-number": "1", "unique-k8s-job/dag-id": "etl", "unique-k8s-job/task-id": "train"});
        }
        ObservedJob::read(&job).unwrap()
    }

    #[test]
    fn owner_deletes_what_it_owns_and_nothing_else() {
        let ours = job(Some("t/1/i")).attempt_metadata.unwrap().owner;
        let by = DeletedBy::Owner(&ours);
        assert_eq!(by.skips(&job(Some("t/1/i"))).unwrap(), None);
        assert!(matches!(by.skips(&job(Some("t/2/i"))), Err(Error::TakenOver(_))));
        assert!(matches!(by.skips(&job(None)), Err(Error::Internal(_))), "a Job of others is never an attempt's own");
        assert!(by.judges_state() && by.deletes_late() && by.waits_for() == WaitFor::Gone);
        assert_eq!((by.propagation(), by.ownership(true, true)), (Propagation::Background, Ownership::Owned));
    }

    #[test]
    fn what_becomes_of_the_pods_of_an_order_is_this_table() {
        use Ownership::{Collected, Kept, Orphaned};
        // The order, whether the Pods lose their owner, and whether somebody else deletes a Job of others.
        let cases = [
            (json!({}), false, false, Collected),
            (json!({}), true, false, Orphaned),
            (json!({}), true, true, Kept),
            (json!({"release_stuck": "gc"}), true, true, Orphaned),
            (json!({"propagation_policy": "Foreground"}), false, true, Collected),
            (json!({"propagation_policy": "Orphan", "release_stuck": "gc"}), true, false, Kept),
        ];
        for (changes, orphaned, foreign, expected) in cases {
            let mut order: Value = json!({"target": {"kind": "name", "name": "train"}});
            json_patch::merge(&mut order, &changes);
            let order = DeleteRequest::read(&order).unwrap();
            let by = DeletedBy::Person(&order);
            assert_eq!(by.ownership(orphaned, foreign), expected, "{changes} {orphaned} {foreign}");
        }
    }
}
