//! A person's order to delete Jobs: the JSON that Python hands over, and which Jobs it means. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::release::ReleaseRule;
use crate::{
    error::{Error, Report},
    identity::{self, JobName, NameField, Namespace, read_request, refused_as, trimmed, trimmed_option},
    model::{
        conditions::{self, JobEnd},
        observed_job::ObservedJob,
        policies::{Propagation, ReleasePolicy},
    },
};

/// Which Jobs are meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DeleteTarget {
    /// One Job by its name; with a uid only that very Job, never a namesake.
    Name {
        /// Its name.
        #[serde(deserialize_with = "trimmed")]
        name: JobName,
        /// Its uid.
        #[serde(default)]
        uid: Option<String>,
    },
    /// One Job by its uid alone. Costs a list of the namespace's Jobs: the API server has no selector by uid.
    Uid {
        /// Its uid.
        uid: String,
    },
    /// Jobs of ours that a person has seen in a list, each by its uid.
    Listed {
        /// Never empty.
        uids: Vec<String>,
    },
    /// All Jobs with these labels, in the syntax of `kubectl -l`.
    Selector {
        /// Never empty: that would mean all Jobs.
        labels: String,
    },
}

/// What ends the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// The Job is gone and its work has stopped.
    #[default]
    Gone,
    /// The API server has accepted the deletion, which proves nothing.
    Accepted,
}

/// A condition on the Job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlyIf {
    /// None.
    #[default]
    Any,
    /// It has ended, well or badly.
    Finished,
    /// It has ended well.
    Succeeded,
    /// It has ended badly.
    Failed,
}

/// An order to delete Jobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    /// Which Jobs.
    pub target: DeleteTarget,
    /// Where; else the configuration's namespace.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub namespace: Option<Namespace>,
    /// What ends the wait.
    #[serde(default)]
    pub wait_for: WaitFor,
    /// How long to wait for all of it, in seconds.
    #[serde(default = "five_minutes")]
    pub timeout_seconds: u32,
    /// Whether a Job that the garbage collector holds is freed.
    #[serde(default)]
    pub release_stuck: ReleasePolicy,
    /// After so many seconds without progress.
    #[serde(default = "one_minute")]
    pub release_after_seconds: u32,
    /// What becomes of the Pods.
    #[serde(default)]
    pub propagation_policy: Propagation,
    /// A condition on the Job's state.
    #[serde(default)]
    pub only_if: OnlyIf,
    /// Whether a selector also means Jobs that a task owns and has not dealt with.
    #[serde(default)]
    pub include_owned: bool,
}

fn five_minutes() -> u32 {
    300
}

fn one_minute() -> u32 {
    60
}

/// Why a Job is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// `only_if` asks for another state.
    NotInState(OnlyIf),
    /// A task owns it, and it has not ended.
    OwnedByTask(String),
    /// A task owns it, and has not recorded its outcome: a retry would use it.
    NotRecorded(String),
}

