"""The smallest DAG: one task, one Kubernetes Job, its log live in Airflow."""

import os

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator

with DAG("hello_job", schedule=None, tags=["example"]):
    UniqueK8sJobOperator(
        task_id="hello",
        image=os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        cmds=["echo", "Hello from a Job of its own"],
        ttl_seconds_after_finished=600,
    )
