//! Finds which program wrote a field of a Job last, and when, in its `managedFields`. Pure.
//!
//! The name is that of a program, such as `kubectl-patch`, and not that of a person. Source:
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

use crate::resource::read_of_managed_fields;

/// Who wrote the fields that hold a Job: only these are kept of its `managedFields`.
#[derive(Debug, Clone, Default)]
pub struct FieldManagers {
    /// Who wrote `spec.suspend`.
    pub suspend: Option<FieldManager>,
    /// Who wrote `spec.parallelism`.
    pub parallelism: Option<FieldManager>,
    /// Who set each finalizer.
    pub finalizers: BTreeMap<String, FieldManager>,
}

/// The program that wrote a field last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldManager {
    /// Its name, as it gave it.
    pub name: String,
    /// When it wrote.
    pub time: Option<Timestamp>,
}

impl fmt::Display for FieldManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        self.time.map_or(Ok(()), |time| write!(f, " at {time:.0}"))
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ManagedEntry {
    manager: String,
    time: Option<Time>,
    #[serde(rename = "fieldsV1")]
    fields: Option<ManagedFields>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ManagedFields {
    #[serde(rename = "f:metadata")]
    metadata: ManagedMetadata,
    #[serde(rename = "f:spec")]
    spec: ManagedSpec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ManagedMetadata {
    #[serde(rename = "f:finalizers")]
    finalizers: KeysOf,
}

/// The keys of an object, whatever their values are.
#[derive(Default)]
struct KeysOf(Vec<String>);

impl<'de> Deserialize<'de> for KeysOf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(from)?;
        Ok(Self(object.into_iter().map(|(key, _)| key).collect()))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ManagedSpec {
    #[serde(rename = "f:suspend")]
    suspend: Option<IgnoredAny>,
    #[serde(rename = "f:parallelism")]
    parallelism: Option<IgnoredAny>,
}

/// Reads `managedFields`, for serde. Who wrote a field only explains, so a form that is not known is passed over.
pub(super) fn field_managers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<FieldManagers>>, D::Error> {
    let Value::Array(entries) = read_of_managed_fields(from)? else { return Ok(None) };
    let mut found = FieldManagers::default();
    for entry in entries {
        let Ok(ManagedEntry { manager, time, fields: Some(fields) }) = serde_json::from_value(entry) else { continue };
        let manager = FieldManager { name: manager, time: time.map(|time| time.0) };
        let newer = |known: &Option<FieldManager>| known.as_ref().is_none_or(|known| known.time <= manager.time);
        if fields.spec.suspend.is_some() && newer(&found.suspend) {
            found.suspend = Some(manager.clone());
        }
        if fields.spec.parallelism.is_some() && newer(&found.parallelism) {
            found.parallelism = Some(manager.clone());
        }
        for value in &fields.metadata.finalizers.0 {
            // Each value of a list is a key `v:"..."`.
            let Some(name) = value.strip_prefix("v:").and_then(|text| serde_json::from_str::<String>(text).ok()) else {
                continue;
            };
            if newer(&found.finalizers.get(&name).cloned()) {
                found.finalizers.insert(name, manager.clone());
            }
        }
    }
    Ok(Some(Box::new(found)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::job::JobMetadata;

    #[test]
    fn last_writer_of_a_field_is_found_and_what_is_not_understood_is_passed_over() {
        let metadata = json!({"managedFields": [
            {"manager": "kubectl-create", "operation": "Update", "time": "2026-01-06T10:00:00Z",
             "fieldsV1": {"f:metadata": {"f:finalizers": {".": {}, "v:\"example.com/backup\"": {}}},
                          "f:spec": {"f:suspend": {}, "f:template": {"f:spec": {}}}}},
            {"manager": "kubectl-patch", "time": "2026-01-06T10:05:00Z", "fieldsV1": {"f:spec": {"f:suspend": {}}}},
            {"manager": "odd", "fieldsV1": {"f:spec": []}}, 7, {"manager": "kube-controller-manager", "subresource": "status",
             "time": "2026-01-06T10:09:00Z", "fieldsV1": {"f:status": {}}}]});
        let metadata: JobMetadata = serde_json::from_value(metadata).unwrap();
        let found = metadata.managed_fields.unwrap();
        assert_eq!(found.suspend.unwrap().to_string(), "`kubectl-patch` at 2026-01-06T10:05:00Z");
        assert_eq!(found.finalizers["example.com/backup"].name, "kubectl-create");
        assert!(found.parallelism.is_none());
    }
}
