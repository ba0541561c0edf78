//! After the verdict: the outcome is acknowledged, and the Job goes when its user wants it to.
//!
//! Promise: whatever happens here changes no verdict; what could not be done is told as a warning that says how long
//! the Job stays. First the acknowledgement with the TTL of the outcome, then the deletion where `on_finish` asks for
//! one: a worker that dies in between leaves a Job that cleans itself up.

use std::{future::Future, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    delete,
    message::Message,
    outcome::State,
    ownership::{self, Written},
    seen::JobReference,
    verdict::Outcome,
};
use crate::{
    cluster::{Cluster, Resource, Verb},
    error::Error,
    identity::Owner,
    manifest::PerOutcome,
};

/// How long an acknowledgement is tried.
const ACKNOWLEDGE_FOR: Duration = Duration::from_secs(10);
/// How long the deletion of a finished Job is waited for: its Pods have ended, so it should go at once.
const DELETE_FOR: Duration = Duration::from_secs(20);
/// The same where a sidecar runs on: its termination grace period is 30 s by default.
const DELETE_LINGERING_FOR: Duration = Duration::from_secs(60);
/// How much longer an API server that does not answer is waited for.
const NO_ANSWER: Duration = Duration::from_secs(3);

/// What becomes of a finished Job once its outcome is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFinish {
    /// It stays for its TTL.
    #[default]
    Keep,
    /// It is deleted, confirmed.
    Delete,
}

/// Everything that is to be done after the verdict. It travels with a Job whose task is resumed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CleanUp {
    /// Whether the cluster grants `patch` on Jobs; without it nothing is acknowledged.
    pub patch_jobs: bool,
    /// The TTL that the Job was created with, in seconds.
    pub ttl_at_creation: Option<u32>,
    /// The TTL of the acknowledgement, in seconds, by outcome.
    pub ttl: PerOutcome<Option<u32>>,
    /// What then, by outcome.
    pub on_finish: PerOutcome<OnFinish>,
}

/// How the attempt's Job ended, as far as its clean-up depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The outcome.
    pub state: State,
    /// Whether a sidecar keeps a Pod running: Kubernetes would never clean up such a Job.
    pub lingering: bool,
}

impl Finish {
    /// Of an outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self { state: outcome.state, lingering: !outcome.lingering.is_empty() }
    }
}

impl Default for CleanUp {
    fn default() -> Self {
        Self { patch_jobs: true, ttl_at_creation: None, ttl: PerOutcome::default(), on_finish: PerOutcome::default() }
    }
}

impl CleanUp {
    fn ttl_after(&self, state: State) -> Option<u32> {
        match state {
            State::Succeeded => self.ttl.succeeded,
            State::Failed | State::Vanished => self.ttl.failed,
        }
    }

    /// Why the Job is deleted, if it is.
    fn deletes(&self, finish: Finish) -> Option<&'static str> {
        let wanted = match finish.state {
            State::Succeeded => self.on_finish.succeeded,
            State::Failed => self.on_finish.failed,
            // It is gone already.
            State::Vanished => OnFinish::Keep,
        };
        match (finish.lingering, wanted) {
            (true, _) => Some("its sidecar would run on"),
            (false, OnFinish::Delete) => Some("on_finish=\"delete\""),
            (false, OnFinish::Keep) => None,
        }
    }
}

/// Writes that the verdict over this Job is reached, with the TTL of its outcome, and deletes it where that is wanted.
/// Returns what there is to say. Fails only where another attempt owns the Job.
pub async fn acknowledge(
    cluster: &Cluster,
    job: &JobReference,
    owner: &Owner,
    clean_up: &CleanUp,
    finish: Finish,
) -> Result<Vec<Message>, Error> {
    let mut said = Vec::new();
    if clean_up.patch_jobs {
        let write = ownership::acknowledge(cluster, job, owner, clean_up.ttl_after(finish.state));
        said.extend(written(job, clean_up, write).await?);
    }
    if let Some(why) = clean_up.deletes(finish) {
        let within = if finish.lingering { DELETE_LINGERING_FOR } else { DELETE_FOR };
        said.push(delete(cluster, job, owner, within, why).await);
    }
    Ok(said)
}

async fn written(
    job: &JobReference,
    clean_up: &CleanUp,
    write: impl Future<Output = Written>,
) -> Result<Option<Message>, Error> {
    let why = match tokio::time::timeout(ACKNOWLEDGE_FOR, write).await {
        Ok(Written::Done(_) | Written::Gone) => return Ok(None),
        Ok(Written::OwnedBy(other)) => return Err(ownership::taken_over(job, &other)),
        Ok(Written::Failed(failure)) => {
            failure.into_error(&format!("acknowledge {job}"), Verb::Patch, Resource::Jobs, None).to_string()
        }
        Err(_) => format!("Its acknowledgement was not answered within {} s", ACKNOWLEDGE_FOR.as_secs()),
    };
    let kept =
        clean_up.ttl_at_creation.map_or("until somebody deletes it".to_owned(), |s| format!("for {s} s after its end"));
    Ok(Some(Message::warning("not-acknowledged", format!("The outcome stands, but the Job is kept {kept}. {why}"))))
}

async fn delete(cluster: &Cluster, job: &JobReference, owner: &Owner, within: Duration, why: &str) -> Message {
    let deletion = delete::delete_owned(cluster, job, owner, within);
    let failed = match tokio::time::timeout(within + NO_ANSWER, deletion).await {
        Ok(Ok(())) => {
            return Message::info("job-deleted", format!("{job} is deleted, and its Pods have ended ({why})"));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the API server did not answer within {} s", (within + NO_ANSWER).as_secs()),
    };
    let text = format!("The outcome stands, but {job}, which was to be deleted ({why}), may still be there: {failed}");
    Message::warning("job-not-deleted", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_deleted_where_its_outcome_asks_for_it_or_a_sidecar_runs_on() {
        use OnFinish::{Delete, Keep};
        let ttl = PerOutcome::default();
        let cases = [
            ("kept", Keep, Keep, State::Succeeded, false, false),
            ("a success goes", Delete, Keep, State::Succeeded, false, true),
            ("a failure stays to be looked at", Delete, Keep, State::Failed, false, false),
            ("what vanished is gone already", Delete, Delete, State::Vanished, false, false),
            ("a sidecar runs on", Keep, Keep, State::Succeeded, true, true),
        ];
        for (name, succeeded, failed, state, lingering, deleted) in cases {
            let on_finish = PerOutcome { succeeded, failed };
            let clean_up = CleanUp { patch_jobs: true, ttl_at_creation: None, ttl, on_finish };
            assert_eq!(clean_up.deletes(Finish { state, lingering }).is_some(), deleted, "{name}");
        }
    }
}
