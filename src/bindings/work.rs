//! `Work`: something under way that Python waits for event by event. So far: an order to delete Jobs.

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use super::{
    cluster::Cluster,
    events::{Events, InSteps, json, merge},
    runtime,
};
use crate::{
    delete::{DeleteRequest, Deletion, DeletionEvent},
    error::Error,
};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Work(InSteps<Deletion>);

/// Starts an order to delete Jobs.
#[pyfunction]
pub(super) fn delete_jobs(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Work> {
    let deletion = runtime::done(py, || {
        let order = DeleteRequest::read(request)?;
        let cluster = cluster.handle()?;
        let _context = runtime::runtime()?.enter();
        Ok(Deletion::start(cluster, order))
    })?;
    Ok(Work(InSteps::new("Work", deletion)))
}

#[pymethods]
impl Work {
    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        self.0.next(py, timeout, as_dict)
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn close(&self) {
        if let Some(deletion) = self.0.work.here() {
            deletion.close();
        }
    }
}

impl Events for Deletion {
    type Event = DeletionEvent;

    async fn next(&self) -> Option<Result<DeletionEvent, Error>> {
        Self::next(self).await
    }
}

fn as_dict(py: Python<'_>, piece: DeletionEvent) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    match piece {
        DeletionEvent::Message(message) => merge(py, &dict, "message", &json(&message)?)?,
        DeletionEvent::Deleted { job, pods_kept } => {
            merge(py, &dict, "deleted", &json(&job)?)?;
            dict.set_item("pods_kept", pods_kept)?;
        }
        DeletionEvent::Ended(jobs) => merge(py, &dict, "ended", &json(&jobs)?)?,
    }
    Ok(dict)
}
