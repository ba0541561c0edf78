"""Describes this package for Airflow's provider list. It imports nothing: every component of Airflow loads it."""

from __future__ import annotations

from importlib import metadata
from typing import Any

#: The extras of a connection of type `kubernetes`, as fields of Airflow's form.
CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "in_cluster": {
        "label": "In cluster configuration",
        "description": "Use the service account of the Pod that Airflow runs in.",
        "schema": {"type": ["boolean", "null"]},
    },
    "kube_config_path": {
        "label": "Kube config path",
        "description": "A kubeconfig file that workers, triggerers and the API server can read.",
        "schema": {"type": ["string", "null"]},
    },
    "kube_config": {
        "label": "Kube config (JSON or YAML)",
        "description": "A whole kubeconfig.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "namespace": {
        "label": "Namespace",
        "description": "Where Jobs run if neither task nor manifest says it.",
        "schema": {"type": ["string", "null"]},
    },
    "cluster_context": {
        "label": "Cluster context",
        "description": "The context of the kubeconfig, if it is not its current one.",
        "schema": {"type": ["string", "null"]},
    },
    "disable_verify_ssl": {
        "label": "Disable SSL",
        "description": "Accept any certificate of the server. Somebody in between can then read and change everything.",
        "schema": {"type": ["boolean", "null"]},
    },
    "xcom_sidecar_container_image": {
        "label": "XCom sidecar image",
        "description": 'The image of the sidecar of `xcom="sidecar"`, if the task names none.',
        "schema": {"type": ["string", "null"]},
    },
    "xcom_sidecar_container_resources": {
        "label": "XCom sidecar resources (JSON)",
        "description": "The requests and limits of this sidecar.",
        "schema": {"type": ["string", "null"]},
    },
    "xcom_sidecar_container_security_context": {
        "label": "XCom sidecar security context (JSON)",
        "description": "The security context of this sidecar, if it is not to be that of the base container.",
        "schema": {"type": ["string", "null"]},
    },
}
#: Airflow's own fields that such a connection does not use.
HIDDEN_FIELDS = ("host", "schema", "login", "password", "port", "extra")
#: The provider that registers the type itself. Airflow warns if two do.
_OTHER_PROVIDER = "apache-airflow-providers-cncf-kubernetes"


def _connection_types() -> list[dict[str, Any]]:
    try:
        metadata.distribution(_OTHER_PROVIDER)
    except metadata.PackageNotFoundError:
        return [
            {
                "connection-type": "kubernetes",
                "hook-class-name": "unique_k8s_job.hooks.kubernetes.UniqueK8sJobHook",
                "hook-name": "Kubernetes Cluster Connection",
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": {"hidden-fields": list(HIDDEN_FIELDS), "relabeling": {}},
            }
        ]
    return []


def get_provider_info() -> dict[str, Any]:
    """Return the metadata of the provider, in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "unique-k8s-job",
        "name": "Unique Kubernetes Jobs",
        "description": "Runs Kubernetes Jobs that never get stuck: a unique name per try, exactly one Job, live logs.",
        "integrations": [
            {"integration-name": "Kubernetes", "external-doc-url": "https://kubernetes.io/", "tags": ["software"]}
        ],
        "operators": [
            {
                "integration-name": "Kubernetes",
                "python-modules": [
                    "unique_k8s_job.operators.job",
                    "unique_k8s_job.operators.delete_job",
                    "unique_k8s_job.operators.patch_job",
                ],
            }
        ],
        "sensors": [{"integration-name": "Kubernetes", "python-modules": ["unique_k8s_job.sensors.job"]}],
        "triggers": [
            {
                "integration-name": "Kubernetes",
                "python-modules": ["unique_k8s_job.triggers.job", "unique_k8s_job.triggers.sensor"],
            }
        ],
        "hooks": [{"integration-name": "Kubernetes", "python-modules": ["unique_k8s_job.hooks.kubernetes"]}],
        "extra-links": ["unique_k8s_job.links.job.KubernetesJobLink"],
        "task-decorators": [
            {"name": "unique_k8s_job", "class-name": "unique_k8s_job.decorators.job.unique_k8s_job_task"},
            {"name": "unique_k8s_job_cmd", "class-name": "unique_k8s_job.decorators.job.unique_k8s_job_cmd_task"},
        ],
        "connection-types": _connection_types(),
        "config": {
            "unique_k8s_job": {
                "description": "Options of the provider unique-k8s-job.",
                "options": {
                    "deployment_id": {
                        "description": "Tells this Airflow from others that use the same namespaces. Unset: a digest of "
                        "the URLs of this Airflow, keyed by its first fernet key. All workers must agree.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "prod-eu",
                        "default": "",
                    },
                    "safe_ttl": {
                        "description": "Seconds for which a finished Job is kept at least while nobody has recorded its "
                        "outcome.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "604800",
                    },
                    "patch_jobs": {
                        "description": "Whether the clusters grant the verb `patch` on Jobs. Without it a retry cannot "
                        "take over a running Job: it deletes it and starts anew.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "on_process_end": {
                        "description": "What becomes of the Job when the worker process ends: `leave` it for the next "
                        "try, or `delete` it. Unset: leave it if another try will come, else delete it.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "delete",
                        "default": "",
                    },
                    "field_validation": {
                        "description": "What becomes of a Job with fields that the API server does not know: `strict` "
                        "refuses it, naming them; `warn` runs it without them and writes each into the log; `ignore` says "
                        "nothing.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "warn",
                        "default": "strict",
                    },
                    "log_levels": {
                        "description": "Whether a line of a container that names a level, such as `ERROR` or "
                        "`level=warn`, has this level in the task log. Otherwise all lines are `info`. Never less than "
                        "`info`, because Airflow would leave the line out.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "log_line_times": {
                        "description": "Whether the container's time stands before each line that shares a record with "
                        "others, which is so where many lines come at once.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "task_labels": {
                        "description": "Whether Jobs and their Pods get the labels dag_id, task_id, run_id, map_index "
                        "and try_number, as the Pods of cncf.kubernetes have them. A label of the user stays.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "task_label_prefix": {
                        "description": "What the keys of these labels begin with.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "airflow.example.com/",
                        "default": "",
                    },
                    "default_labels": {
                        "description": "Labels of every Job and its Pods, as a JSON object. Values are templates, "
                        "rendered in each task; a value that Kubernetes would refuse is shortened. A label of the user "
                        "stays.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": '{"team": "data", "owner": "{{ dag.owner }}"}',
                        "default": "",
                    },
                    "job_url_template": {
                        "description": "The URL of a Job's page in a dashboard. Tasks then have the link `Kubernetes Job`. "
                        "`{namespace}`, `{job}`, `{uid}`, `{cluster}`, `{dag_id}`, `{task_id}`, `{run_id}`, `{map_index}` and "
                        "`{try_number}` are filled in. Unset: no link.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://dashboard.example.com/#/job/{namespace}/{job}",
                        "default": "",
                    },
                    "default_annotations": {
                        "description": "Annotations of every Job and its Pods, as a JSON object of templates.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": '{"example.com/run": "{{ run_id }}"}',
                        "default": "",
                    },
                },
            }
        },
    }
