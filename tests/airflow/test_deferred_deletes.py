"""A delete operator that waits in the triggerer: green only once the Job is gone, whatever held it."""

from __future__ import annotations

import json

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from plain_job import job


def delete(airflow: AirflowClient, namespace: str, name: str) -> TaskInstance:
    run_id = airflow.trigger("deleted_deferred", {"namespace": namespace, "name": name})
    return TaskInstance("deleted_deferred", run_id, "delete")


def test_job_that_a_finalizer_holds_is_waited_for_in_the_triggerer_until_it_is_gone(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    held = job("held", "sleep 600")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.apply(held, namespace=namespace)
    cluster.wait_until_running(namespace)
    ti = delete(airflow, namespace, "held")
    airflow.wait_for_state(ti, "deferred")
    free = json.dumps({"metadata": {"finalizers": None}})
    cluster.kubectl("patch", "job", "held", "-n", namespace, "--type=merge", "-p", free)
    airflow.wait_for_state(ti, "success")
    cluster.wait_until_gone(namespace, "held", seconds=1)
    assert airflow.xcom(ti, "return_value")["deleted"] == ["held"]


def test_job_that_the_garbage_collector_holds_is_freed_after_the_deferral(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("stuck", "true"), namespace=namespace)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/stuck", "--timeout=40s")
    with cluster.paused("kube-controller-manager"):
        ti = delete(airflow, namespace, "stuck")
        airflow.wait_for_state(ti, "deferred")
        assert [found["metadata"]["finalizers"] for found in cluster.jobs(namespace)] == [["foregroundDeletion"]]
        airflow.wait_for_state(ti, "success")
        assert airflow.xcom(ti, "return_value")["released"] == ["stuck"]
        assert not cluster.jobs(namespace)
