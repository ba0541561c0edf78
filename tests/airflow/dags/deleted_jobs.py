"""A delete operator for a Job that the test makes, waiting in the triggerer.

`conf`: `namespace`, `name`.
"""

from airflow import DAG

from unique_k8s_job import K8sJobDeleteOperator

with DAG("deleted_deferred", schedule=None):
    K8sJobDeleteOperator(
        task_id="delete",
        namespace="{{ dag_run.conf['namespace'] }}",
        name="{{ dag_run.conf['name'] }}",
        propagation_policy="Foreground",
        release_after_seconds=15,
        timeout=120,
        deferrable=True,
        defer_after_seconds=0,
        retries=0,
    )
