"""One task, one Job, in the variants that the tests need; what the Job does comes with the run's `conf`.

`conf`: `script` (what the shell of the Job runs), `namespace`, and `name` where it is a fixed one.
"""

from datetime import timedelta
from typing import Any

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator

VARIANTS: dict[str, dict[str, Any]] = {
    "one_job": {"retries": 2},
    # While Airflow's API is away no try can begin, and each that cannot is spent.
    "one_job_with_patience": {"retries": 6, "retry_delay": timedelta(seconds=15)},
    "one_job_without_retries": {"retries": 0},
    "one_job_with_time_limit": {"retries": 0, "execution_timeout": timedelta(seconds=12)},
    "one_job_with_a_fixed_name": {
        "retries": 2,
        "name": "{{ dag_run.conf['name'] }}",
        "name_policy": "fixed",
        "on_finish": {"succeeded": "delete", "failed": "keep"},
    },
    "one_job_without_patch": {"retries": 2, "kubernetes_conn_id": "without_patch"},
}

for dag_id, variant in VARIANTS.items():
    with DAG(dag_id, schedule=None):
        UniqueK8sJobOperator(
            task_id="work",
            image="local.test/busybox:1",
            cmds=["sh", "-c", "{{ dag_run.conf['script'] }}"],
            namespace="{{ dag_run.conf['namespace'] }}",
            backoff_limit=0,
            **{"retry_delay": timedelta(seconds=1), **variant},
        )
