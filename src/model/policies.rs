//! The choices of a user: about Jobs of earlier tries, about finished Jobs, and about stuck ones.

use serde::{Deserialize, Serialize};

use super::{
    outcome::{Outcome, OutcomeState},
    per_outcome::PerOutcome,
};

/// What to do with Jobs of earlier tries of the same task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredecessorPolicy {
    /// Take over a Job that runs, use one that succeeded.
    #[default]
    Reattach,
    /// Delete a Job that runs, use none.
    Replace,
    /// Do not look for Jobs of earlier tries.
    Ignore,
}

/// Whose logs are read, of the containers or of the init containers of each Pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSources {
    /// Those of all of them.
    #[default]
    All,
    /// That of the base container.
    Base,
    /// Those of these names.
    Named(Vec<String>),
}

impl LogSources {
    /// Whether the log of this container is read.
    #[must_use]
    pub fn has(&self, container: &str, base: Option<&str>) -> bool {
        match self {
            Self::All => true,
            // If nothing is known of the Pod's containers, none is left out.
            Self::Base => base.is_none_or(|base| base == container),
            Self::Named(names) => names.iter().any(|name| name == container),
        }
    }
}

/// How the lines of containers look in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogFormat {
    /// Whether lines that share a record begin with the container's time.
    pub line_times: bool,
    /// Whether a line that names a level, such as `ERROR`, has this level in the log.
    pub line_levels: bool,
    /// Whether lines stay as they came, for a program that copies them: no record for each, and every state of a
    /// progress bar.
    pub raw: bool,
}

impl Default for LogFormat {
    fn default() -> Self {
        Self { line_times: false, line_levels: true, raw: false }
    }
}

/// Where the result of a Job is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultSource {
    /// The termination message of its base container.
    TerminationMessage,
    /// The log of a sidecar that prints the file when it ends.
    Sidecar,
}

/// Which stuck Jobs are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePolicy {
    /// No Job.
    Never,
    /// Jobs whose deletion was asked for here, and Jobs that carry our annotations.
    #[default]
    Ours,
    /// Every Job that this order names, whoever deleted it before.
    Gc,
}

/// What the garbage collector does with the Pods of a deleted Job. Source:
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Propagation {
    /// The Job is removed at once, its Pods after it.
    #[default]
    Background,
    /// The Pods are removed first; the finalizer `foregroundDeletion` holds the Job until then.
    Foreground,
    /// The Pods stay; the finalizer `orphan` holds the Job until they have no owner any more.
    Orphan,
}

impl Propagation {
    /// The word that `DeleteOptions` use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What to do if a sidecar keeps a Pod running after its base container has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLingeringSidecar {
    /// Only say so, and wait.
    #[default]
    Wait,
    /// The base container's exit code is the outcome.
    Finish,
}

/// What becomes of a finished Job once its outcome is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFinish {
    /// It stays for its TTL.
    #[default]
    Keep,
    /// It is deleted, and the deletion is confirmed.
    Delete,
}

/// The steps after the verdict. They travel with a Job whose task is resumed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CleanUp {
    /// Whether the cluster grants `patch` on Jobs; without it nothing is acknowledged.
    pub patch_jobs: bool,
    /// The TTL that the Job was created with, in seconds.
    pub ttl_at_creation: Option<u32>,
    /// The TTL of the acknowledgement, in seconds, by outcome.
    pub ttl: PerOutcome<Option<u32>>,
    /// What becomes of the Job then, by outcome.
    pub on_finish: PerOutcome<OnFinish>,
}

impl Default for CleanUp {
    fn default() -> Self {
        Self { patch_jobs: true, ttl_at_creation: None, ttl: PerOutcome::default(), on_finish: PerOutcome::default() }
    }
}

impl CleanUp {
    pub(crate) fn ttl_after(&self, state: OutcomeState) -> Option<u32> {
        match state {
            OutcomeState::Succeeded => self.ttl.succeeded,
            OutcomeState::Failed | OutcomeState::Vanished => self.ttl.failed,
        }
    }

    /// Why the Job is deleted, if it is.
    pub(crate) fn deletes(&self, finish: Finish) -> Option<&'static str> {
        let wanted = match finish.state {
            OutcomeState::Succeeded => self.on_finish.succeeded,
            OutcomeState::Failed => self.on_finish.failed,
            // A vanished Job is gone already.
            OutcomeState::Vanished => OnFinish::Keep,
        };
        match (finish.lingering, wanted) {
            (true, _) => Some("its sidecar would run on"),
            (false, OnFinish::Delete) => Some("on_finish=\"delete\""),
            (false, OnFinish::Keep) => None,
        }
    }
}

/// How the attempt's Job ended, as far as its clean-up depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The outcome.
    pub state: OutcomeState,
    /// Whether a sidecar keeps a Pod running: Kubernetes would never clean up such a Job.
    pub lingering: bool,
    /// The exit code of the base container, which is written on the Job for whoever lists it.
    #[serde(default)]
    pub exit_code: Option<i32>,
}

impl Finish {
    /// Takes the parts of an outcome on which the clean-up depends.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self { state: outcome.state, lingering: !outcome.lingering.is_empty(), exit_code: outcome.exit_code }
    }
}

/// The event that ends the following.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The Job has ended, or is gone.
    #[default]
    Finished,
    /// The Job is gone.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_those_of_all_containers_of_the_base_container_or_of_the_named_ones() {
        let read = |text: &str| serde_json::from_str::<LogSources>(text).unwrap();
        for (text, base, expected) in [
            ("\"all\"", Some("main"), [true, true]),
            ("\"base\"", Some("main"), [true, false]),
            ("\"base\"", None, [true, true]),
            ("{\"named\": [\"side\"]}", Some("main"), [false, true]),
            ("{\"named\": []}", Some("main"), [false, false]),
        ] {
            assert_eq!(["main", "side"].map(|name| read(text).has(name, base)), expected, "{text}");
        }
        assert_eq!(LogSources::default(), LogSources::All);
    }

    #[test]
    fn job_is_deleted_where_its_outcome_asks_for_it_or_a_sidecar_runs_on() {
        use OnFinish::{Delete, Keep};
        let ttl = PerOutcome::default();
        let cases = [
            ("kept", Keep, Keep, OutcomeState::Succeeded, false, false),
            ("a success goes", Delete, Keep, OutcomeState::Succeeded, false, true),
            ("a failure stays to be looked at", Delete, Keep, OutcomeState::Failed, false, false),
            ("what vanished is gone already", Delete, Delete, OutcomeState::Vanished, false, false),
            ("a sidecar runs on", Keep, Keep, OutcomeState::Succeeded, true, true),
        ];
        for (name, succeeded, failed, state, lingering, deleted) in cases {
            let on_finish = PerOutcome { succeeded, failed };
            let clean_up = CleanUp { patch_jobs: true, ttl_at_creation: None, ttl, on_finish };
            assert_eq!(clean_up.deletes(Finish { state, lingering, exit_code: None }).is_some(), deleted, "{name}");
        }
    }
}
