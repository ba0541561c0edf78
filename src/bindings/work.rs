//! `Work`: a deletion under way, whose events Python takes.

use pyo3::{prelude::*, types::PyList};

use super::{cluster::Cluster, events::InSteps, runtime, values::Request};
use crate::{delete::DeleteRequest, error::Error, session};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Work(InSteps<session::Work>);

/// Starts an order to delete Jobs.
#[pyfunction]
pub(super) fn delete_jobs(py: Python<'_>, cluster: &Cluster, request: Request) -> PyResult<Work> {
    Work::start(py, || {
        let order = DeleteRequest::read(&request.0)?;
        Ok(session::Work::delete_jobs(cluster.handle()?, order))
    })
}

impl Work {
    /// What `begin` begins, inside the runtime of this process.
    pub fn start(py: Python<'_>, begin: impl FnOnce() -> Result<session::Work, Error>) -> PyResult<Self> {
        let work = runtime::done(py, || {
            let _context = runtime::runtime()?.enter();
            begin()
        })?;
        Ok(Self(InSteps::new("Work", work)))
    }
}

#[pymethods]
impl Work {
    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        self.0.next(py, timeout)
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn close(&self) {
        if let Some(work) = self.0.work.here() {
            work.close();
        }
    }
}
