//! Defines the labels and annotations that we write on Jobs, and reads them back.
//!
//! The labels that we rely on hold digests under our own prefix, which nobody else may write. The labels by which people
//! find a Job hold ids of Airflow, shortened where Kubernetes takes less; nothing is decided by them. Annotations hold
//! the whole ids.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    attempt::{Attempt, AttemptDigest, TaskDigest, TaskIdentity, describe_parts},
    label_syntax::safe_label_value,
    manifest_digest::ManifestDigest,
    owner::Owner,
};

/// The prefix of all our labels and annotations.
pub const PREFIX: &str = "unique-k8s-job/";
/// Label: the value is `unique-k8s-job`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: the digest of the task, by which a retry finds Jobs of earlier tries.
pub const TASK: &str = "unique-k8s-job/task";
/// Label and annotation: the digest of the attempt that made the Job.
pub const ATTEMPT: &str = "unique-k8s-job/attempt";
/// Label: set once the attempt has reached its verdict.
pub const ACKNOWLEDGED: &str = "unique-k8s-job/acknowledged";
/// Annotation: which attempt may write to the Job and delete it.
pub const OWNER: &str = "unique-k8s-job/owner";

/// Annotation: how far the log was delivered, as the waiter of the Job wrote it.
pub const LOG_POSITIONS: &str = "unique-k8s-job/log-positions";

/// Annotation: the exit code of the base container, as the verdict over the Job has it.
pub const EXIT_CODE: &str = "unique-k8s-job/exit-code";

const DEPLOYMENT: &str = "unique-k8s-job/deployment";
const DAG_ID: &str = "unique-k8s-job/dag-id";
const RUN_ID: &str = "unique-k8s-job/run-id";
/// Our name: the value of the label [`MANAGED_BY`] on all our Jobs and Pods, and the field manager of what we write.
pub const OURS: &str = "unique-k8s-job";
const TASK_ID: &str = "unique-k8s-job/task-id";
const MAP_INDEX: &str = "unique-k8s-job/map-index";
const TRY_NUMBER: &str = "unique-k8s-job/try-number";
const INSTANCE: &str = "unique-k8s-job/instance";
const MAX_TRIES: &str = "unique-k8s-job/max-tries";
const CLEAR_NUMBER: &str = "unique-k8s-job/clear-number";
const MANIFEST_DIGEST: &str = "unique-k8s-job/manifest-digest";
const PROTOCOL_VERSION: &str = "unique-k8s-job/protocol-version";

/// The labels of an attempt's Job and of its Pods.
#[must_use]
pub fn labels(attempt: &Attempt) -> BTreeMap<String, String> {
    BTreeMap::from([
        (MANAGED_BY.into(), OURS.into()),
        (TASK.into(), attempt.task.digest().to_string()),
        (ATTEMPT.into(), attempt.label()),
    ])
}

/// Further labels of the Job alone, by which Jobs of a DAG, a task or a run are listed. No user can write them, and
/// nothing but a list is asked by them.
#[must_use]
pub fn search_labels(attempt: &Attempt) -> BTreeMap<String, String> {
    let TaskIdentity { dag_id, run_id, task_id, .. } = &attempt.task;
    let ids = [(DAG_ID, dag_id), (RUN_ID, run_id), (TASK_ID, task_id)];
    ids.into_iter().map(|(key, id)| (key.into(), safe_label_value(id))).collect()
}

/// The label selector for all Jobs of ours, or for those of a DAG, a task, a run. Different ids may have one label, so
/// the annotations have the last word.
#[must_use]
pub fn search_selector(dag: Option<&str>, task: Option<&str>, run: Option<&str>) -> String {
    let ids = [(DAG_ID, dag), (TASK_ID, task), (RUN_ID, run)];
    let narrower = ids.into_iter().filter_map(|(key, id)| Some(format!("{key}={}", safe_label_value(id?))));
    std::iter::once(TASK.to_owned()).chain(narrower).collect::<Vec<_>>().join(",")
}

