//! The crate's errors as the exceptions of `unique_k8s_job.exceptions`.

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use super::values::python;
use crate::error::{Error, Report};

/// The exception for an error; where the Python package cannot be imported, that failure.
pub(super) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error.class(), error.report()).unwrap_or_else(|failure| failure)
}

fn exception(py: Python<'_>, class: &str, report: &Report) -> PyResult<PyErr> {
    let class = py.import("unique_k8s_job.exceptions")?.getattr(class)?;
    let facts = PyDict::new(py);
    for (name, value) in &report.facts {
        facts.set_item(name, python(py, value)?)?;
    }
    facts.set_item("seen", PyList::new(py, &report.seen)?)?;
    facts.set_item("hint", report.hint.as_deref())?;
    Ok(PyErr::from_value(class.call((&report.message,), Some(&facts))?))
}
