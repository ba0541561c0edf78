//! Lists our Jobs with what each is at and which task made it: `unique-k8s-job list`, and what `delete` chooses from.
//!
//! Promise: reads only, and only Jobs with our labels. Whole ids are compared with the annotations; labels that no user
//! can write only narrow down what is asked for. Cost: the pages of one list; a GET of the namespace if there is no row.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    collect::{namespace, no_namespace},
    facts::{Known, NamespaceState, Unknown},
    survey::{jobs_not_listed, some_of},
};
use crate::{
    cluster::Cluster,
    error::Error,
    identity::{AttemptMetadata, TaskIdentity, read_request, search_selector},
    model::{
        job_state::JobState,
        observed_job::{JobReference, ObservedJob},
        pod::time,
    },
    resource::{Namespaces, Resource, Selector},
};

/// Which of our Jobs: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobQuery {
    /// Of this DAG.
    pub dag_id: Option<String>,
    /// Of this task.
    pub task_id: Option<String>,
    /// Of this run.
    pub run_id: Option<String>,
    /// In one of these states; in any if there is none.
    pub states: Vec<JobState>,
    /// Made at least so many seconds ago.
    pub older_than_seconds: Option<u64>,
}

/// One of our Jobs, as a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedJob {
    /// Which Job.
    #[serde(flatten)]
    pub job: JobReference,
    /// What it is at.
    pub state: JobState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The exit code of its base container, once the Job has ended and its task has recorded that.
    pub exit_code: Option<i32>,
    /// The task that made it.
    #[serde(flatten)]
    pub made_by: MadeBy,
}

/// Which try of which task made a Job. An id that cannot be read is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Airflow")]
pub struct MadeBy {
    pub deployment: Option<String>,
    pub dag_id: Option<String>,
    pub task_id: Option<String>,
    pub run_id: Option<String>,
    /// None of a task that is not mapped.
    pub map_index: Option<i64>,
    pub try_number: u32,
    /// Whether the task has recorded the outcome.
    pub acknowledged: bool,
}

/// The Jobs of a query, oldest first.
#[derive(Debug, Clone, Default)]
pub struct JobList {
    /// The rows.
    pub jobs: Vec<ListedJob>,
    /// The reasons why something could not be read.
    pub unknown: Vec<Unknown>,
}

impl MadeBy {
    /// What our labels and annotations on a Job say.
    #[must_use]
    pub fn of(metadata: &AttemptMetadata) -> Self {
        let rest = Self { try_number: metadata.try_number, acknowledged: metadata.acknowledged, ..Self::default() };
        let Some(TaskIdentity { deployment, dag_id, run_id, task_id, map_index }) = metadata.task.clone() else {
            return rest;
        };
        Self {
            deployment: Some(deployment),
            dag_id: Some(dag_id),
            task_id: Some(task_id),
            run_id: Some(run_id),
            map_index: (map_index >= 0).then_some(map_index),
            ..rest
        }
    }
}

impl JobQuery {
    /// Reads a query.
    pub fn read(query: &Value) -> Result<Self, Error> {
        read_request(query, "The query cannot be read", &[])
    }

    fn selector(&self) -> Selector {
        let [dag, task, run] = [&self.dag_id, &self.task_id, &self.run_id].map(Option::as_deref);
        Selector::labels(search_selector(dag, task, run))
    }

    /// Whether a row fits.
    fn fits(&self, row: &ListedJob, now: Timestamp) -> bool {
        let same = |wanted: &Option<String>, id: &Option<String>| wanted.is_none() || wanted == id;
        let old = |created: Timestamp| {
            let age = u64::try_from(now.duration_since(created).as_secs()).unwrap_or(0);
            self.older_than_seconds.is_none_or(|least| age >= least)
        };
        same(&self.dag_id, &row.made_by.dag_id)
            && same(&self.task_id, &row.made_by.task_id)
            && same(&self.run_id, &row.made_by.run_id)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && row.created.is_none_or(old)
    }
}