/// The labels by which people find a Job and its Pods: the keys and values that cncf.kubernetes writes on its Pods,
/// each key after `prefix`. A label `airflow_version` is not among them, because the command `airflow kubernetes
/// cleanup-pods` deletes Pods that have it beside these; nor is `kubernetes_pod_operator`, by which the operator of that
/// provider looks for Pods to take over.
#[must_use]
pub fn task_labels(attempt: &Attempt, prefix: &str) -> BTreeMap<String, String> {
    let TaskIdentity { dag_id, run_id, task_id, map_index, .. } = &attempt.task;
    let mapped = (*map_index >= 0).then(|| ("map_index", map_index.to_string()));
    let ids = [("dag_id", dag_id), ("run_id", run_id), ("task_id", task_id)];
    ids.into_iter()
        .map(|(key, id)| (key, safe_label_value(id)))
        .chain(mapped)
        .chain([("try_number", attempt.try_number.to_string())])
        .map(|(key, value)| (format!("{prefix}{key}"), value))
        .collect()
}

/// The annotations of the Pods of an attempt's Job: the ids of Airflow, whole.
#[must_use]
pub fn pod_annotations(attempt: &Attempt) -> BTreeMap<String, String> {
    let task = &attempt.task;
    BTreeMap::from([
        (DAG_ID.into(), task.dag_id.clone()),
        (RUN_ID.into(), task.run_id.clone()),
        (TASK_ID.into(), task.task_id.clone()),
        (MAP_INDEX.into(), task.map_index.to_string()),
        (TRY_NUMBER.into(), attempt.try_number.to_string()),
    ])
}

/// The annotations of an attempt's Job.
#[must_use]
pub fn annotations(attempt: &Attempt, manifest: &ManifestDigest) -> BTreeMap<String, String> {
    let task = &attempt.task;
    let mut annotations = pod_annotations(attempt);
    annotations.extend([
        (DEPLOYMENT.into(), task.deployment.clone()),
        (INSTANCE.into(), attempt.instance.clone()),
        (ATTEMPT.into(), attempt.digest().to_string()),
        (OWNER.into(), attempt.owner().to_string()),
        (MANIFEST_DIGEST.into(), manifest.to_string()),
        (PROTOCOL_VERSION.into(), super::digest::VERSION.to_string()),
    ]);
    for (key, value) in [(MAX_TRIES, attempt.max_tries), (CLEAR_NUMBER, attempt.clear_number)] {
        if let Some(value) = value {
            annotations.insert(key.into(), value.to_string());
        }
    }
    annotations
}

/// Our labels and annotations on a Job, as they were read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptMetadata {
    /// The task instance, if all its ids are there.
    pub task: Option<TaskIdentity>,
    /// The digest of the task.
    pub task_digest: TaskDigest,
    /// The digest of the attempt that made the Job.
    pub attempt_digest: AttemptDigest,
    /// The attempt that may write to the Job now.
    pub owner: Owner,
    /// The try that made it.
    pub try_number: u32,
    /// `max_tries` as that try saw it.
    pub max_tries: Option<i64>,
    /// `clear_number` as that try saw it.
    pub clear_number: Option<i64>,
    /// The digest of what the Job was made from.
    pub manifest_digest: ManifestDigest,
    /// Whether an attempt has reached its verdict about the Job.
    pub acknowledged: bool,
    /// The exit code of its base container, as that attempt saw it.
    pub exit_code: Option<i32>,
    described: String,
}

impl AttemptMetadata {
    /// Reads a Job; `None` if one of the labels and annotations that prove it ours is missing.
    #[must_use]
    pub fn read(job: &Value) -> Option<Self> {
        let metadata = &job["metadata"];
        let annotation = |key: &str| metadata["annotations"][key].as_str();
        let label = |key: &str| metadata["labels"][key].as_str();
        let number = |key: &str| annotation(key).and_then(|text| text.parse().ok());
        let try_number: u32 = annotation(TRY_NUMBER)?.parse().ok()?;
        let text = |key: &str| annotation(key).unwrap_or("?").to_owned();
        let whole = |key: &str| annotation(key).map(str::to_owned);
        let task = || {
            Some(TaskIdentity {
                deployment: whole(DEPLOYMENT)?,
                dag_id: whole(DAG_ID)?,
                run_id: whole(RUN_ID)?,
                task_id: whole(TASK_ID)?,
                map_index: number(MAP_INDEX)?,
            })
        };
        Some(Self {
            task: task(),
            task_digest: TaskDigest(label(TASK)?.to_owned()),
            attempt_digest: AttemptDigest(annotation(ATTEMPT)?.to_owned()),
            owner: Owner::read(annotation(OWNER)?),
            try_number,
            max_tries: number(MAX_TRIES),
            clear_number: number(CLEAR_NUMBER),
            manifest_digest: ManifestDigest::read(annotation(MANIFEST_DIGEST).unwrap_or_default()),
            acknowledged: label(ACKNOWLEDGED).is_some(),
            exit_code: annotation(EXIT_CODE).and_then(|text| text.parse().ok()),
            described: describe_parts(
                &text(DEPLOYMENT),
                &text(DAG_ID),
                &text(TASK_ID),
                &text(RUN_ID),
                number(MAP_INDEX).unwrap_or(-1),
                try_number,
            ),
        })
    }
}

