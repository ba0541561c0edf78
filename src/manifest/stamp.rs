//! Adds our name, namespace, labels, annotations and TTL to the Job, as the last step before it is sent.
//!
//! Promise: no label or annotation that we rely on can come from the user; whatever else we write gives way to what the
//! user wrote under the same key.

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

/// Texts by key.
type Texts = BTreeMap<String, String>;

/// What is written on a Job and its Pods beside what the user wrote.
#[derive(Debug, Clone, Default)]
pub struct Stamp {
    /// Labels of both, in place of any others of these keys.
    pub labels: Texts,
    /// Labels of the Job alone.
    pub job_labels: Texts,
    /// Annotations of the Job.
    pub annotations: Texts,
    /// Annotations of its Pods.
    pub pod_annotations: Texts,
    /// Labels of both that give way to what the user wrote under the same key.
    pub offered_labels: Texts,
    /// Annotations of both that do so.
    pub offered_annotations: Texts,
}

/// Adds everything that makes a Job ours.
pub fn stamp(
    mut job: Value,
    name: &JobName,
    namespace: &Namespace,
    added: &Stamp,
    ttl: Option<u32>,
) -> Result<Value, Error> {
    refuse_our_prefix(&job, "/metadata")?;
    offer(&mut job["spec"]["template"]["metadata"], added);
    stamp_pods(&mut job, added)?;
    let metadata = &mut job["metadata"];
    metadata["name"] = json!(name.as_str());
    metadata["namespace"] = json!(namespace.as_str());
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("generateName");
    }
    offer(metadata, added);
    extend(metadata, "labels", &added.labels);
    extend(metadata, "labels", &added.job_labels);
    extend(metadata, "annotations", &added.annotations);
    if let Some(spec) = job["spec"].as_object_mut() {
        match ttl {
            Some(seconds) => spec.insert("ttlSecondsAfterFinished".into(), json!(seconds)),
            None => spec.remove("ttlSecondsAfterFinished"),
        };
    }
    refuse_too_large(&job)?;
    Ok(job)
}

/// Adds what is written on the Pods of a Job in any case.
pub(super) fn stamp_pods(job: &mut Value, added: &Stamp) -> Result<(), Error> {
    refuse_our_prefix(job, "/spec/template/metadata")?;
    let metadata = &mut job["spec"]["template"]["metadata"];
    extend(metadata, "labels", &added.labels);
    extend(metadata, "annotations", &added.pod_annotations);
    Ok(())
}

/// The labels of a Job and its Pods whose values ours replace, each with its old value: `app.kubernetes.io/managed-by`,
/// which Helm writes.
#[must_use]
pub fn replaced_labels(job: &Value, labels: &Texts) -> Vec<(String, String)> {
    let of = |path: &str| job.pointer(path).and_then(Value::as_object).into_iter().flatten();
    let present = of("/metadata/labels").chain(of("/spec/template/metadata/labels"));
    let replaced = present.filter_map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        labels.get(key).is_some_and(|ours| ours != value).then(|| (key.clone(), value.to_owned()))
    });
    let unique: BTreeMap<_, _> = replaced.collect();
    unique.into_iter().collect()
}

fn extend(metadata: &mut Value, key: &str, added: &Texts) {
    if let Some(present) = texts(metadata, key, added) {
        present.extend(added.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
}

fn offer(metadata: &mut Value, added: &Stamp) {
    for (key, offered) in [("labels", &added.offered_labels), ("annotations", &added.offered_annotations)] {
        if let Some(present) = texts(metadata, key, offered) {
            for (key, value) in offered {
                present.entry(key).or_insert_with(|| json!(value));
            }
        }
    }
}

/// The labels or annotations that are there; none if there is nothing to add to them.
fn texts<'a>(metadata: &'a mut Value, key: &str, added: &Texts) -> Option<&'a mut Map<String, Value>> {
    if added.is_empty() {
        return None;
    }
    if metadata[key].is_null() {
        metadata[key] = json!({});
    }
    metadata[key].as_object_mut()
}

fn refuse_our_prefix(job: &Value, path: &str) -> Result<(), Error> {
    for kind in ["labels", "annotations"] {
        let keys = job.pointer(&format!("{path}/{kind}")).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        if let Some(key) = keys.into_iter().find(|key| key.starts_with(PREFIX)) {
            let field = format!("{}.{kind}", path.trim_start_matches('/').replace('/', "."));
            return Err(invalid(
                &field,
                format!("`{key}`"),
                format!("keys that begin with `{PREFIX}` are ours: use another prefix"),
            ));
        }
    }
    Ok(())
}

pub(super) fn refuse_too_large(job: &Value) -> Result<(), Error> {
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
        let texts = |pairs: &[(&str, &str)]| -> Texts {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let added = Stamp {
            labels: texts(&[("unique-k8s-job/task", "t")]),
            job_labels: texts(&[("unique-k8s-job/dag-id", "etl")]),
            annotations: texts(&[("unique-k8s-job/owner", "o")]),
            pod_annotations: texts(&[("unique-k8s-job/dag-id", "etl")]),
            offered_labels: texts(&[("dag_id", "etl"), ("team", "platform")]),
            offered_annotations: texts(&[("contact", "platform")]),
        };
        stamp(job, &name(), &"etl".parse().unwrap(), &added, Some(7))
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
        assert_eq!(job["spec"]["template"]["metadata"]["annotations"]["unique-k8s-job/dag-id"], "etl");
        assert!(job["spec"]["template"]["metadata"]["annotations"].get("unique-k8s-job/owner").is_none());
        assert!(job["spec"]["template"]["metadata"]["labels"].get("unique-k8s-job/dag-id").is_none());
    }

    #[test]
    fn what_is_offered_is_on_job_and_pods_where_the_user_wrote_nothing_under_the_same_key() {
        let job = json!({"metadata": {"labels": {"dag_id": "mine"}},
            "spec": {"template": {"metadata": {"labels": {"team": ""}, "annotations": {"contact": "me"}}}}});
        let job = stamped(job).unwrap();
        let pod = &job["spec"]["template"]["metadata"];
        assert_eq!((&job["metadata"]["labels"]["dag_id"], &pod["labels"]["dag_id"]), (&json!("mine"), &json!("etl")));
        assert_eq!((&job["metadata"]["labels"]["team"], &pod["labels"]["team"]), (&json!("platform"), &json!("")));
        assert_eq!(job["metadata"]["annotations"]["contact"], "platform");
        assert_eq!(pod["annotations"]["contact"], "me");
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
