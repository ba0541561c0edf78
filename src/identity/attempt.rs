//! Defines attempts, and the task instances that they are tries of.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{digest::Digest, owner::Owner};

/// The letters of a task digest: 130 bits, so that no two tasks share the label value.
const LABEL_LETTERS: usize = 26;

/// One task instance in one Airflow deployment, without the try. By it a retry finds Jobs of earlier tries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskIdentity {
    /// The Airflow deployment: run ids may be equal in staging and production.
    pub deployment: String,
    /// Airflow's `dag_id`.
    pub dag_id: String,
    /// Airflow's `run_id`.
    pub run_id: String,
    /// Airflow's `task_id`.
    pub task_id: String,
    /// Airflow's `map_index`, -1 for a task that is not mapped.
    pub map_index: i64,
}

/// One try of one task instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attempt {
    /// The task instance.
    #[serde(flatten)]
    pub task: TaskIdentity,
    /// Airflow's `try_number`; 0 if Airflow runs a task without counting tries.
    pub try_number: u32,
    /// `ti.id` (Airflow 3), the database id of the DAG run (2.11), or a random nonce if neither is stable. It is needed
    /// because a DAG run that is deleted and made again has the same ids and tries.
    pub instance: String,
    /// Airflow's `max_tries` as this try sees it. It grows when the task is cleared.
    #[serde(default)]
    pub max_tries: Option<i64>,
    /// The task's `retries`.
    #[serde(default)]
    pub retries: Option<i64>,
    /// The DAG run's `clear_number` (Airflow 3.2 and later).
    #[serde(default)]
    pub clear_number: Option<i64>,
}

/// The digest of a [`TaskIdentity`], a label value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskDigest(pub(super) String);

/// The digest of an [`Attempt`] at full length.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptDigest(pub(super) String);

impl TaskIdentity {
    /// The label by which a retry finds Jobs of earlier tries.
    #[must_use]
    pub fn digest(&self) -> TaskDigest {
        let map_index = self.map_index.to_string();
        TaskDigest(Digest::of("task", &self.fields(&map_index)).base32(LABEL_LETTERS))
    }

    fn fields<'a>(&'a self, map_index: &'a str) -> [&'a str; 5] {
        [&self.deployment, &self.dag_id, &self.run_id, &self.task_id, map_index]
    }
}

impl Attempt {
    /// The digest that distinguishes this attempt's Jobs from all others.
    #[must_use]
    pub fn digest(&self) -> AttemptDigest {
        AttemptDigest(self.digested("attempt", &[]).hex())
    }

    /// The attempt's digest as a label value.
    #[must_use]
    pub fn label(&self) -> String {
        self.digested("attempt", &[]).base32(LABEL_LETTERS)
    }

    /// The owner that this attempt writes on its Jobs.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner::new(&self.task.digest(), self.try_number, &self.instance)
    }

    /// The attempt in words for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let TaskIdentity { deployment, dag_id, run_id, task_id, map_index } = &self.task;
        describe_parts(deployment, dag_id, task_id, run_id, *map_index, self.try_number)
    }

    pub(super) fn digested(&self, purpose: &str, more: &[&str]) -> Digest {
        let (map_index, try_number) = (self.task.map_index.to_string(), self.try_number.to_string());
        let mut fields = self.task.fields(&map_index).to_vec();
        fields.extend([try_number.as_str(), &self.instance]);
        fields.extend(more);
        Digest::of(purpose, &fields)
    }
}

pub(super) fn describe_parts(
    deployment: &str,
    dag: &str,
    task: &str,
    run: &str,
    map_index: i64,
    try_number: u32,
) -> String {
    let mapped = if map_index < 0 { String::new() } else { format!("[{map_index}]") };
    format!("deployment `{deployment}`, {dag}.{task}{mapped}, run {run}, try {try_number}")
}

impl fmt::Display for TaskDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AttemptDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
