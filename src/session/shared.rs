//! What the task of an attempt and its handle both know, and what the one tells the other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::{
    cluster::Cluster,
    error::Error,
    identity::{JobName, Namespace},
    job_api::warnings::telling,
    logs,
    model::{
        handoff::Handoff,
        message::{Message, Say},
        observed_job::JobReference,
        outcome::Outcome,
        policies::Finish,
    },
    submit::{JobOrigin, Tell, request::JobRequest},
};

/// What an attempt hands over.
#[derive(Debug)]
pub enum Event {
    /// It has its Job; the first event of every attempt that has one.
    Submitted {
        /// Which Job.
        job: JobReference,
        /// How it came to it.
        origin: JobOrigin,
        /// The try that made the Job.
        made_by_try: u32,
    },
    /// A sentence for the task log.
    Message(Message),
    /// Lines of a container.
    Log(logs::Record),
    /// The end.
    Outcome(Box<Outcome>),
}

impl From<Message> for Event {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

/// What the attempt's task and its handle both know.
pub(crate) struct AttemptState {
    pub cluster: Cluster,
    pub order: JobRequest,
    news: mpsc::UnboundedSender<Result<Event, Error>>,
    state: Mutex<SubmittedJob>,
}

#[derive(Default)]
pub(crate) struct SubmittedJob {
    /// The Job, once there is one, and what is done with it.
    pub handoff: Option<Handoff>,
    /// How it ended, once its outcome is told.
    pub finish: Option<Finish>,
    /// Names under which a POST has left, newest last.
    pub tried: Vec<(Namespace, JobName)>,
}

impl AttemptState {
    pub fn new(cluster: Cluster, order: JobRequest, news: mpsc::UnboundedSender<Result<Event, Error>>) -> Self {
        Self { cluster: telling(cluster, news.clone()), order, news, state: Mutex::default() }
    }

    pub fn known(&self) -> MutexGuard<'_, SubmittedJob> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, event: Result<Event, Error>) {
        // Nobody listens any more once the handle is gone.
        let _ = self.news.send(event);
    }
}

impl Say for AttemptState {
    fn say(&self, message: Message) {
        self.news.say(message);
    }
}

impl Tell for AttemptState {
    fn trying(&self, namespace: &Namespace, name: &JobName) {
        let mut known = self.known();
        let pair = (namespace.clone(), name.clone());
        if known.tried.last() != Some(&pair) {
            known.tried.push(pair);
        }
    }

    fn refused(&self) {
        self.known().tried.pop();
    }
}
