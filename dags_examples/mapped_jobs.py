"""One task, mapped over a list: each entry runs as a Job of its own, all at the same time."""

import os

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator

with DAG("mapped_jobs", schedule=None, tags=["example"]):
    UniqueK8sJobOperator.partial(
        task_id="greet",
        image=os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        ttl_seconds_after_finished=600,
    ).expand(cmds=[["echo", f"Greetings to {city}"] for city in ("Lima", "Nairobi", "Osaka")])
