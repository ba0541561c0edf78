//! What a Job that was found means to an attempt. Pure: two tables and their tests.

use super::{
    order::Policy,
    outcome::{self, End},
    seen::SeenJob,
};
use crate::identity::{Attempt, Owner, Relation};

/// What to do about a Job that has the name we wanted to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is ours: our reply was lost, or this try was started twice. Follow it to its end.
    Ours,
    /// It was ours and has been dealt with: take the next name.
    UsedUp,
    /// It was ours and is being deleted, its work may still run: wait for its Pods, then take the next name.
    Leaving,
    /// It was ours, and another try has taken it over: stop.
    TakenOver(Owner),
    /// It is not ours: never touch it.
    Foreign,
}

/// Judges the Job that has our name.
#[must_use]
pub fn found(ours: &Attempt, job: &SeenJob) -> Found {
    let Some(marks) = job.marks.as_ref().filter(|marks| marks.attempt_digest == ours.digest()) else {
        return Found::Foreign;
    };
    if marks.owner != ours.owner() {
        return Found::TakenOver(marks.owner.clone());
    }
    let terminating = job.deletion_timestamp().is_some();
    match (terminating, job.acknowledged()) {
        (false, true) if outcome::finished(&job.job).is_some() => Found::UsedUp,
        (true, true) => Found::UsedUp,
        (false, _) => Found::Ours,
        (true, false) if outcome::decided(&job.job).is_some() => Found::Ours,
        (true, false) => Found::Leaving,
    }
}

/// What to do about the Job of an earlier try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// It still runs and is what we want: become its owner and follow it.
    TakeOver,
    /// It succeeded and nobody has said so: become its owner, its outcome is ours.
    UseOutcome,
    /// It must not go on: become its owner, delete it, see its Pods end.
    Discard,
    /// It is being deleted and its work may still run: see its Pods end.
    Leaving,
    /// It is over and dealt with.
    Leave,
}

/// What is known of an earlier try's Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one column of the table")]
pub struct Traits {
    /// Whether the user cleared the task since.
    pub relation: Relation,
    /// Whether it was made from the same manifest.
    pub same_manifest: bool,
    /// Whether an outcome is decided.
    pub end: Ending,
    /// Whether its try reached its verdict.
    pub acknowledged: bool,
    /// Whether its deletion was accepted.
    pub terminating: bool,
    /// Whether its owner annotation may be written.
    pub may_patch: bool,
}

/// An end as far as this table cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It runs.
    Open,
    /// It is decided and good.
    Good,
    /// It is decided and bad.
    Bad,
}

impl Ending {
    /// Of a Job.
    #[must_use]
    pub fn of(job: &SeenJob) -> Self {
        match outcome::decided(&job.job) {
            None => Self::Open,
            Some(End::Succeeded) => Self::Good,
            Some(End::Failed { .. }) => Self::Bad,
        }
    }
}

/// Judges the Job of an earlier try.
#[must_use]
pub fn earlier(policy: Policy, traits: Traits) -> Earlier {
    use Ending::{Bad, Good, Open};
    let usable =
        policy == Policy::Reattach && traits.relation == Relation::Retried && traits.same_manifest && traits.may_patch;
    match (traits.end, traits.terminating) {
        _ if traits.acknowledged => Earlier::Leave,
        (Good, _) if usable => Earlier::UseOutcome,
        (Open, true) => Earlier::Leaving,
        (Open, false) if usable => Earlier::TakeOver,
        (Open, false) => Earlier::Discard,
        // A cleared task's outcome must not be found by a later retry.
        (Good | Bad, false) if traits.relation == Relation::Cleared => Earlier::Discard,
        (Good | Bad, _) => Earlier::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Traits = Traits {
        relation: Relation::Retried,
        same_manifest: true,
        end: Ending::Open,
        acknowledged: false,
        terminating: false,
        may_patch: true,
    };

    #[test]
    fn earlier_jobs_are_judged_by_this_table() {
        use Policy::{Reattach, Replace};
        let good = Traits { end: Ending::Good, ..RUNNING };
        let bad = Traits { end: Ending::Bad, ..RUNNING };
        let cleared = |traits: Traits| Traits { relation: Relation::Cleared, ..traits };
        let changed = |traits: Traits| Traits { same_manifest: false, ..traits };
        let done = |traits: Traits| Traits { acknowledged: true, ..traits };
        let leaving = |traits: Traits| Traits { terminating: true, ..traits };
        let unpatchable = |traits: Traits| Traits { may_patch: false, ..traits };
        let cases = [
            ("a retry takes over what runs", Reattach, RUNNING, Earlier::TakeOver),
            ("a retry uses an unacknowledged success", Reattach, good, Earlier::UseOutcome),
            ("a retry leaves a failure", Reattach, bad, Earlier::Leave),
            ("a retry leaves what was acknowledged", Reattach, done(good), Earlier::Leave),
            ("a changed manifest discards what runs", Reattach, changed(RUNNING), Earlier::Discard),
            ("a changed manifest uses no outcome", Reattach, changed(good), Earlier::Leave),
            ("a retry uses a success that is being deleted", Reattach, leaving(good), Earlier::UseOutcome),
            ("a retry waits for what is being deleted", Reattach, leaving(RUNNING), Earlier::Leaving),
            ("a clear discards what runs", Reattach, cleared(RUNNING), Earlier::Discard),
            ("a clear discards an unacknowledged success", Reattach, cleared(good), Earlier::Discard),
            ("a clear discards an unacknowledged failure", Reattach, cleared(bad), Earlier::Discard),
            ("a clear leaves what was acknowledged", Reattach, done(cleared(good)), Earlier::Leave),
            ("a clear waits for what is being deleted", Reattach, cleared(leaving(RUNNING)), Earlier::Leaving),
            ("replace discards what runs", Replace, RUNNING, Earlier::Discard),
            ("replace uses no outcome", Replace, good, Earlier::Leave),
            ("without patch what runs is discarded", Reattach, unpatchable(RUNNING), Earlier::Discard),
            ("without patch no outcome is used", Reattach, unpatchable(good), Earlier::Leave),
        ];
        for (name, policy, traits, expected) in cases {
            assert_eq!(earlier(policy, traits), expected, "{name}");
        }
    }
}
