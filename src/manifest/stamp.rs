//! Adds our name, namespace, marks and TTL to the Job, as the last step before it is sent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::invalid;
use crate::{
    error::{Error, Report},
    identity::{JobName, Namespace, PREFIX},
};

/// The largest Job in bytes. The API server stores at most 1.5 MiB and answers larger Jobs with misleading errors; the
/// difference is room for what it adds.
const LARGEST: usize = 1 << 20;

/// Adds everything that makes a Job ours.
pub fn stamp(
    mut job: Value,
    name: &JobName,
    namespace: &Namespace,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    ttl: Option<u32>,
) -> Result<Value, Error> {
    for path in ["/metadata", "/spec/template/metadata"] {
        refuse_our_prefix(&job, path)?;
    }
    let metadata = &mut job["metadata"];
    metadata["name"] = json!(name.as_str());
    metadata["namespace"] = json!(namespace.as_str());
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("generateName");
    }
    extend(metadata, "labels", labels);
    extend(metadata, "annotations", annotations);
    extend(&mut job["spec"]["template"]["metadata"], "labels", labels);
    if let Some(spec) = job["spec"].as_object_mut() {
        match ttl {
            Some(seconds) => spec.insert("ttlSecondsAfterFinished".into(), json!(seconds)),
            None => spec.remove("ttlSecondsAfterFinished"),
        };
    }
    refuse_too_large(&job)?;
    Ok(job)
}

/// The labels of a Job and its Pods whose values ours replace, each with its old value: `app.kubernetes.io/managed-by`,
/// which Helm writes.
#[must_use]
pub fn replaced_labels(job: &Value, labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let of = |path: &str| job.pointer(path).and_then(Value::as_object).into_iter().flatten();
    let present = of("/metadata/labels").chain(of("/spec/template/metadata/labels"));
    let replaced = present.filter_map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        labels.get(key).is_some_and(|ours| ours != value).then(|| (key.clone(), value.to_owned()))
    });
    let unique: BTreeMap<_, _> = replaced.collect();
    unique.into_iter().collect()
}

fn extend(metadata: &mut Value, key: &str, marks: &BTreeMap<String, String>) {
    if metadata[key].is_null() {
        metadata[key] = json!({});
    }
    if let Some(present) = metadata[key].as_object_mut() {
        present.extend(marks.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
}

fn refuse_our_prefix(job: &Value, path: &str) -> Result<(), Error> {
    for kind in ["labels", "annotations"] {
        let keys = job.pointer(&format!("{path}/{kind}")).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        if let Some(key) = keys.into_iter().find(|key| key.starts_with(PREFIX)) {
            let place = format!("{}.{kind}", path.trim_start_matches('/').replace('/', "."));
            return Err(invalid(
                &place,
                format!("`{key}`"),
                format!("keys that begin with `{PREFIX}` are ours: use another prefix"),
            ));
        }
    }
    Ok(())
}

fn refuse_too_large(job: &Value) -> Result<(), Error> {
    let size = job.to_string().len();
    if size <= LARGEST {
        return Ok(());
    }
    let (path, largest) = largest_text(job, String::new());
    Err(Error::InvalidManifest(Box::new(
        Report::new(format!("The Job manifest is too large: {size} bytes, at most {LARGEST} can be stored"))
            .seen(format!("the largest field is {path} with {largest} bytes"))
            .hint("put data into a ConfigMap, a volume or the image")
            .fact("path", path),
    )))
}

/// The longest text in a document, and its place.
fn largest_text(value: &Value, path: String) -> (String, usize) {
    let under = |key: String| if path.is_empty() { key } else { format!("{path}.{key}") };
    let children: Vec<_> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| largest_text(value, under(key.clone()))).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, value)| largest_text(value, under(i.to_string()))).collect()
        }
        Value::String(text) => return (path, text.len()),
        _ => return (path, 0),
    };
    children.into_iter().max_by_key(|(_, size)| *size).unwrap_or((path, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Attempt, RunTime, Slug, TaskIdentity, job_name};

    fn name() -> JobName {
        let text = String::new;
        let task = TaskIdentity { deployment: text(), dag_id: text(), run_id: text(), task_id: text(), map_index: -1 };
        let attempt =
            Attempt { task, try_number: 1, instance: text(), max_tries: None, retries: None, clear_number: None };
        job_name(&attempt, &Slug::from("x"), &RunTime::from(chrono::DateTime::UNIX_EPOCH), 0)
    }

    fn stamped(job: Value) -> Result<Value, Error> {
        let marks = BTreeMap::from([("unique-k8s-job/task".to_owned(), "t".to_owned())]);
        stamp(job, &name(), &"etl".parse().unwrap(), &marks, &marks, Some(7))
    }

    #[test]
    fn name_and_namespace_are_always_ours() {
        let job = json!({"metadata": {"name": "fixed", "generateName": "g-", "namespace": "other"}, "spec": {"template": {}}});
        let job = stamped(job).unwrap();
        assert_eq!(job["metadata"]["name"], name().as_str());
        assert_eq!(job["metadata"]["namespace"], "etl");
        assert!(job["metadata"].get("generateName").is_none());
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 7);
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["unique-k8s-job/task"], "t");
        assert!(job["spec"]["template"]["metadata"].get("annotations").is_none());
    }

    #[test]
    fn label_under_our_prefix_is_refused() {
        let job =
            json!({"metadata": {}, "spec": {"template": {"metadata": {"labels": {"unique-k8s-job/owner": "me"}}}}});
        let error = stamped(job).unwrap_err();
        assert_eq!(error.report().facts["path"], "spec.template.metadata.labels");
    }

    #[test]
    fn manifest_over_one_mebibyte_is_refused_with_its_largest_field() {
        let job =
            json!({"metadata": {"annotations": {"small": "x"}}, "spec": {"template": {"big": "y".repeat(LARGEST)}}});
        let error = stamped(job).unwrap_err();
        assert_eq!(error.report().facts["path"], "spec.template.big");
    }
}
