"""What comes after a Job that has succeeded or failed: callbacks, a teardown, a branch. `conf`: `namespace`."""

from __future__ import annotations

from typing import Any

from airflow import DAG
from airflow.exceptions import AirflowException

from unique_k8s_job import UniqueK8sJobOperator

try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task

NAMESPACE = "{{ dag_run.conf['namespace'] }}"


def job(task_id: str, script: str, **arguments: Any) -> UniqueK8sJobOperator:
    return UniqueK8sJobOperator(
        task_id=task_id,
        image="local.test/busybox:1",
        cmds=["sh", "-c", script],
        namespace=NAMESPACE,
        retries=0,
        **arguments,
    )


def began(context: Any) -> None:
    print(f"callback: {context['ti'].task_id} begins")


def succeeded(context: Any) -> None:
    ti = context["ti"]
    print(f"callback: {ti.task_id} is done by {ti.xcom_pull(task_ids=ti.task_id, key='job_name')}")


def failed(context: Any) -> None:
    error = context["exception"]
    print(f"callback: {type(error).__name__} with exit code {error.exit_code}: {error.message}")
    print(f"callback: it is an AirflowException: {isinstance(error, AirflowException)}")


with DAG("after_a_job", schedule=None):
    make = job("make", "echo made", on_execute_callback=began, on_success_callback=succeeded).as_setup()
    work = job("work", "exit 3", deferrable=True, defer_after_seconds=0, on_failure_callback=failed)
    clean = job("clean", "echo cleaned").as_teardown(setups=make)

    @task.branch(trigger_rule="all_done")
    def choose(ti: Any = None) -> str:
        outcome = ti.xcom_pull(task_ids="work", key="job_outcome")
        return "repair" if outcome["exit_code"] == 3 else "celebrate"

    chosen = choose()
    make >> work >> clean
    (
        work
        >> chosen
        >> [job("celebrate", "true"), UniqueK8sJobOperator(task_id="repair", manifest="repair.json", retries=0)]
    )
