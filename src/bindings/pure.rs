//! Functions of values: names, manifests, the default deployment id. No I/O, no runtime.

use pyo3::prelude::*;

use super::errors::raised;
use crate::{error::Error, identity, job::order::Order};

#[pyfunction]
pub(super) fn job_name(py: Python<'_>, request: &str) -> PyResult<String> {
    let order = Order::read(request).map_err(|error| raised(py, &error))?;
    Ok(order.name(0).as_str().to_owned())
}

#[pyfunction]
pub(super) fn assemble(py: Python<'_>, request: &str) -> PyResult<String> {
    let draft = || -> Result<String, Error> {
        let order = Order::read(request)?;
        let draft = order.draft(0, &order.namespace("default"), order.ttl_plan().at_creation)?;
        String::from_utf8(draft.body).map_err(|error| Error::internal(error.to_string()))
    };
    draft().map_err(|error| raised(py, &error))
}

#[pyfunction]
pub(super) fn deployment_digest(key: &str, base_url: &str, execution_api_url: &str) -> String {
    identity::deployment_digest(key, base_url, execution_api_url)
}
