//! `Work`: something under way that Python waits for event by event. So far: an order to delete Jobs.

use std::sync::{Arc, OnceLock};

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use tokio::sync::Notify;

use super::{
    cluster::Cluster,
    errors::raised,
    events::{self, Events, json, merge},
    runtime,
};
use crate::{
    delete::{DeleteRequest, Deletion, DeletionEvent},
    error::Error,
};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Work {
    deletion: Arc<Deletion>,
    woken: Arc<Notify>,
    /// An error that came behind events already handed over.
    held: Arc<OnceLock<Error>>,
    pid: u32,
}

/// Starts an order to delete Jobs.
#[pyfunction]
pub(super) fn delete_jobs(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Work> {
    let deletion = runtime::done(py, || {
        let order = DeleteRequest::read(request)?;
        let cluster = cluster.handle()?;
        let _context = runtime::runtime()?.enter();
        Ok(Deletion::start(cluster, order))
    })?;
    Ok(Work { deletion: Arc::new(deletion), woken: Arc::default(), held: Arc::default(), pid: std::process::id() })
}

#[pymethods]
impl Work {
    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        if self.pid != std::process::id() {
            return Err(raised(
                py,
                &Error::internal("a Work was used in a process forked from the one that started it"),
            ));
        }
        let (deletion, woken, held) = (Arc::clone(&self.deletion), Arc::clone(&self.woken), Arc::clone(&self.held));
        let timeout = runtime::seconds(timeout);
        let taking = async move { events::take(&*deletion, &woken, &held, timeout).await };
        let list = PyList::empty(py);
        for piece in runtime::wait(py, taking)? {
            list.append(as_dict(py, piece)?)?;
        }
        Ok(list)
    }

    fn wake(&self) {
        if self.pid == std::process::id() {
            self.woken.notify_one();
        }
    }

    fn close(&self) {
        if self.pid == std::process::id() {
            self.deletion.close();
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            // Inherited by a fork: ending its task would touch locks of threads that do not exist here.
            std::mem::forget(Arc::clone(&self.deletion));
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
