//! Describes which Job is followed, for whom, and how far its log was delivered: all that a follower knows apart from
//! what it sees in the cluster.
//!
//! It also travels from the worker to the triggerer and back, as one JSON object. Unknown keys are ignored and missing
//! keys have defaults, so that a task that was deferred by another version can be resumed. It holds no secret and no
//! manifest.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{Span, debug_span};

use super::{
    log_positions::SourcePosition,
    observed_job::JobReference,
    policies::{CleanUp, Finish, LogFormat, LogSources, OnLingeringSidecar, ResultSource, Until},
};
use crate::{
    error::{Error, Report},
    identity::{AttemptDigest, Owner, TaskDigest},
    unreadable,
};

/// A Job to follow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handoff {
    /// The Job.
    pub job: JobReference,
    /// The attempt that follows its own Job; none for a Job made by others, to which nothing is ever written.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// The task of that attempt.
    #[serde(default)]
    pub task: Option<TaskDigest>,
    /// The data by which the attempt recognizes late Jobs of earlier tries, which it ends; none if it does not look for
    /// them.
    #[serde(default)]
    pub attempt: Option<AttemptDigest>,
    /// The event that ends the following.
    #[serde(default)]
    pub until: Until,
    /// Whether to read the logs.
    #[serde(default = "yes")]
    pub get_logs: bool,
    /// Of which containers.
    #[serde(default)]
    pub container_logs: LogSources,
    /// Of which init containers.
    #[serde(default)]
    pub init_container_logs: LogSources,
    /// How the lines of the containers look.
    #[serde(default)]
    pub log_format: LogFormat,
    /// How long the Job may take to start, in seconds; none for no limit.
    #[serde(default)]
    pub startup_timeout_seconds: Option<u32>,
    /// How long the init containers of a Pod may run, in seconds; none for no limit.
    #[serde(default)]
    pub init_timeout_seconds: Option<u32>,
    /// How long the Job may wait in a queue of Kueue, in seconds; none for no limit.
    #[serde(default)]
    pub queue_timeout_seconds: Option<u32>,
    /// How long to wait for the Pods of a Job that is being deleted, in seconds.
    #[serde(default = "one_minute")]
    pub handover_timeout_seconds: u32,
    /// What to do if a sidecar keeps a Pod running.
    #[serde(default)]
    pub on_lingering_sidecar: OnLingeringSidecar,
    /// Where the result of the Job is read from; none if nobody asked for it.
    #[serde(default)]
    pub result: Option<ResultSource>,
    /// The steps after the verdict.
    #[serde(default)]
    pub clean_up: CleanUp,
    /// How the Job ended, once that is known.
    #[serde(default)]
    pub finish: Option<Finish>,
    /// How far its logs were delivered.
    #[serde(default)]
    pub positions: Vec<SourcePosition>,
}

fn yes() -> bool {
    true
}

fn one_minute() -> u32 {
    60
}

impl Handoff {
    /// Reads the JSON text that [`Handoff::write`] made, in whatever version.
    pub fn read(text: &str) -> Result<Self, Error> {
        unreadable::from_json(text.as_bytes()).map_err(|error| {
            Error::Internal(Box::new(
                Report::new("What was handed over about a deferred Job cannot be read")
                    .seen(error.to_string())
                    .hint("clear the task: it was deferred by a version that this one does not understand"),
            ))
        })
    }

    /// Writes it as JSON text.
    pub fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// The span with which all lines of the debug log about this Job begin.
    #[must_use]
    pub fn span(&self) -> Span {
        let JobReference { namespace, name, uid } = &self.job;
        debug_span!("job", %namespace, %name, uid = %uid.escape_debug())
    }

    /// How long the Job may take to start.
    #[must_use]
    pub fn startup_timeout(&self) -> Option<Duration> {
        self.startup_timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long the init containers of a Pod may run.
    #[must_use]
    pub fn init_timeout(&self) -> Option<Duration> {
        self.init_timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long the Job may wait in a queue of Kueue.
    #[must_use]
    pub fn queue_timeout(&self) -> Option<Duration> {
        self.queue_timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long to wait for the Pods of a Job that is being deleted.
    #[must_use]
    pub fn handover_timeout(&self) -> Duration {
        Duration::from_secs(self.handover_timeout_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_of_another_version_is_read_with_its_unknown_keys_and_without_the_missing_ones() {
        let text = r#"{"version": 9, "job": {"namespace": "etl", "name": "train", "uid": "u", "zone": 1}, "new": []}"#;
        let handoff = Handoff::read(text).unwrap();
        assert_eq!((handoff.owner, handoff.get_logs, handoff.until), (None, true, Until::Finished));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"{"job": {"namespace": "etl", "name": "train", "uid": "u"}, "owner": "t/1/i", "until": "gone"}"#;
        let written = Handoff::read(text).unwrap().write().unwrap();
        let read = Handoff::read(&written).unwrap();
        assert_eq!((read.owner.unwrap().to_string(), read.until), ("t/1/i".into(), Until::Gone));
    }
}
