"""Describes this package for Airflow's provider list. It imports nothing: every component of Airflow loads it."""

from __future__ import annotations

from typing import Any


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
                "python-modules": ["unique_k8s_job.operators.job", "unique_k8s_job.operators.delete_job"],
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
