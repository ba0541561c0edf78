//! The labels and annotations that an Airflow installation wants on every Job and its Pods, so that people find them and
//! know what they cost. Pure.
//!
//! Promise: a label or annotation of the user under the same key stays, and nothing of ours is decided by any of these.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    error::{Error, Report},
    identity::{
        Attempt, LABEL_KEY_RULE, MANAGED_BY, PREFIX, annotation_key_fault, label_key_fault, safe_label_value,
        task_labels,
    },
};

/// Labels of Pods that the Job controller sets itself: a Job whose template has others of them is refused.
const OF_THE_JOB_CONTROLLER: &[&str] =
    &["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/// What an installation wants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Marking {
    /// What the keys of the labels `dag_id`, `task_id`, `run_id`, `map_index` and `try_number` begin with; without it
    /// the labels are not written.
    pub task_label_prefix: Option<String>,
    /// More labels. A value that Kubernetes would refuse is shortened as an id is: an installation cannot know what its
    /// template becomes in each task.
    pub default_labels: BTreeMap<String, String>,
    /// More annotations.
    pub default_annotations: BTreeMap<String, String>,
}

impl Marking {
    /// Refuses keys that Kubernetes would refuse, or that are ours.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(prefix) = &self.task_label_prefix {
            check("task_label_prefix", &format!("{prefix}dag_id"), label_key_fault)?;
        }
        self.default_labels.keys().try_for_each(|key| check("default_labels", key, label_key_fault))?;
        self.default_annotations.keys().try_for_each(|key| check("default_annotations", key, annotation_key_fault))
    }

    /// The labels of this attempt's Job and its Pods.
    pub(super) fn labels(&self, attempt: &Attempt) -> BTreeMap<String, String> {
        let prefix = self.task_label_prefix.as_ref();
        let mut labels = prefix.map_or_else(BTreeMap::new, |prefix| task_labels(attempt, prefix));
        labels.extend(self.default_labels.iter().map(|(key, value)| (key.clone(), safe_label_value(value))));
        labels
    }
}

fn check(option: &str, key: &str, fault: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let taken = key.starts_with(PREFIX) || key == MANAGED_BY || OF_THE_JOB_CONTROLLER.contains(&key);
    let fault = if taken { Some("this key is written by us or by Kubernetes".to_owned()) } else { fault(key) };
    let Some(fault) = fault else { return Ok(()) };
    Err(Error::Configuration(Box::new(
        Report::new(format!("The option `{option}` cannot be used: the key `{}`", key.escape_debug()))
            .seen(fault)
            .hint(format!("give {LABEL_KEY_RULE}; it does not begin with `{PREFIX}`"))
            .fact("path", option),
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::TaskIdentity;

    fn attempt() -> Attempt {
        let task = TaskIdentity {
            deployment: "prod".into(),
            dag_id: "etl".into(),
            run_id: "manual__2026-01-01T00:00:00+00:00".into(),
            task_id: "train".into(),
            map_index: -1,
        };
        Attempt { task, try_number: 2, instance: "i".into(), max_tries: None, retries: None, clear_number: None }
    }

    fn marking(options: serde_json::Value) -> Marking {
        serde_json::from_value(options).unwrap()
    }

    #[test]
    fn default_label_wins_over_that_of_the_task_and_is_made_a_value() {
        let labels =
            marking(json!({"task_label_prefix": "", "default_labels": {"task_id": "ours", "owner": "data team"}}))
                .labels(&attempt());
        assert_eq!((labels["dag_id"].as_str(), labels["task_id"].as_str()), ("etl", "ours"));
        assert_eq!(labels["owner"], safe_label_value("data team"));
        assert_eq!(marking(json!({})).labels(&attempt()), BTreeMap::new());
    }

    #[test]
    fn key_that_kubernetes_refuses_or_that_is_ours_is_refused_by_its_option() {
        for (options, path) in [
            (json!({"task_label_prefix": "a b/"}), "task_label_prefix"),
            (json!({"task_label_prefix": "unique-k8s-job/"}), "task_label_prefix"),
            (json!({"default_labels": {"a/b/c": "x"}}), "default_labels"),
            (json!({"default_labels": {"job-name": "x"}}), "default_labels"),
            (json!({"default_labels": {"app.kubernetes.io/managed-by": "x"}}), "default_labels"),
            (json!({"default_annotations": {"unique-k8s-job/owner": "x"}}), "default_annotations"),
        ] {
            let error = marking(options).check().unwrap_err();
            assert_eq!(error.report().facts["path"], path);
        }
        let fine = json!({"task_label_prefix": "airflow.example.com/", "default_labels": {"team": "é"},
            "default_annotations": {"Contact": "é"}});
        assert!(marking(fine).check().is_ok());
    }
}
