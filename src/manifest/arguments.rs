//! The operator's arguments that shape the Job: each present only if the user gave it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Values in the spelling of Kubernetes, under the names of the operator's arguments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arguments {
    /// The image of the base container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmds: Option<Vec<Value>>,
    /// Its `args`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Vec<Value>>,
    /// Its `env`, merged by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<Vec<Value>>,
    /// Its `envFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<Value>>,
    /// The Pod's `volumes`, merged by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<Value>>,
    /// The base container's `volumeMounts`, merged by mount path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mounts: Option<Vec<Value>>,
    /// Its `resources`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_resources: Option<Value>,
    /// The Pod's `serviceAccountName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The base container's `imagePullPolicy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// The Pod's `imagePullSecrets`, merged by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Vec<Value>>,
    /// The Pod's `nodeSelector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<Map<String, Value>>,
    /// The Pod's `affinity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// The Pod's `tolerations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Value>>,
    /// On the Job and its Pods, merged by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Map<String, Value>>,
    /// On the Job and its Pods, merged by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map<String, Value>>,
    /// The Job's `backoffLimit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i64>,
    /// The Job's `completions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completions: Option<i64>,
    /// The Job's `parallelism`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i64>,
    /// The Job's `completionMode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_mode: Option<String>,
    /// The Job's `suspend`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// The Job's `activeDeadlineSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
}
