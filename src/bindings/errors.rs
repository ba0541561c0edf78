//! The crate's errors as the exceptions of `unique_k8s_job.exceptions`.

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use serde_json::Value;

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

/// A JSON value as Python's own types.
pub(super) fn python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into_pyobject(py)?.into_any(),
            (None, Some(float)) => float.into_pyobject(py)?.into_any(),
            (None, None) => number.to_string().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}
