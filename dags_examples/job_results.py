"""Jobs that hand a value to the next task: what their container writes to `/airflow/xcom/return.json`, as JSON."""

import os

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator

IMAGE = os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36")

with DAG("job_results", schedule=None, tags=["example"]):
    count = UniqueK8sJobOperator(
        task_id="count",
        image=IMAGE,
        cmds=["sh", "-c", 'echo \'{"rows": 3, "of": "orders"}\' > /airflow/xcom/return.json'],
        xcom="termination-message",
        ttl_seconds_after_finished=600,
    )
    # The result of a Job that the triggerer follows, and of each of its indexes.
    split = UniqueK8sJobOperator(
        task_id="split",
        image=IMAGE,
        cmds=["sh", "-c", 'sleep 2; echo "\\"part-$JOB_COMPLETION_INDEX\\"" > /airflow/xcom/return.json'],
        completion_mode="Indexed",
        completions=2,
        parallelism=2,
        xcom="termination-message",
        ttl_seconds_after_finished=600,
        deferrable=True,
        defer_after_seconds=0,
    )
    load = UniqueK8sJobOperator(
        task_id="load",
        image=IMAGE,
        cmds=[
            "echo",
            "loads {{ ti.xcom_pull('count')['rows'] }} rows of {{ ti.xcom_pull('split').values() | join(', ') }}",
        ],
        ttl_seconds_after_finished=600,
    )
    [count, split] >> load
