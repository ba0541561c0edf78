//! What a Job that was found means to an attempt. Pure: two tables and their tests.

use crate::{
    identity::{Attempt, Owner, Relation},
    model::{
        conditions::{self, JobEnd},
        observed_job::ObservedJob,
        policies::PredecessorPolicy,
    },
};

/// What to do about a Job that has the name we wanted to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameConflict {
    /// It is ours: our reply was lost, or this try was started twice. Follow it to its end.
    Ours,
    /// It was ours and has been dealt with: take the next name.
    UsedUp,
    /// It was ours and is being deleted, its work may still run: wait for its Pods, then take the next name.
    AwaitPods,
    /// It was ours, and another try has taken it over: stop.
    TakenOver(Owner),
    /// It is not ours: never touch it.
    Foreign,
}

/// Judges the Job that has our name.
#[must_use]
pub fn found(ours: &Attempt, job: &ObservedJob) -> NameConflict {
    let Some(metadata) = job.attempt_metadata.as_ref().filter(|metadata| metadata.attempt_digest == ours.digest())
    else {
        return NameConflict::Foreign;
    };
    if metadata.owner != ours.owner() {
        return NameConflict::TakenOver(metadata.owner.clone());
    }
    let terminating = job.deletion_timestamp().is_some();
    match (terminating, job.acknowledged()) {
        (false, true) if conditions::finished(&job.job).is_some() => NameConflict::UsedUp,
        (true, true) => NameConflict::UsedUp,
        (false, _) => NameConflict::Ours,
        (true, false) if conditions::decided(&job.job).is_some() => NameConflict::Ours,
        (true, false) => NameConflict::AwaitPods,
    }
}

/// What to do about the Job of an earlier try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredecessorAction {
    /// It still runs and is what we want: become its owner and follow it.
    TakeOver,
    /// It succeeded and nobody has said so: become its owner, its outcome is ours.
    UseOutcome,
    /// It must not go on: become its owner, delete it, see its Pods end.
    Discard,
    /// It is being deleted and its work may still run: see its Pods end.
    AwaitPods,
    /// It is over and dealt with: it stays as it is.
    Keep,
}

/// What is known of an earlier try's Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one column of the table")]
pub struct PredecessorFacts {
    /// Whether the user cleared the task since.
    pub relation: Relation,
    /// Whether it was made from the same manifest.
    pub same_manifest: bool,
    /// Whether an outcome is decided.
    pub end: PredecessorEnd,
    /// Whether its try reached its verdict.
    pub acknowledged: bool,
    /// Whether its deletion was accepted.
    pub terminating: bool,
    /// Whether its owner annotation may be written.
    pub may_patch: bool,
}

/// An end as far as this table cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredecessorEnd {
    /// It runs.
    Open,
    /// It is decided and good.
    Good,
    /// It is decided and bad.
    Bad,
}

impl PredecessorEnd {
    /// Of a Job.
    #[must_use]
    pub fn of(job: &ObservedJob) -> Self {
        match conditions::decided(&job.job) {
            None => Self::Open,
            Some(JobEnd::Succeeded) => Self::Good,
            Some(JobEnd::Failed { .. }) => Self::Bad,
        }
    }
}

/// Judges the Job of an earlier try.
#[must_use]
pub fn earlier(policy: PredecessorPolicy, traits: PredecessorFacts) -> PredecessorAction {
    use PredecessorEnd::{Bad, Good, Open};
    let usable = policy == PredecessorPolicy::Reattach
        && traits.relation == Relation::Retried
        && traits.same_manifest
        && traits.may_patch;
    match (traits.end, traits.terminating) {
        _ if traits.acknowledged => PredecessorAction::Keep,
        (Good, _) if usable => PredecessorAction::UseOutcome,
        (Open, true) => PredecessorAction::AwaitPods,
        (Open, false) if usable => PredecessorAction::TakeOver,
        (Open, false) => PredecessorAction::Discard,
        // A cleared task's outcome must not be found by a later retry.
        (Good | Bad, false) if traits.relation == Relation::Cleared => PredecessorAction::Discard,
        (Good | Bad, _) => PredecessorAction::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: PredecessorFacts = PredecessorFacts {
        relation: Relation::Retried,
        same_manifest: true,
        end: PredecessorEnd::Open,
        acknowledged: false,
        terminating: false,
        may_patch: true,
    };

    #[test]
    fn earlier_jobs_are_judged_by_this_table() {
        use PredecessorPolicy::{Reattach, Replace};
        let good = PredecessorFacts { end: PredecessorEnd::Good, ..RUNNING };
        let bad = PredecessorFacts { end: PredecessorEnd::Bad, ..RUNNING };
        let cleared = |traits: PredecessorFacts| PredecessorFacts { relation: Relation::Cleared, ..traits };
        let changed = |traits: PredecessorFacts| PredecessorFacts { same_manifest: false, ..traits };
        let done = |traits: PredecessorFacts| PredecessorFacts { acknowledged: true, ..traits };
        let leaving = |traits: PredecessorFacts| PredecessorFacts { terminating: true, ..traits };
        let unpatchable = |traits: PredecessorFacts| PredecessorFacts { may_patch: false, ..traits };
        let cases = [
            ("a retry takes over what runs", Reattach, RUNNING, PredecessorAction::TakeOver),
            ("a retry uses an unacknowledged success", Reattach, good, PredecessorAction::UseOutcome),
            ("a retry leaves a failure", Reattach, bad, PredecessorAction::Keep),
            ("a retry leaves what was acknowledged", Reattach, done(good), PredecessorAction::Keep),
            ("a changed manifest discards what runs", Reattach, changed(RUNNING), PredecessorAction::Discard),
            ("a changed manifest uses no outcome", Reattach, changed(good), PredecessorAction::Keep),
            ("a retry uses a success that is being deleted", Reattach, leaving(good), PredecessorAction::UseOutcome),
            ("a retry waits for what is being deleted", Reattach, leaving(RUNNING), PredecessorAction::AwaitPods),
            ("a clear discards what runs", Reattach, cleared(RUNNING), PredecessorAction::Discard),
            ("a clear discards an unacknowledged success", Reattach, cleared(good), PredecessorAction::Discard),
            ("a clear discards an unacknowledged failure", Reattach, cleared(bad), PredecessorAction::Discard),
            ("a clear leaves what was acknowledged", Reattach, done(cleared(good)), PredecessorAction::Keep),
            (
                "a clear waits for what is being deleted",
                Reattach,
                cleared(leaving(RUNNING)),
                PredecessorAction::AwaitPods,
            ),
            ("replace discards what runs", Replace, RUNNING, PredecessorAction::Discard),
            ("replace uses no outcome", Replace, good, PredecessorAction::Keep),
            ("without patch what runs is discarded", Reattach, unpatchable(RUNNING), PredecessorAction::Discard),
            ("without patch no outcome is used", Reattach, unpatchable(good), PredecessorAction::Keep),
        ];
        for (name, policy, traits, expected) in cases {
            assert_eq!(earlier(policy, traits), expected, "{name}");
        }
    }
}
