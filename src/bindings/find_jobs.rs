//! `find_jobs` and `find_jobs_async`: Jobs by name, uid or labels, asked for once; `patch_job`: one of them, changed.

use pyo3::{
    prelude::*,
    types::{PyAny, PyList},
};

use super::{
    asyncio::awaitable,
    cluster::Cluster,
    runtime,
    values::{Request, python},
};
use crate::{
    error::Error,
    session::{
        find_jobs::{FoundJob, JobSelector, find_jobs as find},
        patch_job::{PatchRequest, patch_job as patch},
    },
};

#[pyfunction]
pub(super) fn find_jobs<'py>(py: Python<'py>, cluster: &Cluster, request: Request) -> PyResult<Bound<'py, PyList>> {
    let found = begin(py, cluster, request)?;
    runtime::wait(py, found)?.into_pyobject(py)
}

#[pyfunction]
pub(super) fn find_jobs_async<'py>(
    py: Python<'py>,
    cluster: &Cluster,
    request: Request,
) -> PyResult<Bound<'py, PyAny>> {
    let found = begin(py, cluster, request)?;
    awaitable(py, found)
}

#[pyfunction]
pub(super) fn patch_job<'py>(py: Python<'py>, cluster: &Cluster, request: Request) -> PyResult<Bound<'py, PyAny>> {
    let (cluster, request) = runtime::done(py, || Ok((cluster.handle()?, PatchRequest::read(&request.0)?)))?;
    let patched = runtime::wait(py, async move { patch(&cluster, &request).await })?;
    python(py, &patched)
}

fn begin(
    py: Python<'_>,
    cluster: &Cluster,
    request: Request,
) -> PyResult<impl Future<Output = Result<Jobs, Error>> + Send + 'static> {
    let (cluster, target) = runtime::done(py, || Ok((cluster.handle()?, JobSelector::read(&request.0)?)))?;
    Ok(async move { find(&cluster, &target).await.map(Jobs) })
}

/// A list of dicts, in Python.
struct Jobs(Vec<FoundJob>);

impl<'py> IntoPyObject<'py> for Jobs {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        Ok(python(py, &self.0)?.cast_into()?)
    }
}
