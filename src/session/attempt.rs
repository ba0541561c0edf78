//! One attempt that submits its Job and follows it, as the task behind a [`Session`](super::Session).
//!
//! Promise: it can be told at any moment to stop, or to delete its Job, also while the submission is still under way. Log text
//! waits in at most [`logs::BUFFER`] bytes; when nobody takes it, reading pauses.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use super::{event::Event, handle::SessionState};
use crate::{
    delete,
    error::{Error, Report},
    follow::{
        feed::Feed,
        follower::{self, Following},
    },
    identity::{JobName, Namespace},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, named},
    },
    logs,
    model::{
        message::{Message, MessageSink},
        observed_job::JobReference,
        policies::Finish,
    },
    panics,
    submit::{
        self, SubmissionObserver, Submitted,
        decide::{self, NameConflict},
        request::JobRequest,
    },
};

/// Pause between two requests for a Job whose POST was interrupted.
const POST_MAY_ARRIVE: Duration = Duration::from_millis(500);

/// An attempt that submits its Job.
pub(super) struct AttemptState {
    state: Arc<SessionState>,
    pub request: JobRequest,
    /// Names under which a POST has left, newest last.
    tried: Mutex<Vec<(Namespace, JobName)>>,
}

impl AttemptState {
    pub fn new(state: Arc<SessionState>, request: JobRequest) -> Self {
        Self { state, request, tried: Mutex::default() }
    }

    fn tried(&self) -> MutexGuard<'_, Vec<(Namespace, JobName)>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Job of this attempt if a POST has left whose answer was never read; none if no Job was made.
    pub async fn find_own(&self, deadline: Instant) -> Result<Option<JobReference>, Error> {
        let cluster = self.state.cluster.until(deadline + delete::NO_ANSWER);
        let tried = self.tried().last().cloned();
        let Some((namespace, name)) = tried else { return Ok(None) };
        loop {
            let seen = find_job(&cluster, &namespace, &name).await.map_err(|failure| {
                let error = ApiCall::CreatedJob(&named(&namespace, &name)).failed(failure, None);
                delete::not_known(&namespace, &name, error)
            })?;
            match seen {
                Some(seen) if decide::found(&self.request.attempt, &seen) != NameConflict::Foreign => {
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
        if self.request.attempt.try_number == 0 {
            person.to_owned()
        } else {
            format!("the next try of this task {next_try}; or {person}")
        }
    }
}

impl MessageSink for AttemptState {
    fn emit(&self, message: Message) {
        self.state.outbox.emit(message);
    }
}

impl SubmissionObserver for AttemptState {
    fn trying(&self, namespace: &Namespace, name: &JobName) {
        let mut tried = self.tried();
        let pair = (namespace.clone(), name.clone());
        if tried.last() != Some(&pair) {
            tried.push(pair);
        }
    }

    fn refused(&self) {
        self.tried().pop();
    }
}

/// Submits and follows, and puts what happens into the outbox, the end last.
pub(super) async fn attempt(shared: Arc<AttemptState>) {
    let (sink, lines) = logs::channel(logs::BUFFER, shared.request.log_format);
    let outbox = &shared.state.outbox;
    let following = panics::caught_in(to_the_end(&shared, sink));
    let (end, ()) = tokio::join!(following, outbox.deliver(lines, None));
    outbox.put(end);
    outbox.end();
}

/// Submits, and follows the Job to its end.
async fn to_the_end(shared: &Arc<AttemptState>, sink: logs::Sink) -> Result<Event, Error> {
    let AttemptState { state, request, .. } = &**shared;
    let submitting = debug_span!("submit", name = %request.name(0).as_str());
    let (submitted, handoff) =
        Box::pin(submit::submit(&state.cluster, request, &**shared)).instrument(submitting).await?;
    let Submitted { job, origin, made_by_try } = submitted;
    let handoff = Arc::new(handoff);
    state.has(Arc::clone(&handoff));
    state.outbox.put(Ok(Event::Submitted { job: job.reference.clone(), origin, made_by_try }));
    let messages: Arc<dyn MessageSink> = Arc::clone(&state.outbox) as Arc<dyn MessageSink>;
    let following = Following {
        cluster: &state.cluster,
        handoff: &handoff,
        positions: Vec::new(),
        messages: &messages,
        sources: Feed::own(&state.cluster, &handoff, &job, None),
        sink,
        quota: None,
        gone: false,
    };
    let outcome = Box::pin(follower::follow(following, job)).instrument(handoff.span()).await?;
    state.ended(Finish::of(&outcome));
    Ok(Event::Outcome(Box::new(outcome)))
}
