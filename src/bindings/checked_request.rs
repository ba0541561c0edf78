//! `CheckedRequest`: a request to run a Job, read once, as Python holds it. Only values, so that it survives a fork.

use std::sync::Arc;

use pyo3::prelude::*;

use super::{runtime, values::Request};
use crate::submit::request::JobRequest;

/// Who names the Job first and runs it then makes one of these, so that its manifest is read once.
#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct CheckedRequest(Arc<JobRequest>);

#[pymethods]
impl CheckedRequest {
    #[new]
    fn new(request: ToRun) -> Self {
        Self(request.0)
    }
}

/// The request of a function: one that is checked, or a dict, which is read here.
pub(super) struct ToRun(pub Arc<JobRequest>);

impl<'py> FromPyObject<'_, 'py> for ToRun {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(checked) = given.cast::<CheckedRequest>() {
            return Ok(Self(Arc::clone(&checked.get().0)));
        }
        let request: Request = given.extract()?;
        runtime::done(given.py(), || JobRequest::read(&request.0).map(|request| Self(Arc::new(request))))
    }
}
