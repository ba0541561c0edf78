//! Holds the state that the tokio task of an attempt and its handle share, and the events from one to the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outbox::Outbox;
use crate::{
    cluster::Cluster,
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

/// At most this many records of the log wait to be taken, beyond the lines in their channel.
const RECORDS: usize = 16;

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

/// What the attempt's task and its handle both know.
pub(crate) struct AttemptState {
    pub cluster: Cluster,
    pub order: JobRequest,
    pub outbox: Arc<Outbox>,
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
    pub fn new(cluster: Cluster, order: JobRequest) -> Self {
        let outbox = Arc::new(Outbox::new(RECORDS));
        Self { cluster: telling(cluster, Arc::clone(&outbox)), order, outbox, state: Mutex::default() }
    }

    pub fn known(&self) -> MutexGuard<'_, SubmittedJob> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Say for AttemptState {
    fn say(&self, message: Message) {
        self.outbox.say(message);
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
