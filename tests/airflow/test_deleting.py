"""`K8sJobDeleteOperator` on a real Airflow: green means gone, red says what holds the Job."""

from __future__ import annotations

import json
from typing import Any

from airflow_client import AirflowClient, TaskInstance
from command_line import container, job_spec
from one_node_cluster import OneNodeCluster


def start(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, **metadata: Any) -> TaskInstance:
    """A running Job of others, and the task that deletes it."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "report", **metadata},
        "spec": job_spec(container("base", "trap 'exit 0' TERM; sleep 300 & wait")),
    }
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(job))
    cluster.wait_until_running(namespace)
    return TaskInstance("delete_job", airflow.trigger("delete_job", {"namespace": namespace}), "delete")


def test_green_delete_task_means_that_the_job_is_gone_and_its_work_has_stopped(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    ti = start(airflow, cluster, namespace)
    airflow.wait_for_state(ti, "success")
    assert cluster.jobs(namespace) == []
    running = [pod for pod in cluster.find("pods", namespace) if pod["status"]["phase"] == "Running"]
    assert running == []
    assert airflow.xcom(ti, "return_value")["deleted"] == ["report"]


def test_delete_task_of_a_job_that_stays_is_red_and_names_what_holds_it(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    ti = start(airflow, cluster, namespace, finalizers=["example.com/backup"])
    try:
        airflow.wait_for_state(ti, "failed")
        log = airflow.log(ti)
        assert "is still there although its deletion was asked for" in log
        assert "foreign-finalizer" in log and "example.com/backup" in log
    finally:
        remove = '-p=[{"op":"remove","path":"/metadata/finalizers"}]'
        cluster.kubectl("patch", "job", "report", "-n", namespace, "--type=json", remove)
