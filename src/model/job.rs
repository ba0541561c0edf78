//! Jobs with only the fields that this crate reads, so that thousands of them fit into memory.
//!
//! The fields have the names that Kubernetes gives them; all others are dropped while a Job is read. The same Job as a
//! type of `k8s_openapi` takes 2.6 KB before its first string, and 2 KB more for each container.

use k8s_openapi::{
    api::batch::v1::JobStatus,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, Time},
};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    field_managers::{FieldManagers, field_managers},
    pod_template::PodTemplate,
};
use crate::unreadable::nullable;

/// A Job of `batch/v1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// The metadata; its identifying fields are moved into [`super::observed_job::ObservedJob`].
    pub metadata: JobMetadata,
    /// The wanted state.
    pub spec: Option<JobSpec>,
    /// The present state.
    pub status: Option<JobStatus>,
}

/// The metadata of a Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct JobMetadata {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    pub creation_timestamp: Option<Time>,
    pub deletion_timestamp: Option<Time>,
    pub finalizers: Option<Vec<String>>,
    /// Who wrote the fields that hold the Job; kept only for a Job that is held.
    #[serde(deserialize_with = "field_managers")]
    pub managed_fields: Option<Box<FieldManagers>>,
    #[serde(deserialize_with = "nullable")]
    pub labels: JobLabels,
}

/// The labels that this crate reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JobLabels {
    /// The program that made the Job.
    #[serde(rename = "app.kubernetes.io/managed-by")]
    pub managed_by: Option<String>,
    /// The queue of Kueue that the Job waits in.
    // The same as `workload::QUEUE_NAME`.
    #[serde(rename = "kueue.x-k8s.io/queue-name")]
    pub queue_name: Option<String>,
}

/// The spec of a Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of Kubernetes")]
pub struct JobSpec {
    pub active_deadline_seconds: Option<i64>,
    pub backoff_limit: Option<i32>,
    pub backoff_limit_per_index: Option<i32>,
    pub completion_mode: Option<String>,
    pub completions: Option<i32>,
    pub managed_by: Option<String>,
    pub manual_selector: Option<bool>,
    pub parallelism: Option<i32>,
    /// The selector of a Job that chose its Pods by hand; the selector of any other Job has the uid of the Job.
    pub selector: Option<Box<LabelSelector>>,
    /// Whether there is a success policy.
    pub success_policy: Option<IgnoredAny>,
    pub suspend: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub template: PodTemplate,
    pub ttl_seconds_after_finished: Option<i32>,
}

impl Job {
    /// Gives back memory that growing lists and unread values have taken in excess.
    pub(crate) fn fit(&mut self) {
        let held = self.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        let paused = |spec: &JobSpec| spec.suspend == Some(true) || spec.parallelism == Some(0);
        if !held && !self.spec.as_ref().is_some_and(paused) {
            self.metadata.managed_fields = None;
        }
        if let Some(spec) = &mut self.spec {
            if spec.manual_selector != Some(true) {
                spec.selector = None;
            }
            if let Some(template) = &mut spec.template.spec {
                template.fit();
            }
        }
        if let Some(conditions) = self.status.as_mut().and_then(|status| status.conditions.as_mut()) {
            conditions.shrink_to_fit();
        }
    }
}

/// Whether the Job controller of Kubernetes leaves the Job to somebody else.
#[must_use]
pub fn managed_by_another(spec: &JobSpec) -> bool {
    spec.managed_by.as_deref().is_some_and(|manager| manager != "kubernetes.io/job-controller")
}
