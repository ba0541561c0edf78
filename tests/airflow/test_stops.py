"""What becomes of the Job when its task is stopped: a user's stop and a timeout delete it, a worker's end does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster

Work = Callable[..., TaskInstance]

LONG = "echo working; trap 'exit 1' TERM; for i in $(seq 300); do sleep 1; done"


def running_job(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, ti: TaskInstance) -> dict[str, Any]:
    """The Job of a task, once its Pod runs and Airflow knows it."""
    job = cluster.the_job(namespace)
    cluster.wait_until_running(namespace)
    airflow.wait_for_xcom(ti, "job_uid")
    metadata: dict[str, Any] = job["metadata"]
    return metadata


def supervisor_of(pid: int) -> int:
    """The parent of a task process: Airflow's supervisor, which is what a worker's shutdown signals."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[1])


@pytest.mark.parametrize("state", ["failed", "success"])
def test_user_marking_a_running_task_deletes_its_job(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work, state: str
) -> None:
    ti = work(LONG)
    job = running_job(airflow, cluster, namespace, ti)
    airflow.mark(ti, state)
    cluster.wait_until_gone(namespace, job["name"])
    assert airflow.task(ti)["state"] == state
    assert airflow.task(ti)["try_number"] == 1


def test_execution_timeout_deletes_the_job_and_fails_the_task(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(LONG, "one_job_with_time_limit")
    job = running_job(airflow, cluster, namespace, ti)
    airflow.wait_for_state(ti, "failed")
    cluster.wait_until_gone(namespace, job["name"])


def test_worker_shutdown_with_a_try_left_leaves_the_job_to_the_next_try(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 20")
    job = running_job(airflow, cluster, namespace, ti)
    os.kill(supervisor_of(airflow.task(ti)["pid"]), signal.SIGTERM)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [job["uid"]]


def test_worker_shutdown_in_the_last_try_deletes_the_job(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(LONG, "one_job_without_retries")
    job = running_job(airflow, cluster, namespace, ti)
    os.kill(supervisor_of(airflow.task(ti)["pid"]), signal.SIGTERM)
    airflow.wait_for_state(ti, "failed")
    cluster.wait_until_gone(namespace, job["name"])
