//! What a Job means that has the fixed name a user wants. Pure: a table and its tests.
//!
//! A fixed name is the same for all tries and runs of a task, so the Job that has it may be a predecessor's. Whose it
//! is, its annotations say: deployment, dag, task and map index make it one of this task, the run and the try which.
//! What is not provably of this task is never touched. Where this Airflow cannot be told from others, nothing is
//! provably ours but what this very try has made.
//! What it costs, compared with names that no other try ever has: a success that a dead worker of another run has left
//! unacknowledged is deleted with its Job, so that run's retry does the work again; and a Job that somebody else made
//! stops the task.

use super::decide::{self, NameConflict};
use crate::{
    identity::{Attempt, AttemptMetadata, Owner},
    model::{conditions, observed_job::ObservedJob},
};

/// What to do about the Job that has the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameHolder {
    /// It is ours: our reply was lost, or this try was started twice. Follow it to its end.
    Ours,
    /// It is one of an earlier try of this task instance: [`decide::earlier`] judges it first.
    Earlier,
    /// A later try owns it: stop.
    Superseded(Owner),
    /// It is over and dealt with: delete it, confirmed.
    Delete,
    /// It is over, but its try may still read the log: give it time to acknowledge, then delete it.
    AwaitAcknowledgement,
    /// It is another run's and works: wait for its end.
    AwaitEnd,
    /// It is on its way out: wait until it is gone.
    AwaitGone {
        /// Whether it is one of this task: then it may be freed where it is stuck.
        ours: bool,
    },
    /// It is not ours: never touch it.
    Foreign,
}

/// Judges the Job that has our fixed name. `lookup`: whether this Airflow can be told from others.
#[must_use]
pub fn name_holder(ours: &Attempt, lookup: bool, job: &ObservedJob) -> NameHolder {
    let terminating = job.deletion_timestamp().is_some();
    let foreign = if terminating { NameHolder::AwaitGone { ours: false } } else { NameHolder::Foreign };
    let Some(metadata) = &job.attempt_metadata else { return foreign };
    match decide::found(ours, job) {
        NameConflict::Ours => return NameHolder::Ours,
        NameConflict::TakenOver(owner) => return NameHolder::Superseded(owner),
        NameConflict::UsedUp if !terminating => return NameHolder::Delete,
        NameConflict::UsedUp | NameConflict::AwaitPods => return NameHolder::AwaitGone { ours: true },
        NameConflict::Foreign if !lookup || !same_task(ours, metadata) => return foreign,
        NameConflict::Foreign => {}
    }
    if metadata.task_digest == ours.task.digest() {
        if metadata.try_number > ours.try_number || metadata.owner.try_number() > Some(ours.try_number) {
            return NameHolder::Superseded(metadata.owner.clone());
        }
        if metadata.try_number < ours.try_number {
            return NameHolder::Earlier;
        }
    }
    match (terminating, conditions::finished(&job.job).is_some()) {
        (true, _) => NameHolder::AwaitGone { ours: true },
        (false, _) if job.acknowledged() => NameHolder::Delete,
        (false, true) => NameHolder::AwaitAcknowledgement,
        (false, false) => NameHolder::AwaitEnd,
    }
}

/// Judges what is left of an earlier try's Job once [`decide::earlier`] found nothing to go on with.
#[must_use]
pub fn left_behind(job: &ObservedJob) -> NameHolder {
    if job.deletion_timestamp().is_some() { NameHolder::AwaitGone { ours: true } } else { NameHolder::Delete }
}

