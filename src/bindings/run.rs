//! `Run`: one attempt at work, as Python holds it.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use tokio::sync::{Mutex, mpsc};

use super::{
    cluster::Cluster,
    errors::{python, raised},
    events::{Events, InSteps, json, merge},
    held::Task,
    runtime,
};
use crate::{
    error::Error,
    model::{handoff::Handoff, message::Message},
    session::{Event, attempt, resumed::Resumed},
    submit::request::JobRequest,
};

/// Who works for it.
enum Attempt {
    /// A submission, and the following of its Job.
    Started(Box<attempt::Run>),
    /// A Job that was handed over; nothing is followed.
    Resumed(Box<Resumed>),
}

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Run(InSteps<Attempt>);

#[pymethods]
impl Run {
    #[new]
    fn new(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Self> {
        let run = runtime::done(py, || {
            let order = JobRequest::read(request)?;
            let cluster = cluster.handle()?;
            let _context = runtime::runtime()?.enter();
            Ok(attempt::Run::start(cluster, order))
        })?;
        Ok(Self(InSteps::new("Run", Attempt::Started(Box::new(run)))))
    }

    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        self.0.next(py, timeout, as_dict)
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn acknowledge<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let run = self.0.work.get(py)?;
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

    #[pyo3(signature = (confirm_for=60.0, say=None))]
    fn delete(&self, py: Python<'_>, confirm_for: f64, say: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
        let run = self.0.work.get(py)?;
        let within = runtime::seconds(confirm_for);
        let (news, heard) = mpsc::unbounded_channel();
        let deleting = async move {
            let tell = move |message: Message| drop(news.send(message));
            match &*run {
                Attempt::Started(run) => run.delete_telling(within, &tell).await,
                Attempt::Resumed(job) => job.delete_telling(within, &tell).await.map(Some),
            }
        };
        let mut deleting = Task(runtime::spawn(deleting).map_err(|error| raised(py, &error))?);
        let heard = Arc::new(Mutex::new(heard));
        // The sender ends with the deletion.
        loop {
            let heard = Arc::clone(&heard);
            let Some(message) = runtime::wait(py, async move { Ok(heard.lock().await.recv().await) })? else { break };
            if let Some(say) = say {
                say.call1((as_dict(py, Event::Message(message))?,))?;
            }
        }
        runtime::ended(py, &mut deleting)
    }

    fn hand_over(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let run = self.0.work.get(py)?;
        runtime::done(py, || {
            let handoff = match &*run {
                Attempt::Started(run) => run.hand_over(),
                Attempt::Resumed(job) => Some(job.handoff().clone()),
            };
            handoff.map(|handoff| handoff.write()).transpose()
        })
    }

    fn close(&self) {
        match self.0.work.here().map(|run| &**run) {
            Some(Attempt::Started(run)) => run.close(),
            Some(Attempt::Resumed(_)) | None => {}
        }
    }
}

/// The namespace and the name that a first try gives to the Job of a request. Asks nothing of the API server.
#[pyfunction]
pub(super) fn destination(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<(String, String)> {
    let (order, cluster) = runtime::done(py, || Ok((JobRequest::read(request)?, cluster.handle()?)))?;
    runtime::wait(py, async move {
        let namespace = match order.namespace()? {
            Some(namespace) => namespace,
            None => cluster.namespace().await?,
        };
        Ok((namespace.to_string(), order.name(0).as_str().to_owned()))
    })
}

/// A handle for a Job that was handed over: nothing is followed.
#[pyfunction]
pub(super) fn resume(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Run> {
    let attempt = runtime::done(py, || Ok(Resumed::new(cluster.handle()?, Handoff::read(request)?)))?;
    Ok(Run(InSteps::new("Run", Attempt::Resumed(Box::new(attempt)))))
}

pub(super) fn as_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    match event {
        Event::Submitted { job, origin, made_by_try } => {
            dict.set_item("kind", "submitted")?;
            dict.set_item("name", job.name.as_str())?;
            dict.set_item("namespace", job.namespace.as_str())?;
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
            let parts = record.parts.into_iter().map(|part| (part.lines, part.level.as_str(), part.timestamp));
            dict.set_item("parts", parts.collect::<Vec<_>>())?;
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
