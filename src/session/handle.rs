//! The one handle on the Job of an attempt: who follows it differs, what its holder can do does not.
//!
//! Promise: events come in order, the last one only after the whole log; an event is taken or waits, also where a wait for it
//! is given up. The holder can stop the following at any moment, and then hand the Job over, delete it, acknowledge it or leave
//! it. A Job that was made by others is never written to. Dropping the handle stops the following and leaves the Job as it is.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle, time::Instant};
use tracing::{Instrument, Span};

use super::{
    acknowledge::acknowledge,
    attempt::{self, AttemptState},
    event::Event,
    outbox::Outbox,
    waiter::{self, SharedWatches},
};
use crate::{
    cluster::Cluster,
    delete,
    error::Error,
    job_api::warnings::with_warnings_to,
    logs::position_store::PositionStore,
    model::{
        handoff::Handoff,
        log_positions::SourcePosition,
        message::{Message, MessageSink},
        observed_job::JobReference,
        policies::Finish,
    },
    submit::request::JobRequest,
};

/// At most this many records of the log wait to be taken by one who follows alone, beyond the lines in their channel.
const RECORDS_ALONE: usize = 16;
/// The same for each of many in a process.
const RECORDS_OF_MANY: usize = 8;

/// Holds the Job of an attempt, or one that others made and that is only followed.
pub struct Session {
    state: Arc<SessionState>,
    follower: Follower,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Who follows the Job.
enum Follower {
    /// The attempt that submits it.
    Attempt(Arc<AttemptState>),
    /// One of many, by reference.
    Waiter(SharedWatches, Arc<PositionStore>),
    /// Nobody: another process has followed it.
    Nobody,
}

/// What the handle and the task that follows both know.
pub(super) struct SessionState {
    /// The warnings of its answers are events.
    pub cluster: Cluster,
    pub outbox: Arc<Outbox>,
    known: Mutex<KnownJob>,
}

#[derive(Default)]
struct KnownJob {
    /// The Job, once there is one, and what is done with it.
    handoff: Option<Arc<Handoff>>,
    /// How it ended, once its outcome is told.
    finish: Option<Finish>,
}

impl SessionState {
    fn new(cluster: Cluster, most_records: usize, handoff: Option<Handoff>) -> Arc<Self> {
        let outbox = Arc::new(Outbox::new(most_records));
        let cluster = with_warnings_to(cluster, Arc::clone(&outbox));
        let state = Self { cluster, outbox, known: Mutex::default() };
        if let Some(handoff) = handoff {
            state.outbox.set_positions(&handoff.positions);
            state.known().finish = handoff.finish;
            state.has(Arc::new(handoff));
        }
        Arc::new(state)
    }

    fn known(&self) -> MutexGuard<'_, KnownJob> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Job, and what is done with it.
    pub fn has(&self, handoff: Arc<Handoff>) {
        self.known().handoff = Some(handoff);
    }

    pub fn handoff(&self) -> Option<Arc<Handoff>> {
        self.known().handoff.clone()
    }

    /// How the Job ended.
    pub fn ended(&self, finish: Finish) {
        self.known().finish = Some(finish);
    }
}

impl Session {
    /// Submits the Job of an attempt and follows it, from now on. Must run inside a tokio runtime.
    #[must_use]
    pub fn submit(cluster: Cluster, request: JobRequest) -> Self {
        let state = SessionState::new(cluster, RECORDS_ALONE, None);
        let shared = Arc::new(AttemptState::new(Arc::clone(&state), request));
        let task = tokio::spawn(attempt::attempt(Arc::clone(&shared)));
        Self { state, follower: Follower::Attempt(shared), task: Mutex::new(Some(task)) }
    }

    /// Follows a Job by reference beside many others, from the first [`Session::poll_ready`] on.
    #[must_use]
    pub fn follow(watches: SharedWatches, handoff: Handoff) -> Self {
        let state = SessionState::new(watches.hubs.cluster().clone(), RECORDS_OF_MANY, Some(handoff));
        Self { state, follower: Follower::Waiter(watches, Arc::default()), task: Mutex::default() }
    }

    /// Holds a Job that another process has followed; nothing is asked before somebody calls.
    #[must_use]
    pub fn resume(cluster: Cluster, handoff: Handoff) -> Self {
        let state = SessionState::new(cluster, RECORDS_ALONE, Some(handoff));
        state.outbox.end();
        Self { state, follower: Follower::Nobody, task: Mutex::default() }
    }

