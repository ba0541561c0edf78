//! Values on their way into Python and back: dicts, lists, texts and numbers, as JSON has them.

use pyo3::{
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};
use pythonize::{Depythonizer, pythonize};
use serde::Serialize;
use serde_json::Value;

use super::errors::raised;
use crate::error::{Error, Report};

/// Values that contain each other so deep are refused, as a parser of JSON refuses them: the stack is not endless.
const DEEPEST: usize = 128;

/// A request that Python gives as a dict. Which keys it may have, and what they hold, is said where it is read.
pub(super) struct Request(pub Value);

impl<'py> FromPyObject<'_, 'py> for Request {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let refused = |seen: String| {
            raised(given.py(), &Error::Configuration(Box::new(Report::new("The request cannot be read").seen(seen))))
        };
        if deeper(&given, DEEPEST)? {
            return Err(refused(format!("values in more than {DEEPEST} levels, or one that contains itself")));
        }
        let mut values = Depythonizer::from_object(&given);
        // The error itself may quote the value.
        let why = |error: serde_path_to_error::Error<_>| format!("`{}` is no value that JSON has", error.path());
        serde_path_to_error::deserialize(&mut values).map(Self).map_err(|error| refused(why(error)))
    }
}

/// Whether a value has more levels than that.
fn deeper(value: &Bound<'_, PyAny>, levels: usize) -> PyResult<bool> {
    let inner = match value.cast::<PyDict>() {
        Ok(dict) => dict.values().into_any(),
        Err(_) if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() => value.clone(),
        Err(_) => return Ok(false),
    };
    for item in inner.try_iter()? {
        if levels == 0 || deeper(&item?, levels - 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A value of ours as Python's own types. By way of JSON, so that the keys of all maps are texts.
pub(super) fn python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let json = serde_json::to_value(value);
    let json = json.map_err(|error| raised(py, &Error::internal(error.to_string())))?;
    Ok(pythonize(py, &json)?)
}
