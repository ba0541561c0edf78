"""Functions that run in Jobs, and functions that return a Job's command. `conf`: `namespace`.

The image of these tests has no Python, so the Jobs get that of the machine, which is the node.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow import DAG

try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task

FOLDERS = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64", "python": sys.base_prefix}
PLACES = {"usr": "/usr", "lib": "/lib", "lib64": "/lib64", "python": sys.base_prefix}
JOB: dict[str, Any] = {
    "image": "local.test/busybox:1",
    "namespace": "{{ dag_run.conf['namespace'] }}",
    "volumes": [{"name": name, "hostPath": {"path": path}} for name, path in FOLDERS.items()],
    "volume_mounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in PLACES.items()],
    "env_vars": {"LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"},
    "retries": 0,
}
FUNCTION = {**JOB, "python": f"{sys.base_prefix}/bin/python3"}

with DAG("decorated_jobs", schedule=None):

    @task.unique_k8s_job(multiple_outputs=True, **FUNCTION)
    def count(tables: list[str], of: str, run_id: str | None = None) -> dict[str, Any]:
        # The text has what a shell, Kubernetes and Airflow would each replace.
        text = """$HOME $(HOME) $$
# ö {{ ds }}"""
        print(f"counts {len(tables)} tables of {of} in {run_id}")
        return {"rows": [len(table) for table in tables], "of": of, "text": text}

    @task.unique_k8s_job(
        deferrable=True, defer_after_seconds=0, xcom="sidecar", xcom_sidecar_image=JOB["image"], **FUNCTION
    )
    def square(number: int, times: int) -> str:
        return str(number * number) * times

    @task
    def lengths(texts: Any) -> list[int]:
        return [len(text) for text in texts]

    @task.unique_k8s_job(**FUNCTION)
    def fails(table: str) -> None:
        raise LookupError(f"no table {table}")

    @task.unique_k8s_job(**FUNCTION)
    def is_too_large(text: str) -> None:
        print(text)

    @task.unique_k8s_job_cmd(**JOB)
    def command(rows: list[int], run_id: str | None = None) -> list[str]:
        return ["sh", "-c", f"echo got {rows} in {run_id} {{{{ run_id }}}}"]

    counted = count(["orders", "payments"], of="{{ dag_run.conf['namespace'] }}")
    command(counted["rows"])
    lengths(square.partial(times=5000).expand(number=[2, 12]))
    fails("orders")
    is_too_large("x" * 200_000)
