//! Events of work under way, as lists of dicts.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use serde::Serialize;
use tokio::sync::Notify;

use super::{held::Held, runtime, values::python};
use crate::{
    error::Error,
    session::{Event, Session, Work},
};

/// At most this many events in one list, so that signals are served between them.
const EVENTS_A_CALL: usize = 64;

/// Work that hands over events, the last of which ends it.
pub(super) trait Events: Send + Sync + 'static {
    /// The next event; `None` after the last one. Nothing is lost where this is cancelled.
    fn next(&self) -> impl Future<Output = Option<Result<Event, Error>>> + Send;
}

impl Events for Session {
    async fn next(&self) -> Option<Result<Event, Error>> {
        Self::next(self).await
    }
}

impl Events for Work {
    async fn next(&self) -> Option<Result<Event, Error>> {
        Self::next(self).await
    }
}

/// Work under way, whose events Python takes list by list.
pub(super) struct InSteps<W> {
    pub work: Held<W>,
    woken: Arc<Notify>,
    /// An error that came behind events already handed over.
    held: Arc<OnceLock<Error>>,
}

impl<W: Events> InSteps<W> {
    pub fn new(class: &'static str, work: W) -> Self {
        Self { work: Held::new(class, work), woken: Arc::default(), held: Arc::default() }
    }

    /// Waits for events, at most so many seconds, and gives each as a dict.
    pub fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        let (work, woken, held) = (self.work.get(py)?, Arc::clone(&self.woken), Arc::clone(&self.held));
        let timeout = runtime::seconds(timeout);
        let list = PyList::empty(py);
        for event in runtime::wait(py, async move { take(&*work, &woken, &held, timeout).await })? {
            list.append(as_dict(py, event)?)?;
        }
        Ok(list)
    }

    /// Ends the wait for events that is under way, or the next one.
    pub fn wake(&self) {
        if self.work.here().is_some() {
            self.woken.notify_one();
        }
    }
}

/// At least one event; none after the timeout, after a wake, or after the last one.
///
/// The timeout is inside, so that an event is never taken by a wait that has given up. An error that comes behind other
/// events is held for the next call.
async fn take<W: Events>(
    work: &W,
    woken: &Notify,
    held: &OnceLock<Error>,
    timeout: Duration,
) -> Result<Vec<Event>, Error> {
    if let Some(error) = held.get() {
        return Err(error.clone());
    }
    let mut next = tokio::select! {
        biased;
        () = woken.notified() => return Ok(Vec::new()),
        event = work.next() => event,
        () = tokio::time::sleep(timeout) => return Ok(Vec::new()),
    };
    let mut events = Vec::new();
    loop {
        match next {
            Some(Ok(event)) => events.push(event),
            Some(Err(error)) if events.is_empty() => return Err(error),
            Some(Err(error)) => {
                let _ = held.set(error);
                return Ok(events);
            }
            None => return Ok(events),
        }
        if events.len() >= EVENTS_A_CALL {
            return Ok(events);
        }
        next = tokio::select! {
            biased;
            event = work.next() => event,
            () = std::future::ready(()) => return Ok(events),
        };
    }
}

/// An event as the dict that Python gets.
pub(super) fn as_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    match event {
        Event::Submitted { job, origin, made_by_try } => {
            dict.set_item("kind", "submitted")?;
            dict.set_item("name", job.name.as_str())?;
            dict.set_item("namespace", job.namespace.as_str())?;
            dict.set_item("uid", job.uid)?;
            dict.set_item("origin", python(py, &origin)?)?;
            dict.set_item("try_number", made_by_try)?;
        }
        Event::Message(message) => merge(py, &dict, "message", &message)?,
        Event::Log(record) => {
            dict.set_item("kind", "log")?;
            dict.set_item("pod", record.pod)?;
            dict.set_item("container", record.container)?;
            dict.set_item("text", record.text)?;
            dict.set_item("lines", record.lines)?;
            let parts = record.parts.into_iter().map(|part| (part.lines, part.level.as_str(), part.timestamp));
            dict.set_item("parts", parts.collect::<Vec<_>>())?;
            dict.set_item("mark", record.mark)?;
        }
        Event::Outcome(outcome) => merge(py, &dict, "outcome", &outcome)?,
        Event::Deleted { job, pods_kept } => {
            merge(py, &dict, "deleted", &job)?;
            dict.set_item("pods_kept", pods_kept)?;
        }
        Event::Ended(jobs) => merge(py, &dict, "ended", &jobs)?,
        Event::Removed(done) => {
            dict.set_item("kind", "removed")?;
            dict.set_item("text", done)?;
        }
    }
    Ok(dict)
}

/// Puts the kind and the fields of a value into a dict.
fn merge(py: Python<'_>, dict: &Bound<'_, PyDict>, kind: &str, value: &impl Serialize) -> PyResult<()> {
    dict.set_item("kind", kind)?;
    dict.update(python(py, value)?.cast()?)
}
