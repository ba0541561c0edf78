//! Reads objects of the API server without those parts of their `managedFields` that nobody reads. Pure.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// An object of the API server, but for those parts of its `managedFields` that nobody reads: they may be most of it, and a
/// watch brings them again with each change.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct WithoutFields(#[serde(deserialize_with = "without_fields")] pub Value);

fn without_fields<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    const METADATA: Kept = Kept::AllBut(&[("managedFields", &ENTRIES)]);
    Kept::AllBut(&[("metadata", &METADATA)]).deserialize(from)
}

/// Reads `managedFields`, as far as this crate reads on.
pub(crate) fn read_of_managed_fields<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    ENTRIES.deserialize(from)
}

/// What is read of the entries of `managedFields`: who wrote what holds a Job.
const ENTRIES: Kept = {
    const METADATA: Kept = Kept::Only(&[("f:finalizers", &Kept::All)]);
    const SPEC: Kept = Kept::Only(&[("f:suspend", &Kept::All), ("f:parallelism", &Kept::All)]);
    const FIELDS: Kept = Kept::Only(&[("f:metadata", &METADATA), ("f:spec", &SPEC)]);
    Kept::Only(&[("manager", &Kept::All), ("time", &Kept::All), ("fieldsV1", &FIELDS)])
};

/// Which parts of a value are kept while it is read. A list is as each of its items; what is no object is kept.
#[derive(Clone, Copy)]
enum Kept {
    All,
    /// All keys of an object, of some of them a part.
    AllBut(&'static [(&'static str, &'static Self)]),
    /// These keys of an object.
    Only(&'static [(&'static str, &'static Self)]),
}

impl Kept {
    /// What is kept of the value of a key.
    fn of(self, key: &str) -> Option<Self> {
        let named = |keys: &[(&str, &Self)]| keys.iter().find(|(name, _)| *name == key).map(|(_, kept)| **kept);
        match self {
            Self::All => Some(Self::All),
            Self::AllBut(keys) => Some(named(keys).unwrap_or(Self::All)),
            Self::Only(keys) => named(keys),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Kept {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if let Self::All = self { Value::deserialize(from) } else { from.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Kept {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            match self.of(&key) {
                Some(kept) => {
                    object.insert(key, fields.next_value_seed(kept)?);
                }
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn object_loses_only_what_nobody_reads_of_its_managed_fields() {
        let object = |fields: Value| {
            json!({"kind": "Job", "metadata": {"name": "load", "labels": {"managedFields": "x"}, "managedFields": fields},
                   "spec": {"suspend": true, "managedFields": [1, -2, 0.5, null, true]}})
        };
        let whole = json!([{"manager": "kubectl", "operation": "Update", "time": "2026-01-06T10:00:00Z", "fieldsV1": {
            "f:metadata": {"f:labels": {}, "f:finalizers": {"v:\"a\"": {}}},
            "f:spec": {"f:suspend": {}, "f:template": {}}}}, 7, null, "x", []]);
        let lean = json!([{"manager": "kubectl", "time": "2026-01-06T10:00:00Z", "fieldsV1": {
            "f:metadata": {"f:finalizers": {"v:\"a\"": {}}}, "f:spec": {"f:suspend": {}}}}, 7, null, "x", []]);
        for (given, expected) in [(whole, lean), (json!(null), json!(null)), (json!({"a": 1}), json!({}))] {
            let given = object(given);
            let from_text: WithoutFields = serde_json::from_str(&given.to_string()).unwrap();
            let from_value: WithoutFields = serde_json::from_value(given).unwrap();
            assert_eq!(from_text.0, object(expected));
            assert_eq!(from_value.0, from_text.0);
        }
    }
}