impl ListedJob {
    fn of(seen: &ObservedJob) -> Option<Self> {
        let metadata = seen.attempt_metadata.as_ref()?;
        let state = JobState::of(&seen.job);
        Some(Self {
            job: seen.reference.clone(),
            state,
            since: state.since(&seen.job),
            created: time(seen.job.metadata.creation_timestamp.as_ref()),
            exit_code: if state == JobState::Succeeded { Some(0) } else { metadata.exit_code },
            made_by: MadeBy::of(metadata),
        })
    }
}

/// Lists the Jobs of one namespace or of all that fit.
pub async fn list(cluster: &Cluster, scope: &Namespaces, query: &JobQuery) -> Result<JobList, Error> {
    let mut found = JobList::default();
    let mut unreadable = Vec::new();
    let selector = query.selector();
    let mut pages = cluster.survey::<Value>(Resource::Jobs, scope, &selector);
    loop {
        let page = pages.next().await.map_err(|failure| jobs_not_listed(scope, failure))?;
        let Some(page) = page else { break };
        if page.anew {
            found.jobs.clear();
            unreadable.clear();
        }
        let now = cluster.now();
        unreadable.extend(page.unreadable);
        for object in &page.items {
            match ObservedJob::read(object) {
                Ok(job) => found.jobs.extend(ListedJob::of(&job).filter(|row| query.fits(row, now))),
                Err(why) => unreadable.push(why),
            }
        }
    }
    // A namespace that does not exist has no Jobs either, and is a slip.
    if let Namespaces::One(scope) = scope
        && found.jobs.is_empty()
        && matches!(namespace(cluster, scope).await, Known::Seen(NamespaceState::Gone))
    {
        return Err(no_namespace(scope));
    }
    found.jobs.sort_by(|one, other| {
        let key = |row: &ListedJob| (row.created, row.job.namespace.clone(), row.job.name.clone());
        key(one).cmp(&key(other))
    });
    found.unknown = some_of(&unreadable).collect();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(dag: &str, created: &str, status: &Value) -> ListedJob {
        let job = json!({
            "metadata": {"namespace": "etl", "name": "x", "uid": "u", "creationTimestamp": created,
                "labels": {"unique-k8s-job/task": "t"},
                "annotations": {"unique-k8s-job/attempt": "a", "unique-k8s-job/owner": "o", "unique-k8s-job/try-number": "2",
                    "unique-k8s-job/deployment": "d", "unique-k8s-job/dag-id": dag, "unique-k8s-job/task-id": "load",
                    "unique-k8s-job/run-id": "r", "unique-k8s-job/map-index": "-1", "unique-k8s-job/exit-code": "7"}},
            "spec": {"template": {}}, "status": status});
        ListedJob::of(&ObservedJob::read(&job).unwrap()).unwrap()
    }

    #[test]
    fn query_is_this_table() {
        let now: Timestamp = "2026-01-08T00:00:00Z".parse().unwrap();
        let failed = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        let row = row("größe", "2026-01-01T00:00:00Z", &failed);
        assert_eq!((row.exit_code, row.made_by.try_number, row.made_by.map_index), (Some(7), 2, None));
        for (query, fits) in [
            (json!({}), true),
            (json!({"dag_id": "größe"}), true),
            // The same label may stand for two ids.
            (json!({"dag_id": "gre"}), false),
            (json!({"dag_id": "größe", "task_id": "load", "run_id": "r"}), true),
            (json!({"run_id": "r2"}), false),
            (json!({"states": ["failed", "running"]}), true),
            (json!({"states": ["running"]}), false),
            (json!({"older_than_seconds": 604_800}), true),
            (json!({"older_than_seconds": 604_801}), false),
        ] {
            let read = JobQuery::read(&query).unwrap();
            assert_eq!(read.fits(&row, now), fits, "{query}");
        }
        assert!(JobQuery::read(&json!({"dagid": "x"})).is_err());
    }

    #[test]
    fn job_without_our_marks_is_no_row() {
        let job = json!({"metadata": {"namespace": "etl", "name": "x", "uid": "u", "labels": {"unique-k8s-job/task": "t"}},
            "spec": {"template": {}}});
        assert_eq!(ListedJob::of(&ObservedJob::read(&job).unwrap()), None);
    }
}