/// The attempt that made a Job, in words for people.
#[must_use]
pub fn describe(metadata: &AttemptMetadata) -> String {
    metadata.described.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::label_syntax::{label_key_fault, label_value_fault},
        *,
    };

    fn attempt() -> Attempt {
        let task = TaskIdentity {
            deployment: "prod-eu".into(),
            dag_id: "etl".into(),
            run_id: "manual__1\u{0}ü".into(),
            task_id: "train".into(),
            map_index: 3,
        };
        Attempt {
            task,
            try_number: 2,
            instance: "a/b".into(),
            max_tries: Some(3),
            retries: Some(3),
            clear_number: Some(0),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let attempt = attempt();
        let manifest = ManifestDigest::read("m");
        let job = json!({"metadata": {"labels": labels(&attempt), "annotations": annotations(&attempt, &manifest)}});
        let metadata = AttemptMetadata::read(&job).unwrap();
        assert_eq!(metadata.task.as_ref(), Some(&attempt.task));
        assert_eq!(metadata.task_digest, attempt.task.digest());
        assert_eq!(metadata.attempt_digest, attempt.digest());
        assert_eq!(metadata.owner, attempt.owner());
        assert_eq!(metadata.owner.try_number(), Some(2));
        assert_eq!((metadata.try_number, metadata.max_tries, metadata.clear_number), (2, Some(3), Some(0)));
        assert_eq!(metadata.manifest_digest, manifest);
        assert!(!metadata.acknowledged);
        assert_eq!(describe(&metadata), attempt.describe());
    }

    #[test]
    fn job_of_others_has_no_marks() {
        assert_eq!(AttemptMetadata::read(&json!({"metadata": {"labels": {TASK: "x"}}})), None);
    }

    #[test]
    fn labels_are_what_kubernetes_takes() {
        let (attempt, prefix) = (attempt(), "airflow.example.com/");
        for (key, value) in
            labels(&attempt).into_iter().chain(search_labels(&attempt)).chain(task_labels(&attempt, prefix))
        {
            assert_eq!(label_key_fault(&key), None);
            assert_eq!(label_value_fault(&value), None, "{key}");
        }
    }

    #[test]
    fn jobs_are_asked_for_by_the_labels_that_they_have() {
        let attempt = attempt();
        let task = &attempt.task;
        let selector = search_selector(Some(&task.dag_id), Some(&task.task_id), Some(&task.run_id));
        let labels: BTreeMap<_, _> = labels(&attempt).into_iter().chain(search_labels(&attempt)).collect();
        let mut asked = selector.split(',');
        assert_eq!(asked.next(), Some(TASK));
        let pairs: Vec<_> = asked.map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(pairs.len(), 3);
        assert!(pairs.iter().all(|(key, value)| labels[*key] == *value), "{selector}");
        assert_eq!(search_selector(None, None, None), TASK);
    }

    #[test]
    fn labels_of_the_task_have_the_keys_of_cncf_kubernetes_and_its_map_index_only_where_it_is_mapped() {
        let mut attempt = attempt();
        let keys = |attempt: &Attempt| task_labels(attempt, "").into_keys().collect::<Vec<_>>();
        assert_eq!(keys(&attempt), ["dag_id", "map_index", "run_id", "task_id", "try_number"]);
        attempt.task.map_index = -1;
        assert_eq!(keys(&attempt), ["dag_id", "run_id", "task_id", "try_number"]);
        assert_eq!(task_labels(&attempt, "a/")["a/dag_id"], "etl");
    }
}
