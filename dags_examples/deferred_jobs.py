"""A Job that no worker waits for: the triggerer follows it, with a live log; and a sensor for Jobs made elsewhere."""

import os

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator, UniqueK8sJobSensor

with DAG("deferred_jobs", schedule=None, tags=["example"]):
    UniqueK8sJobOperator(
        task_id="report",
        image=os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        cmds=["sh", "-c", 'for step in 1 2 3; do echo "step $step of 3"; sleep 3; done'],
        labels={"example": "deferred-jobs"},
        ttl_seconds_after_finished=600,
        deferrable=True,
        defer_after_seconds=0,
    )
    UniqueK8sJobSensor(
        task_id="reports_are_done", label_selector="example=deferred-jobs", deferrable=True, poke_interval=5
    )
