//! `Run`: one attempt at work, as a thread of Python holds it.

use std::sync::Arc;

use pyo3::{prelude::*, types::PyList};

use super::{
    checked_request::ToRun,
    cluster::Cluster,
    events::{InSteps, as_dict},
    runtime,
    work::Work,
};
use crate::{
    model::handoff::Handoff,
    session::{self, Event, Session},
};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Run(InSteps<Session>);

#[pymethods]
impl Run {
    #[new]
    fn new(py: Python<'_>, cluster: &Cluster, request: ToRun) -> PyResult<Self> {
        let run = runtime::done(py, || {
            let cluster = cluster.handle()?;
            let _context = runtime::runtime()?.enter();
            Ok(Session::submit(cluster, Arc::unwrap_or_clone(request.0)))
        })?;
        Ok(Self(InSteps::new("Run", run)))
    }

    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        self.0.next(py, timeout)
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn acknowledge<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let run = self.0.work.get(py)?;
        let list = PyList::empty(py);
        for message in runtime::wait(py, async move { run.acknowledge().await })? {
            list.append(as_dict(py, Event::Message(message))?)?;
        }
        Ok(list)
    }

    #[pyo3(signature = (confirm_for=60.0))]
    fn delete(&self, py: Python<'_>, confirm_for: f64) -> PyResult<Work> {
        let session: Arc<Session> = self.0.work.get(py)?;
        Work::start(py, || Ok(session::Work::delete_own(session, runtime::seconds(confirm_for))))
    }

    fn hand_over(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let run = self.0.work.get(py)?;
        runtime::done(py, || run.hand_over().map(|handoff| handoff.write()).transpose())
    }

    fn close(&self) {
        if let Some(run) = self.0.work.here() {
            run.close();
        }
    }
}

/// The namespace and the name that a first try gives to the Job of a request. Asks nothing of the API server.
#[pyfunction]
pub(super) fn destination(py: Python<'_>, cluster: &Cluster, request: ToRun) -> PyResult<(String, String)> {
    let (request, cluster) = (request.0, runtime::done(py, || cluster.handle())?);
    runtime::wait(py, async move {
        let namespace = match request.namespace()? {
            Some(namespace) => namespace,
            None => cluster.namespace().await?,
        };
        Ok((namespace.to_string(), request.name(0).as_str().to_owned()))
    })
}

/// A handle for a Job that was handed over: nothing is followed.
#[pyfunction]
pub(super) fn resume(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Run> {
    let run = runtime::done(py, || Ok(Session::resume(cluster.handle()?, Handoff::read(request)?)))?;
    Ok(Run(InSteps::new("Run", run)))
}
