"""A whole Job from a YAML file beside the DAG. The file is a template; what the task says itself wins over it."""

import os

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator

with DAG("from_manifest", schedule=None, tags=["example"]):
    UniqueK8sJobOperator(
        task_id="count",
        manifest="from_manifest.yaml",
        image=os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        env_vars={"STEPS": "3"},
    )
