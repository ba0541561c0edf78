//! `Run`: one attempt at work, as Python holds it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use tokio::sync::Notify;

use super::{
    cluster::Cluster,
    errors::{python, raised},
    events::{self, Events, json, merge},
    runtime,
};
use crate::{
    error::Error,
    job::{
        order::Order,
        resumed::Resumed,
        run::{self, Event},
        subject::Subject,
    },
};

/// Who works for it.
enum Attempt {
    /// A submission, and the following of its Job.
    Started(Box<run::Run>),
    /// A Job that was handed over; nothing is followed.
    Resumed(Box<Resumed>),
}

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Run {
    attempt: Arc<Attempt>,
    woken: Arc<Notify>,
    /// An error that came behind events already handed over.
    held: Arc<OnceLock<Error>>,
    pid: u32,
}

#[pymethods]
impl Run {
    #[new]
    fn new(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Self> {
        let start = || -> Result<run::Run, Error> {
            let order = Order::read(request)?;
            let cluster = cluster.handle()?;
            let _context = runtime::runtime()?.enter();
            Ok(run::Run::start(cluster, order))
        };
        let run = start().map_err(|error| raised(py, &error))?;
        Ok(Self {
            attempt: Arc::new(Attempt::Started(Box::new(run))),
            woken: Arc::default(),
            held: Arc::default(),
            pid: std::process::id(),
        })
    }

    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        self.same_process(py)?;
        let list = PyList::empty(py);
        let (run, woken, held) = (Arc::clone(&self.attempt), Arc::clone(&self.woken), Arc::clone(&self.held));
        let timeout = Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX);
        let taking = async move { events::take(&*run, &woken, &held, timeout).await };
        for event in runtime::wait(py, taking)? {
            list.append(as_dict(py, event)?)?;
        }
        Ok(list)
    }

    fn wake(&self) {
        if self.pid == std::process::id() {
            self.woken.notify_one();
        }
    }

    fn acknowledge<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.same_process(py)?;
        let run = Arc::clone(&self.attempt);
        let acknowledging = async move {
            match &*run {
                Attempt::Started(run) => run.acknowledge().await,
                Attempt::Resumed(job) => job.acknowledge().await,
            }
        };
        let list = PyList::empty(py);
        for message in runtime::wait(py, acknowledging)? {
            list.append(as_dict(py, Event::Message(message))?)?;
        }
        Ok(list)
    }

    #[pyo3(signature = (confirm_for=60.0))]
    fn delete(&self, py: Python<'_>, confirm_for: f64) -> PyResult<String> {
        self.same_process(py)?;
        let run = Arc::clone(&self.attempt);
        let within = Duration::try_from_secs_f64(confirm_for.max(0.0)).unwrap_or(Duration::MAX);
        runtime::wait(py, async move {
            match &*run {
                Attempt::Started(run) => run.delete(within).await,
                Attempt::Resumed(job) => job.delete(within).await,
            }
        })
    }

    fn hand_over(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.same_process(py)?;
        let run = Arc::clone(&self.attempt);
        runtime::wait(py, async move {
            let subject = match &*run {
                Attempt::Started(run) => run.hand_over().await,
                Attempt::Resumed(job) => Some(job.subject().clone()),
            };
            subject.map(|subject| subject.write()).transpose()
        })
    }

    fn close(&self) {
        if self.pid == std::process::id() {
            match &*self.attempt {
                Attempt::Started(run) => run.close(),
                Attempt::Resumed(_) => {}
            }
        }
    }
}

/// A handle for a Job that was handed over: nothing is followed.
#[pyfunction]
pub(super) fn resume(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Run> {
    let resumed = || Ok(Resumed::new(cluster.handle()?, Subject::read(request)?));
    let attempt = resumed().map_err(|error| raised(py, &error))?;
    Ok(Run {
        attempt: Arc::new(Attempt::Resumed(Box::new(attempt))),
        woken: Arc::default(),
        held: Arc::default(),
        pid: std::process::id(),
    })
}

impl Run {
    /// The tasks and sockets of a run stay in the process that started it.
    fn same_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.pid == std::process::id() {
            Ok(())
        } else {
            Err(raised(py, &Error::internal("a Run was used in a process forked from the one that started it")))
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            // Inherited by a fork: ending its task would touch locks of threads that do not exist here.
            std::mem::forget(Arc::clone(&self.attempt));
        }
    }
}

pub(super) fn as_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    match event {
        Event::Submitted { job, origin, made_by_try } => {
            dict.set_item("kind", "submitted")?;
            dict.set_item("name", job.name)?;
            dict.set_item("namespace", job.namespace)?;
            dict.set_item("uid", job.uid)?;
            dict.set_item("origin", python(py, &json(&origin)?)?)?;
            dict.set_item("try_number", made_by_try)?;
        }
        Event::Message(message) => merge(py, &dict, "message", &json(&message)?)?,
        Event::Log(record) => {
            dict.set_item("kind", "log")?;
            dict.set_item("pod", record.pod)?;
            dict.set_item("container", record.container)?;
            dict.set_item("text", record.text)?;
            dict.set_item("lines", record.lines)?;
            dict.set_item("timestamp", record.timestamp)?;
            dict.set_item("mark", record.mark)?;
        }
        Event::Outcome(outcome) => merge(py, &dict, "outcome", &json(&*outcome)?)?,
    }
    Ok(dict)
}

impl Events for Attempt {
    type Event = Event;

    async fn next(&self) -> Option<Result<Event, Error>> {
        match self {
            Self::Started(run) => run.next().await,
            Self::Resumed(_) => None,
        }
    }
}
