"""One task, one Job, waited for in the triggerer, in the variants that the tests need; and many of them at once.

`conf`: `script` (what the shell of the Job runs), `namespace`, and for the mapped ones `count`.
"""

from datetime import timedelta
from typing import Any

from airflow import DAG
from airflow.sdk import task

from unique_k8s_job import UniqueK8sJobOperator

JOB: dict[str, Any] = {
    "image": "local.test/busybox:1",
    "cmds": ["sh", "-c", "{{ dag_run.conf['script'] }}"],
    "namespace": "{{ dag_run.conf['namespace'] }}",
    "backoff_limit": 0,
    "retry_delay": timedelta(seconds=1),
    "deferrable": True,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "deferred_job": {"retries": 2, "defer_after_seconds": 0},
    "deferred_job_without_retries": {"retries": 0, "defer_after_seconds": 0},
    "deferred_job_after_grace": {"retries": 0, "defer_after_seconds": 10},
    "deferred_job_after_long_grace": {"retries": 1, "defer_after_seconds": 15},
    "deferred_job_with_time_limit": {
        "retries": 0,
        "defer_after_seconds": 0,
        "execution_timeout": timedelta(seconds=40),
    },
    "deferred_job_that_outlives_a_stop": {"retries": 0, "defer_after_seconds": 0, "on_stop": "leave"},
    "deferred_job_that_cannot_start": {"retries": 0, "defer_after_seconds": 0, "startup_timeout_seconds": 20},
    "deferred_job_with_sidecar": {
        "retries": 0,
        "defer_after_seconds": 0,
        "xcom": "sidecar",
        "xcom_sidecar_image": "local.test/busybox:1",
    },
}

for dag_id, variant in VARIANTS.items():
    with DAG(dag_id, schedule=None):
        UniqueK8sJobOperator(task_id="work", **JOB, **variant)

with DAG("many_deferred_jobs", schedule=None, max_active_tasks=2000):

    @task
    def scripts(dag_run: Any = None) -> list[list[str]]:
        return [
            ["sh", "-c", dag_run.conf["script"].replace("$INDEX", str(index))] for index in range(dag_run.conf["count"])
        ]

    arguments = {key: value for key, value in JOB.items() if key != "cmds"}
    UniqueK8sJobOperator.partial(
        task_id="work", retries=0, defer_after_seconds=0, max_active_tis_per_dag=None, **arguments
    ).expand(cmds=scripts())

with DAG("many_suspended_jobs", schedule=None, max_active_tasks=2000):
    UniqueK8sJobOperator.partial(
        task_id="work",
        retries=0,
        defer_after_seconds=0,
        suspend=True,
        labels={"index": "i{{ ti.map_index }}"},
        **arguments,
    ).expand(cmds=scripts.override(task_id="scripts")())
