//! Says in one word what a Job is at, and since when. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    conditions::{JobEnd, ended_at, finished},
    job::Job,
    pod::time,
};

/// What a Job is at. The words are those of `list --state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It was deleted and is still there.
    Deleting,
    /// It has ended well.
    Succeeded,
    /// It has ended badly.
    Failed,
    /// It makes no Pod until somebody resumes it.
    Suspended,
    /// A Pod of it is ready: its containers run.
    Running,
    /// None is, so far or just now.
    Pending,
}

impl JobState {
    /// Reads the state from the Job alone.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        if job.metadata.deletion_timestamp.is_some() {
            return Self::Deleting;
        }
        match finished(job) {
            Some(JobEnd::Succeeded) => return Self::Succeeded,
            Some(JobEnd::Failed { .. }) => return Self::Failed,
            None => {}
        }
        if job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
            return Self::Suspended;
        }
        let ready = job.status.as_ref().and_then(|status| status.ready).unwrap_or(0);
        if ready > 0 { Self::Running } else { Self::Pending }
    }

    /// Since when, as far as the Job shows it.
    #[must_use]
    pub fn since(self, job: &Job) -> Option<Timestamp> {
        let status = job.status.as_ref();
        let created = || time(job.metadata.creation_timestamp.as_ref());
        match self {
            Self::Deleting => time(job.metadata.deletion_timestamp.as_ref()),
            Self::Succeeded | Self::Failed => ended_at(job),
            Self::Suspended => status
                .and_then(|status| {
                    let conditions = status.conditions.as_ref()?;
                    let suspended = conditions.iter().find(|c| c.type_ == "Suspended" && c.status == "True")?;
                    time(suspended.last_transition_time.as_ref())
                })
                .or_else(created),
            Self::Running | Self::Pending => {
                status.and_then(|status| time(status.start_time.as_ref())).or_else(created)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn state_and_its_time_are_this_table() {
        let (made, started) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let ended = |kind: &str| {
            json!({"startTime": started, "conditions": [{"type": kind, "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:09Z"}]})
        };
        let cases: &[(Value, JobState, &str)] = &[
            (json!({}), JobState::Pending, made),
            (json!({"status": {"startTime": started, "active": 1, "ready": 0}}), JobState::Pending, started),
            (json!({"status": {"startTime": started, "active": 1, "ready": 1}}), JobState::Running, started),
            (json!({"status": ended("Complete")}), JobState::Succeeded, "2026-01-01T00:00:09Z"),
            (json!({"status": ended("Failed")}), JobState::Failed, "2026-01-01T00:00:09Z"),
            // Its Pods may still run.
            (json!({"status": ended("FailureTarget")}), JobState::Pending, started),
            (
                json!({"spec": {"suspend": true}, "status": ended("Suspended")}),
                JobState::Suspended,
                "2026-01-01T00:00:09Z",
            ),
            (json!({"spec": {"suspend": true}}), JobState::Suspended, made),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:01:00Z"}, "status": ended("Failed")}),
                JobState::Deleting,
                "2026-01-01T00:01:00Z",
            ),
        ];
        for (changes, state, since) in cases {
            let mut job = json!({"metadata": {"creationTimestamp": made}, "spec": {"template": {}}});
            json_patch::merge(&mut job, changes);
            let job: Job = serde_json::from_value(job).unwrap();
            let seen = JobState::of(&job);
            assert_eq!((seen, seen.since(&job)), (*state, Some(since.parse().unwrap())), "{changes}");
        }
    }
}
