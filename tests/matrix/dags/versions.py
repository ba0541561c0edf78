"""The tasks of these tests, in words that each promised Airflow understands.

`conf`: `namespace`; `script` (what the shell of the Job runs), or `name` for those who look for a Job that the test makes.
"""

from datetime import timedelta
from typing import Any

from airflow import DAG

from unique_k8s_job import K8sJobDeleteOperator, UniqueK8sJobOperator, UniqueK8sJobSensor

NAMESPACE = "{{ dag_run.conf['namespace'] }}"
NAME = "{{ dag_run.conf['name'] }}"
JOB: dict[str, Any] = {
    "task_id": "work",
    "image": "local.test/busybox:1",
    "namespace": NAMESPACE,
    "backoff_limit": 0,
    "retry_delay": timedelta(seconds=1),
    "defer_after_seconds": 0,
}
SCRIPT = ["sh", "-c", "{{ dag_run.conf['script'] }}"]

VARIANTS: dict[str, dict[str, Any]] = {
    "blocking": {"retries": 0, "deferrable": False},
    # Nobody unpauses it: the scheduler leaves a run of it to the command that made the run.
    "without_a_scheduler": {"retries": 0, "deferrable": False},
    "blocking_with_retries": {"retries": 2, "deferrable": False},
    "deferred": {"retries": 0, "deferrable": True},
    "deferred_with_time_limit": {
        "retries": 0,
        "deferrable": True,
        "execution_timeout": timedelta(seconds=40),
        "pool": "narrow",
    },
}

for dag_id, variant in VARIANTS.items():
    with DAG(dag_id, schedule=None):
        UniqueK8sJobOperator(cmds=SCRIPT, **JOB, **variant)

with DAG("mapped", schedule=None):
    UniqueK8sJobOperator.partial(retries=0, deferrable=True, **JOB).expand(
        cmds=[["sh", "-c", f"echo part {index}; sleep 5"] for index in range(3)]
    )

for mode, deferrable in (("blocking", False), ("deferred", True)):
    with DAG(f"delete_{mode}", schedule=None):
        K8sJobDeleteOperator(
            task_id="work",
            namespace=NAMESPACE,
            name=NAME,
            timeout=120,
            deferrable=deferrable,
            defer_after_seconds=0,
            retries=0,
        )

with DAG("sensed", schedule=None):
    UniqueK8sJobSensor(
        task_id="work", namespace=NAMESPACE, name=NAME, poke_interval=2, logs=True, deferrable=True, retries=0
    )
