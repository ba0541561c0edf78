"""What the sensor makes of Jobs that somebody else made, look by look, on the real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from one_node_cluster import OneNodeCluster
from plain_job import job
from unique_k8s_job import UniqueK8sJobSensor
from unique_k8s_job.exceptions import ApiRefusedError, JobFailedError, JobVanishedError
from waiting import until


def sensor(kubeconfig: Path, namespace: str, **arguments: Any) -> Any:
    return UniqueK8sJobSensor(
        task_id="sense",
        namespace=namespace,
        kubernetes_conn_id=None,
        config_file=str(kubeconfig),
        **{"deferrable": False, **arguments},
    )


def value(of: Any) -> Any:
    """Poke until it is satisfied; what it returns."""
    return until("a satisfied sensor", lambda: of.poke({}), seconds=60, every=0.3).xcom_value


def test_job_that_is_not_there_yet_is_waited_for_until_it_has_succeeded(
    cluster: OneNodeCluster, namespace: str
) -> None:
    waits = sensor(cluster.kubeconfig(), namespace, name="train")
    assert waits.poke({}) is False
    cluster.apply(job("train", "sleep 1"), namespace=namespace)
    assert waits.poke({}) is False
    found = value(waits)
    assert (found["state"], found["job"]["name"]) == ("succeeded", "train")
    assert "timeline" not in found


def test_failed_job_fails_the_sensor_with_its_exit_code_unless_it_waits_for_the_end_alone(
    cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("train", "echo no more; exit 3"), namespace=namespace)
    finished = value(sensor(cluster.kubeconfig(), namespace, name="train", until="finished"))
    assert (finished["state"], finished["exit_code"]) == ("failed", 3)
    with pytest.raises(JobFailedError) as caught:
        sensor(cluster.kubeconfig(), namespace, name="train").poke({})
    assert (caught.value.exit_code, caught.value.name) == (3, "train")
    assert "container `base`" in str(caught.value)


def test_failed_job_skips_a_sensor_that_fails_softly(cluster: OneNodeCluster, namespace: str) -> None:
    cluster.apply(job("train", "exit 3"), namespace=namespace)
    value(sensor(cluster.kubeconfig(), namespace, name="train", until="finished"))
    with pytest.raises(Exception, match="Skipped instead of failed") as caught:
        sensor(cluster.kubeconfig(), namespace, name="train", soft_fail=True).poke({})
    assert type(caught.value).__name__ == "AirflowSkipException"


def test_all_jobs_with_the_labels_have_to_succeed_and_one_failure_is_enough(
    cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("one", "true", part="a"), job("two", "sleep 3", part="a"), namespace=namespace)
    both = sensor(cluster.kubeconfig(), namespace, label_selector="part=a")
    assert {found["job"]["name"] for found in value(both)} == {"one", "two"}
    cluster.apply(job("three", "exit 1", part="a"), job("four", "sleep 600", part="a"), namespace=namespace)
    with pytest.raises(JobFailedError, match="three"):
        value(both)


def test_uid_is_one_job_and_a_namesake_is_none(cluster: OneNodeCluster, namespace: str) -> None:
    cluster.apply(job("train", "sleep 600"), namespace=namespace)
    uid = cluster.the_job(namespace)["metadata"]["uid"]
    by_uid = {"uid": uid, "name": "train"}
    assert value(sensor(cluster.kubeconfig(), namespace, uid=uid, until="exists"))["job"]["name"] == "train"
    assert sensor(cluster.kubeconfig(), namespace, **by_uid, until="gone").poke({}) is False
    cluster.kubectl("delete", "job", "train", "-n", namespace)
    cluster.apply(job("train", "sleep 600"), namespace=namespace)
    assert value(sensor(cluster.kubeconfig(), namespace, **by_uid, until="gone")) is None
    with pytest.raises(JobVanishedError, match=uid):
        sensor(cluster.kubeconfig(), namespace, **by_uid).poke({})
    assert sensor(cluster.kubeconfig(), namespace, name="train", until="gone").poke({}) is False


def test_missing_right_is_named_and_nothing_is_waited_for(cluster: OneNodeCluster, namespace: str) -> None:
    cluster.allow(namespace, [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]}])
    with pytest.raises(ApiRefusedError) as caught:
        sensor(cluster.kubeconfig("airflow"), namespace, name="train").poke({})
    assert "get" in str(caught.value) and "jobs" in str(caught.value)


def test_failed_job_whose_pods_may_not_be_seen_fails_the_sensor_all_the_same(
    cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}])
    cluster.apply(job("train", "exit 3"), namespace=namespace)
    with pytest.raises(JobFailedError) as caught:
        value(sensor(cluster.kubeconfig("airflow"), namespace, name="train"))
    assert caught.value.reason == "BackoffLimitExceeded"
