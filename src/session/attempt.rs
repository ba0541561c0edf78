//! One attempt at work, as a handle: it submits, follows, and hands over what happened, event by event.
//!
//! Promise: events come in order, the outcome last and only after the whole log; the attempt can be told at any
//! moment to stop, or to delete its Job, also while the submission is still under way. Log text waits in at most
//! [`logs::BUFFER`] bytes; when nobody takes it, reading pauses.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
use tracing::{Instrument, debug_span};

pub use super::shared::Event;
use super::{acknowledge::acknowledge, shared::AttemptState};
use crate::{
    cluster::Cluster,
    delete,
    error::{Error, Report},
    follow::{
        feed::Feed,
        follower::{self, Following},
    },
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, named},
    },
    logs,
    model::{
        handoff::Handoff,
        message::{Message, Say},
        observed_job::JobReference,
        policies::Finish,
    },
    submit::{
        self, Submitted,
        decide::{self, NameConflict},
        request::JobRequest,
    },
};

/// One attempt at work. Dropping it stops following and leaves the Job as it is.
pub struct Run {
    shared: Arc<AttemptState>,
    task: JoinHandle<()>,
}

impl Run {
    /// Starts the attempt. Must run inside a tokio runtime.
    #[must_use]
    pub fn start(cluster: Cluster, order: JobRequest) -> Self {
        let shared = Arc::new(AttemptState::new(cluster, order));
        let task = tokio::spawn(attempt(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// The next event; none comes after the last one.
    pub async fn next(&self) -> Option<Result<Event, Error>> {
        self.shared.outbox.next().await
    }

    /// The Job of this attempt, once it has one.
    #[must_use]
    pub fn job(&self) -> Option<JobReference> {
        self.shared.known().handoff.as_ref().map(|handoff| handoff.job.clone())
    }

    /// Writes that this attempt has reached its verdict, and does what the user wants done with a finished Job.
    /// Returns what there is to say; nothing of it changes the verdict. Before the outcome there is nothing to do.
    pub async fn acknowledge(&self) -> Result<Vec<Message>, Error> {
        let (handoff, finish) = {
            let known = self.shared.known();
            (known.handoff.clone(), known.finish)
        };
        let (Some(Handoff { job, clean_up, .. }), Some(finish)) = (handoff, finish) else { return Ok(Vec::new()) };
        let owner = self.shared.order.attempt.owner();
        let mut said = acknowledge(&self.shared.cluster, &job, &owner, &clean_up, finish).await?;
        // What its answers warned of: after the outcome nobody else takes it.
        said.extend(self.shared.outbox.take().into_iter().filter_map(|event| match event {
            Ok(Event::Message(message)) => Some(message),
            _ => None,
        }));
        Ok(said)
    }

    /// Stops following and deletes the Job this attempt owns; returns what was done once it is gone with its Pods.
    /// `within` limits the confirmation; an API server that does not answer is given [`delete::NO_ANSWER`] more.
    pub async fn delete(&self, within: Duration) -> Result<String, Error> {
        let deed = self.delete_telling(within, &|_| {}).await?;
        Ok(deed.unwrap_or_else(|| "No Job was made by this try: nothing to delete".to_owned()))
    }

    /// The same for somebody who hears that the deletion has begun, and every so often that it goes on; none if no Job
    /// was made.
    pub async fn delete_telling(&self, within: Duration, say: &dyn Say) -> Result<Option<String>, Error> {
        self.task.abort();
        let deadline = Instant::now() + within;
        let cluster = self.shared.cluster.until(deadline + delete::NO_ANSWER);
        let Some(job) = self.find_own(&cluster, deadline).await? else {
            return Ok(None);
        };
        delete::delete_owned_until(&cluster, &job, &self.shared.order.attempt.owner(), deadline, say).await.map(Some)
    }

    /// The Job of this attempt, also if a POST has left whose answer was never read.
    async fn find_own(&self, cluster: &Cluster, deadline: Instant) -> Result<Option<JobReference>, Error> {
        let (job, tried) = (self.job(), self.shared.known().tried.last().cloned());
        let (None, Some((namespace, name))) = (&job, tried) else { return Ok(job) };
        loop {
            let seen = find_job(cluster, &namespace, &name).await.map_err(|failure| {
                let error = ApiCall::CreatedJob(&named(&namespace, &name)).failed(failure, None);
                delete::not_known(&namespace, &name, error)
            })?;
            match seen {
                Some(seen) if decide::found(&self.shared.order.attempt, &seen) != NameConflict::Foreign => {
                    return Ok(Some(seen.reference));
                }
                Some(_) => return Ok(None),
                // The POST may still be on its way.
                None if Instant::now() + POST_MAY_ARRIVE > deadline => {
                    return Err(Error::DeletionUnconfirmed(Box::new(
                        Report::new(format!(
                            "The creation of Job `{namespace}/{name}` was interrupted before its answer"
                        ))
                        .seen("the Job does not exist, but the request may still arrive")
                        .hint(self.later("removes it", "look once more, and delete it by hand"))
                        .fact("name", name.clone())
                        .fact("namespace", namespace.clone()),
                    )));
                }
                None => tokio::time::sleep(POST_MAY_ARRIVE).await,
            }
        }
    }

    /// What can be done about a Job that may be left: by the next try, where there can be one, or by a person.
    fn later(&self, next_try: &str, person: &str) -> String {
        if self.shared.order.attempt.try_number == 0 {
            person.to_owned()
        } else {
            format!("the next try of this task {next_try}; or {person}")
        }
    }

    /// Stops following, and gives what somebody else needs to go on.
    #[must_use]
    pub fn hand_over(&self) -> Option<Handoff> {
        self.task.abort();
        let mut handoff = self.shared.known().handoff.clone()?;
        handoff.positions = self.shared.outbox.positions();
        Some(handoff)
    }

    /// Stops following and leaves the Job as it is.
    pub fn close(&self) {
        self.task.abort();
    }
}

/// Pause between two looks for a Job whose POST was interrupted.
const POST_MAY_ARRIVE: Duration = Duration::from_millis(500);

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn attempt(shared: Arc<AttemptState>) {
    let (sink, lines) = logs::channel(logs::BUFFER, shared.order.log_format);
    let (end, ()) = tokio::join!(to_the_end(&shared, sink), shared.outbox.deliver(lines, None));
    shared.outbox.put(end);
}

/// Submits, and follows the Job to its end.
async fn to_the_end(shared: &Arc<AttemptState>, sink: logs::Sink) -> Result<Event, Error> {
    let submitting = debug_span!("submit", name = %shared.order.name(0).as_str());
    let (submitted, handoff) =
        Box::pin(submit::submit(&shared.cluster, &shared.order, &**shared)).instrument(submitting).await?;
    let Submitted { job, origin, made_by_try } = submitted;
    shared.known().handoff = Some(handoff.clone());
    shared.outbox.put(Ok(Event::Submitted { job: job.reference.clone(), origin, made_by_try }));
    let say: Arc<dyn Say> = Arc::clone(shared) as Arc<dyn Say>;
    let sources = Feed::own(&shared.cluster, &handoff, &job, None);
    let following = Following {
        cluster: &shared.cluster,
        handoff: &handoff,
        positions: Vec::new(),
        say: &say,
        sources,
        sink,
        quota: None,
        gone: false,
    };
    let outcome = Box::pin(follower::follow(following, job)).instrument(handoff.span()).await?;
    shared.known().finish = Some(Finish::of(&outcome));
    Ok(Event::Outcome(Box::new(outcome)))
}
