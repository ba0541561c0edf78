//! Values on their way into Python and back: dicts, lists, texts and numbers, as JSON has them.

use std::{cell::Cell, fmt};

use pyo3::prelude::*;
use pythonize::{Depythonizer, pythonize};
use serde::{
    Deserializer, Serialize,
    de::{DeserializeSeed, Error as Refusal, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use super::errors::raised;
use crate::error::{Error, Report};

/// Values that contain each other so deep are refused, as a parser of JSON refuses them: the stack is not endless.
const DEEPEST: usize = 128;

/// A request that Python gives as a dict. Which keys it may have, and what they hold, is said where it is read.
pub(super) struct Request(pub Value);

impl<'py> FromPyObject<'_, 'py> for Request {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let too_deep = Cell::new(false);
        let value = Levels { left: DEEPEST, too_deep: &too_deep };
        if let Ok(value) = value.deserialize(&mut Depythonizer::from_object(&given)) {
            return Ok(Self(value));
        }
        let seen = if too_deep.get() {
            format!("values in more than {DEEPEST} levels, or one that contains itself")
        } else {
            // Only a refusal needs the path, which costs as much as all the rest. The error itself may quote the value.
            let mut track = serde_path_to_error::Track::new();
            let mut values = Depythonizer::from_object(&given);
            let refused = value.deserialize(serde_path_to_error::Deserializer::new(&mut values, &mut track));
            debug_assert!(refused.is_err(), "the same value is refused again");
            format!("`{}` is no value that JSON has", track.path())
        };
        Err(raised(given.py(), &Error::Configuration(Box::new(Report::new("The request cannot be read").seen(seen)))))
    }
}

/// A value of JSON with at most so many levels below it.
#[derive(Clone, Copy)]
struct Levels<'a> {
    left: usize,
    too_deep: &'a Cell<bool>,
}

impl Levels<'_> {
    /// What a value on this level may hold.
    fn below<E: Refusal>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1);
        self.too_deep.set(left.is_none());
        left.map(|left| Self { left, ..self }).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Levels<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Refusal>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or_default());
        while let Some(item) = items.next_element_seed(self.below::<A::Error>()?)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            object.insert(key, entries.next_value_seed(self.below::<A::Error>()?)?);
        }
        Ok(object.into())
    }
}

/// A value of ours as Python's own types. By way of JSON, so that the keys of all maps are texts.
pub(super) fn python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let json = serde_json::to_value(value);
    let json = json.map_err(|error| raised(py, &Error::internal(error.to_string())))?;
    Ok(pythonize(py, &json)?)
}
