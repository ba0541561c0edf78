//! `look`: one look at Jobs, as Python asks for it.

use pyo3::{
    prelude::*,
    types::{PyAny, PyList},
};

use super::{
    cluster::Cluster,
    errors::{python, raised},
    runtime,
};
use crate::{
    error::Error,
    job::look::{Target, look as look_once},
};

#[pyfunction]
pub(super) fn look<'py>(py: Python<'py>, cluster: &Cluster, request: &str) -> PyResult<Bound<'py, PyList>> {
    let start = || -> Result<_, Error> { Ok((cluster.handle()?, Target::read(request)?)) };
    let (cluster, target) = start().map_err(|error| raised(py, &error))?;
    let found = runtime::wait(py, async move { look_once(&cluster, &target).await })?;
    let jobs: Vec<Bound<'py, PyAny>> = found
        .iter()
        .map(|job| {
            let value = serde_json::to_value(job).map_err(|error| raised(py, &Error::internal(error.to_string())))?;
            python(py, &value)
        })
        .collect::<PyResult<_>>()?;
    PyList::new(py, jobs)
}
