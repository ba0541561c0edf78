//! Identifies who asks for a Job: attempts, the names of their Jobs, the labels and annotations of these Jobs, and the order of
//! attempts. Pure.
//!
//! Promise: the same attempt always gives the same name, and two attempts never share a name, not even across
//! deployments. All digests are SHA-256 over length-prefixed fields, a purpose and a version, so no two lists of fields
//! can be confused. A golden table of names guards the algorithm: changing it would lose Jobs that run during an
//! upgrade.

mod attempt;
mod deployment;
mod digest;
mod fixed_name;
mod label_syntax;
mod labels;
pub(crate) mod manifest_digest;
mod name;
mod object_names;
mod owner;
mod retry_or_clear;

pub use attempt::{Attempt, AttemptDigest, TaskDigest, TaskIdentity};
pub use deployment::deployment_digest;
pub use fixed_name::FixedName;
pub use label_syntax::{
    LABEL_KEY_RULE, LABEL_VALUE_RULE, annotation_key_fault, label_key_fault, label_value_fault, safe_label_value,
};
pub use labels::{
    ACKNOWLEDGED, AttemptMetadata, EXIT_CODE, LOG_POSITIONS, MANAGED_BY, OURS, OWNER, PREFIX, TASK, annotations,
    describe, labels, pod_annotations, search_labels, search_selector, task_labels,
};
pub use name::{RunTime, Slug, job_name};
pub use object_names::{
    ContainerName, CronJobName, InvalidName, JobName, NameField, Namespace, NodeName, PodName, QueueName,
    invalid_name_in, read_request, refused_as, trimmed, trimmed_option,
};
pub use owner::Owner;
pub use retry_or_clear::{Relation, relation};
