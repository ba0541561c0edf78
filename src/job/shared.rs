//! What the task of an attempt and its handle both know, and what the one tells the other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{
    acknowledge::Finish,
    logs,
    message::{Message, Say},
    order::Order,
    seen::JobReference,
    submit::{Origin, Tell},
    verdict::Outcome,
};
use crate::{cluster::Cluster, error::Error};

/// What an attempt hands over.
#[derive(Debug)]
pub enum Event {
    /// It has its Job; the first event of every attempt that has one.
    Submitted {
        /// Which Job.
        job: JobReference,
        /// How it came to it.
        origin: Origin,
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
pub(super) struct Shared {
    pub cluster: Cluster,
    pub order: Order,
    news: mpsc::UnboundedSender<Result<Event, Error>>,
    state: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    /// The Job, once there is one.
    pub job: Option<JobReference>,
    /// How it ended, once its outcome is told.
    pub finish: Option<Finish>,
    /// Names under which a POST has left, newest last.
    pub tried: Vec<(String, String)>,
}

impl Shared {
    pub fn new(cluster: Cluster, order: Order, news: mpsc::UnboundedSender<Result<Event, Error>>) -> Self {
        Self { cluster, order, news, state: Mutex::default() }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, event: Result<Event, Error>) {
        // Nobody listens any more once the handle is gone.
        let _ = self.news.send(event);
    }
}

impl Say for Shared {
    fn say(&self, message: Message) {
        self.tell(Ok(Event::Message(message)));
    }
}

impl Tell for Shared {
    fn trying(&self, namespace: &str, name: &str) {
        let mut known = self.known();
        let pair = (namespace.to_owned(), name.to_owned());
        if known.tried.last() != Some(&pair) {
            known.tried.push(pair);
        }
    }

    fn refused(&self) {
        self.known().tried.pop();
    }
}