impl DeleteRequest {
    /// Reads an order.
    pub fn read(request: &Value) -> Result<Self, Error> {
        const WHAT: &str = "The order to delete Jobs cannot be used";
        let refused = |seen: &str| Err(Error::Configuration(Box::new(Report::new(WHAT).seen(seen))));
        let names: [NameField<'_>; 2] =
            [("/namespace", refused_as::<Namespace>), ("/target/name", refused_as::<JobName>)];
        let order: Self = read_request(request, WHAT, &names)?;
        let empty = match &order.target {
            DeleteTarget::Name { uid, .. } => uid.as_ref().is_some_and(|uid| uid.trim().is_empty()),
            DeleteTarget::Uid { uid } => uid.trim().is_empty(),
            DeleteTarget::Listed { uids } => uids.is_empty() || uids.iter().any(|uid| uid.trim().is_empty()),
            DeleteTarget::Selector { labels } => labels.trim().is_empty(),
        };
        if empty {
            return refused("it names no Job: give a name, a uid, or a label selector that is not empty");
        }
        if order.timeout_seconds == 0 {
            return refused("a timeout of 0 s leaves no time for a request");
        }
        Ok(order)
    }

    /// Why this Job is left alone; `None` where it is meant.
    #[must_use]
    pub fn skips(&self, job: &ObservedJob) -> Option<SkipReason> {
        let end = conditions::finished(&job.job);
        let in_state = match (self.only_if, &end) {
            (OnlyIf::Any, _)
            | (OnlyIf::Finished, Some(_))
            | (OnlyIf::Succeeded, Some(JobEnd::Succeeded))
            | (OnlyIf::Failed, Some(JobEnd::Failed { .. })) => true,
            (OnlyIf::Finished | OnlyIf::Succeeded | OnlyIf::Failed, _) => false,
        };
        if !in_state {
            return Some(SkipReason::NotInState(self.only_if));
        }
        let by_selector = self.means_many();
        match &job.attempt_metadata {
            Some(metadata) if by_selector && !self.include_owned && end.is_none() => {
                Some(SkipReason::OwnedByTask(identity::describe(metadata)))
            }
            Some(metadata) if by_selector && !self.include_owned && !metadata.acknowledged => {
                Some(SkipReason::NotRecorded(identity::describe(metadata)))
            }
            Some(_) | None => None,
        }
    }

    /// Whether what was seen of a Job decides that it is deleted, so that a change in between must be noticed.
    #[must_use]
    pub fn judges_state(&self) -> bool {
        self.only_if != OnlyIf::Any || (self.means_many() && !self.include_owned)
    }

    /// Whether nobody has named each Job.
    fn means_many(&self) -> bool {
        matches!(self.target, DeleteTarget::Selector { .. } | DeleteTarget::Listed { .. })
    }

    /// How long to wait for all of it.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    /// Which Jobs are freed. To free a Job whose Pods are to stay would have them collected.
    #[must_use]
    pub fn release(&self) -> ReleaseRule {
        match self.propagation_policy {
            Propagation::Orphan => ReleaseRule::NEVER,
            Propagation::Background | Propagation::Foreground => {
                let after = Duration::from_secs(self.release_after_seconds.into());
                ReleaseRule { policy: self.release_stuck, after }
            }
        }
    }
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInState(OnlyIf::Succeeded) => f.write_str("it has not succeeded"),
            Self::NotInState(OnlyIf::Failed) => f.write_str("it has not failed"),
            Self::NotInState(OnlyIf::Any | OnlyIf::Finished) => f.write_str("it has not finished"),
            Self::OwnedByTask(task) => write!(f, "a task owns it and it has not finished: {task}"),
            Self::NotRecorded(task) => write!(f, "a task owns it and has not recorded its outcome: {task}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn order(changes: &Value) -> DeleteRequest {
        let mut order = json!({"target": {"kind": "selector", "labels": "app=x"}});
        json_patch::merge(&mut order, changes);
        DeleteRequest::read(&order).unwrap()
    }

    fn job(condition: Option<&str>, ours: bool) -> ObservedJob {
        let conditions: Vec<_> = condition.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        let mut job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"},
            "status": {"conditions": conditions}});
        if ours {
            job["metadata"]["labels"] = json!({"unique-k8s-job/task": "t"});
            job["metadata"]["annotations"] = json!({"unique-k8s-job/attempt": "a", "unique-k8s-job/owner": "o",
                "unique-k8s-job/try-number": "1", "unique-k8s-job/dag-id": "etl", "unique-k8s-job/task-id": "train"});
        }
        ObservedJob::read(&job).unwrap()
    }

    #[test]
    fn time_without_end_is_refused_before_a_moment_is_made_of_it() {
        let with = |seconds: u64| json!({"target": {"kind": "uid", "uid": "u"}, "timeout_seconds": seconds});
        assert!(DeleteRequest::read(&with(u64::from(u32::MAX))).is_ok());
        let error = DeleteRequest::read(&with(u64::MAX)).unwrap_err().to_string();
        assert!(error.contains("`timeout_seconds`"), "{error}");
    }

    #[test]
    fn only_if_is_this_table() {
        let cases = [
            ("any", None, true),
            ("finished", None, false),
            ("finished", Some("Complete"), true),
            ("finished", Some("Failed"), true),
            ("finished", Some("FailureTarget"), false),
            ("succeeded", Some("Complete"), true),
            ("succeeded", Some("Failed"), false),
            ("failed", Some("Failed"), true),
            ("failed", Some("Complete"), false),
        ];
        for (only_if, condition, meant) in cases {
            let skip = order(&json!({"only_if": only_if})).skips(&job(condition, false));
            assert_eq!(skip.is_none(), meant, "{only_if}, {condition:?}: {skip:?}");
        }
    }

    #[test]
    fn selector_passes_over_the_unfinished_job_of_a_task_and_a_name_does_not() {
        let running = job(None, true);
        let by_name = json!({"target": {"kind": "name", "labels": null, "name": "train"}});
        let skip = order(&json!({})).skips(&running);
        assert!(matches!(&skip, Some(SkipReason::OwnedByTask(task)) if task.contains("etl.train")), "{skip:?}");
        assert_eq!(order(&json!({"include_owned": true})).skips(&running), None);
        let mut finished = job(Some("Complete"), true);
        assert!(matches!(order(&json!({})).skips(&finished), Some(SkipReason::NotRecorded(_))));
        finished.attempt_metadata.as_mut().unwrap().acknowledged = true;
        assert_eq!(order(&json!({})).skips(&finished), None);
        assert_eq!(order(&by_name).skips(&running), None);
        let listed = json!({"target": {"kind": "listed", "labels": null, "uids": ["u"]}});
        assert!(matches!(order(&listed).skips(&running), Some(SkipReason::OwnedByTask(_))));
    }

    #[test]
    fn order_that_names_no_job_is_refused() {
        for target in [
            json!({"kind": "selector", "labels": " "}),
            json!({"kind": "uid", "uid": ""}),
            json!({"kind": "listed", "uids": []}),
        ] {
            let refused = DeleteRequest::read(&json!({"target": target})).unwrap_err();
            assert!(refused.to_string().contains("it names no Job"), "{refused}");
        }
    }
}
