//! Functions of values: names, manifests, the default deployment id. No I/O, no waiting.

use pyo3::prelude::*;

use super::{checked_request::ToRun, runtime};
use crate::{
    error::Error,
    identity::{self, InvalidName},
    manifest::ARGUMENTS,
};

#[pyfunction]
pub(super) fn job_name(py: Python<'_>, request: ToRun) -> PyResult<String> {
    runtime::done(py, || Ok(request.0.name(0).as_str().to_owned()))
}

#[pyfunction]
pub(super) fn assemble(py: Python<'_>, request: ToRun) -> PyResult<String> {
    let request = request.0;
    runtime::done(py, || {
        let namespace = request.namespace()?.map_or_else(|| "default".parse(), Ok);
        let namespace = namespace.map_err(|invalid: InvalidName| invalid.in_configuration())?;
        let draft = request.draft(0, &namespace, request.ttl_plan().at_creation)?;
        String::from_utf8(draft.body).map_err(|error| Error::internal(error.to_string()))
    })
}

#[pyfunction]
pub(super) fn deployment_digest(key: &str, base_url: &str, execution_api_url: &str) -> String {
    identity::deployment_digest(key, base_url, execution_api_url)
}

#[pyfunction]
pub(super) fn job_arguments() -> Vec<(&'static str, &'static str)> {
    ARGUMENTS.iter().map(|argument| (argument.name, argument.given_as.as_str())).collect()
}
