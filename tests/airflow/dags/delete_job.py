"""One task that deletes the Job `report` of the namespace that the run's `conf` names."""

from airflow import DAG

from unique_k8s_job import K8sJobDeleteOperator

with DAG("delete_job", schedule=None):
    K8sJobDeleteOperator(
        task_id="delete",
        name="report",
        namespace="{{ dag_run.conf['namespace'] }}",
        timeout=20,
        release_after_seconds=2,
    )
