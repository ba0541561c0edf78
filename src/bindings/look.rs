//! `look` and `alook`: one look at Jobs, as Python asks for it.

use pyo3::{
    prelude::*,
    types::{PyAny, PyList},
};

use super::{
    asyncio::awaitable,
    cluster::Cluster,
    errors::{python, raised},
    events::json,
    runtime,
};
use crate::{
    error::Error,
    job::look::{Found, Target, look as look_once},
};

#[pyfunction]
pub(super) fn look<'py>(py: Python<'py>, cluster: &Cluster, request: &str) -> PyResult<Bound<'py, PyList>> {
    let look = begin(py, cluster, request)?;
    runtime::wait(py, look)?.into_pyobject(py)
}

#[pyfunction]
pub(super) fn alook<'py>(py: Python<'py>, cluster: &Cluster, request: &str) -> PyResult<Bound<'py, PyAny>> {
    let look = begin(py, cluster, request)?;
    awaitable(py, look)
}

fn begin(
    py: Python<'_>,
    cluster: &Cluster,
    request: &str,
) -> PyResult<impl Future<Output = Result<Jobs, Error>> + Send + 'static> {
    let start = || -> Result<_, Error> { Ok((cluster.handle()?, Target::read(request)?)) };
    let (cluster, target) = start().map_err(|error| raised(py, &error))?;
    Ok(async move { look_once(&cluster, &target).await.map(Jobs) })
}

/// A list of dicts, in Python.
struct Jobs(Vec<Found>);

impl<'py> IntoPyObject<'py> for Jobs {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        Ok(python(py, &json(&self.0)?)?.cast_into()?)
    }
}