/// Whether the Job is one of the same task, in whatever run and try.
fn same_task(ours: &Attempt, metadata: &AttemptMetadata) -> bool {
    let ours = &ours.task;
    metadata.task.as_ref().is_some_and(|theirs| {
        (&theirs.deployment, &theirs.dag_id, &theirs.task_id, theirs.map_index)
            == (&ours.deployment, &ours.dag_id, &ours.task_id, ours.map_index)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::{ACKNOWLEDGED, OWNER, TaskIdentity, annotations, labels, manifest_digest::ManifestDigest};

    fn attempt(run_id: &str, try_number: u32) -> Attempt {
        let task = TaskIdentity {
            deployment: "prod".into(),
            dag_id: "etl".into(),
            run_id: run_id.into(),
            task_id: "train".into(),
            map_index: -1,
        };
        let instance = format!("{run_id} {try_number}");
        Attempt { task, try_number, instance, max_tries: Some(3), retries: Some(3), clear_number: Some(0) }
    }

    fn made_by(maker: &Attempt) -> Value {
        let annotations = annotations(maker, &ManifestDigest::read("m"));
        json!({"metadata": {"namespace": "etl", "name": "nightly", "uid": "u", "labels": labels(maker),
            "annotations": annotations}, "spec": {"template": {}}})
    }

    fn finished(mut job: Value) -> Value {
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        job
    }

    fn acknowledged(mut job: Value) -> Value {
        job["metadata"]["labels"][ACKNOWLEDGED] = json!("true");
        job
    }

    fn leaving(mut job: Value) -> Value {
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        job["metadata"]["finalizers"] = json!(["orphan"]);
        job
    }

    fn owned_by(owner: &Attempt, mut job: Value) -> Value {
        job["metadata"]["annotations"][OWNER] = json!(owner.owner().to_string());
        job
    }

    fn changed(change: impl Fn(&mut Attempt)) -> Value {
        let mut maker = attempt("yesterday", 1);
        change(&mut maker);
        finished(acknowledged(made_by(&maker)))
    }

    #[test]
    fn job_that_has_the_fixed_name_is_judged_by_this_table() {
        use NameHolder::{AwaitAcknowledgement, AwaitEnd, AwaitGone, Delete, Earlier, Foreign, Ours, Superseded};
        let ours = attempt("today", 2);
        let (first, third, other) = (attempt("today", 1), attempt("today", 3), attempt("yesterday", 1));
        let mut twin = ours.clone();
        twin.instance = "of a run that was deleted and made again".into();
        let stranger =
            json!({"metadata": {"namespace": "etl", "name": "nightly", "uid": "u"}, "spec": {"template": {}}});
        let cases = [
            ("made by this try", made_by(&ours), Ours),
            ("finished, its outcome unsaid", finished(made_by(&ours)), Ours),
            ("finished and dealt with", acknowledged(finished(made_by(&ours))), Delete),
            ("dealt with, on its way out", leaving(acknowledged(finished(made_by(&ours)))), AwaitGone { ours: true }),
            ("ours, deleted by somebody while it ran", leaving(made_by(&ours)), AwaitGone { ours: true }),
            ("taken over by a later try", owned_by(&third, made_by(&ours)), Superseded(third.owner())),
            ("of an earlier try", made_by(&first), Earlier),
            ("of an earlier try, on its way out", leaving(made_by(&first)), Earlier),
            (
                "of an earlier try, taken over by a later one",
                owned_by(&third, made_by(&first)),
                Superseded(third.owner()),
            ),
            ("of a later try", made_by(&third), Superseded(third.owner())),
            ("of another run, at work", made_by(&other), AwaitEnd),
            ("of another run, finished just now", finished(made_by(&other)), AwaitAcknowledgement),
            ("of another run, finished", acknowledged(finished(made_by(&other))), Delete),
            ("of another run, acknowledged while a sidecar runs", acknowledged(made_by(&other)), Delete),
            ("of another run, on its way out", leaving(made_by(&other)), AwaitGone { ours: true }),
            ("of the same try of a deleted run", made_by(&twin), AwaitEnd),
            ("of another deployment", changed(|other| other.task.deployment = "staging".into()), Foreign),
            ("of another dag", changed(|other| other.task.dag_id = "elt".into()), Foreign),
            ("of another task", changed(|other| other.task.task_id = "test".into()), Foreign),
            ("of another mapped instance", changed(|other| other.task.map_index = 1), Foreign),
            ("of nobody we know", finished(stranger.clone()), Foreign),
            ("of nobody we know, on its way out", leaving(stranger), AwaitGone { ours: false }),
        ];
        for (name, job, expected) in cases {
            assert_eq!(name_holder(&ours, true, &ObservedJob::read(&job).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn airflow_that_cannot_be_told_from_others_knows_only_what_this_try_has_made() {
        let ours = attempt("today", 2);
        let judge = |job: Value| name_holder(&ours, false, &ObservedJob::read(&job).unwrap());
        assert_eq!(judge(made_by(&ours)), NameHolder::Ours);
        assert_eq!(judge(made_by(&attempt("today", 1))), NameHolder::Foreign);
        assert_eq!(judge(finished(made_by(&attempt("yesterday", 1)))), NameHolder::Foreign);
        assert_eq!(judge(leaving(made_by(&attempt("yesterday", 1)))), NameHolder::AwaitGone { ours: false });
    }

    #[test]
    fn what_an_earlier_try_left_behind_is_deleted_or_waited_for() {
        let job = made_by(&attempt("today", 1));
        assert_eq!(left_behind(&ObservedJob::read(&finished(job.clone())).unwrap()), NameHolder::Delete);
        assert_eq!(left_behind(&ObservedJob::read(&leaving(job)).unwrap()), NameHolder::AwaitGone { ours: true });
    }
}