    /// Whether there is something to [`Session::take`]. The first call starts what has not begun on `runtime`.
    pub fn poll_ready(&self, context: &mut Context<'_>, runtime: &Handle) -> Poll<()> {
        if let (Follower::Waiter(watches, positions), Some(handoff)) = (&self.follower, self.state.handoff()) {
            self.task().get_or_insert_with(|| {
                let span = handoff.span();
                let waiting = waiter::wait(Arc::clone(&self.state), handoff, watches.clone(), Arc::clone(positions));
                runtime.spawn(waiting.instrument(span))
            });
        }
        self.state.outbox.poll_ready(context)
    }

    /// Events, as many as are there; none after the last one, and no new ones once this is closed. An error comes alone.
    #[must_use]
    pub fn take(&self) -> Vec<Result<Event, Error>> {
        self.state.outbox.take()
    }

    /// The next event; `None` after the last one. Once this is closed, what waits is given, and nothing new.
    pub async fn next(&self) -> Option<Result<Event, Error>> {
        poll_fn(|context| self.poll_ready(context, &Handle::current())).await;
        self.state.outbox.next().await
    }

    /// The Job, once there is one.
    #[must_use]
    pub fn job(&self) -> Option<JobReference> {
        self.state.handoff().map(|handoff| handoff.job.clone())
    }

    /// How far the log was handed over.
    #[must_use]
    pub fn positions(&self) -> Vec<SourcePosition> {
        self.state.outbox.positions()
    }

    /// Stops following and leaves the Job as it is.
    pub fn close(&self) {
        if let Some(task) = &*self.task() {
            task.abort();
        }
        self.state.outbox.end();
    }

    /// Stops following, and gives what somebody else needs to go on; none without a Job.
    #[must_use]
    pub fn hand_over(&self) -> Option<Handoff> {
        self.close();
        let handoff = self.state.handoff()?;
        Some(Handoff { positions: self.positions(), ..Handoff::clone(&handoff) })
    }

    /// Writes on the Job how far its log was handed over, if it is the attempt's own and there is more than was
    /// written before. Stops following, so that exactly this was handed over. Takes 1.5 s at most.
    pub async fn store_positions(&self) {
        self.close();
        if let (Follower::Waiter(_, positions), Some(handoff)) = (&self.follower, self.state.handoff()) {
            let storing = positions.end(&self.state.cluster, &handoff, self.positions());
            storing.instrument(handoff.span()).await;
        }
    }

    /// Writes that the attempt has reached its verdict, and does what the user wants done with a finished Job.
    /// Returns what there is to say; nothing of it changes the verdict. Before the outcome there is nothing to do.
    pub async fn acknowledge(&self) -> Result<Vec<Message>, Error> {
        let (Some(handoff), Some(finish)) = (self.state.handoff(), self.state.known().finish) else {
            return Ok(Vec::new());
        };
        let Handoff { job, owner: Some(owner), clean_up, .. } = &*handoff else { return Ok(Vec::new()) };
        let warned = Arc::new(Outbox::new(0));
        let cluster = with_warnings_to(self.state.cluster.clone(), Arc::clone(&warned));
        let mut said = acknowledge(&cluster, job, owner, clean_up, finish).await?;
        said.extend(warned.take().into_iter().filter_map(|event| match event {
            Ok(Event::Message(message)) => Some(message),
            _ => None,
        }));
        Ok(said)
    }

    /// Stops following and deletes the Job if it is the attempt's own; returns what was done once it is gone with its Pods,
    /// none if no Job was made. `messages` hears that the deletion has begun, and every so often that it goes on. `within` limits
    /// the confirmation; an API server that does not answer is given [`delete::NO_ANSWER`] more.
    pub async fn delete(&self, within: Duration, messages: &dyn MessageSink) -> Result<Option<String>, Error> {
        self.close();
        let deadline = Instant::now() + within;
        let handoff = self.state.handoff();
        let span = handoff.as_ref().map_or_else(Span::none, |handoff| handoff.span());
        let (job, owner) = match (handoff, &self.follower) {
            (Some(handoff), _) => {
                let Handoff { job, owner, .. } = &*handoff;
                let others = || Error::internal(format!("{job} was made by others and was left alone"));
                (job.clone(), owner.clone().ok_or_else(others)?)
            }
            (None, Follower::Attempt(attempt)) => match attempt.find_own(deadline).await? {
                Some(job) => (job, attempt.request.attempt.owner()),
                None => return Ok(None),
            },
            (None, Follower::Waiter(..) | Follower::Nobody) => return Ok(None),
        };
        let deleting = delete::delete_owned_until(&self.state.cluster, &job, &owner, deadline, messages);
        deleting.instrument(span).await.map(Some)
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
