"""A clear runs the work again, always; a retry never runs it twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import yaml

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import CHECKOUT, OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]


def test_clear_of_a_finished_task_runs_again_although_its_acknowledgement_was_refused(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    role = next(yaml.safe_load_all((CHECKOUT / "docs" / "rbac.yaml").read_text()))
    rules = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch"]} for rule in role["rules"]]
    cluster.allow(namespace, rules)
    ti = work("echo the work is done", "one_job_without_patch")
    airflow.wait_for_state(ti, "success", try_number=1)
    first = cluster.the_job(namespace)["metadata"]
    assert "patch" in airflow.log(ti, 1), "the missing verb has to be named"

    # Give the right back: what is tested is the clear, whose first step takes the Job over.
    cluster.allow(namespace, role["rules"])
    airflow.clear(ti)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert airflow.xcom(ti, "job_uid") != first["uid"]
    assert airflow.log(ti, 2).count("the work is done") >= 1


def test_clear_of_a_task_with_a_dead_worker_deletes_its_job_and_runs_again(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 8", "one_job_without_retries")
    first = cluster.the_job(namespace)["metadata"]
    cluster.wait_until_running(namespace)
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    airflow.wait_for_state(ti, "failed")
    assert first["name"] in [job["metadata"]["name"] for job in cluster.jobs(namespace)], "the Job outlives its worker"

    airflow.clear(ti)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert airflow.xcom(ti, "job_uid") != first["uid"]
    cluster.wait_until_gone(namespace, first["name"])


def test_clear_of_a_running_task_deletes_its_job_and_runs_again(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 12")
    first = cluster.the_job(namespace)["metadata"]
    cluster.wait_until_running(namespace)
    airflow.clear(ti)
    airflow.wait_for_state(ti, "success", try_number=2, seconds=180)
    assert airflow.xcom(ti, "job_uid") != first["uid"]
    cluster.wait_until_gone(namespace, first["name"])


def test_retry_after_a_clear_takes_over_the_job_of_the_cleared_run(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 10")
    airflow.wait_for_state(ti, "success", try_number=1)
    first = airflow.xcom(ti, "job_uid")
    airflow.clear(ti)
    airflow.wait_for_state(ti, "running", try_number=2)
    second = until(
        "the Job of try 2",
        lambda: next((u for u in [airflow.xcom(ti, "job_uid")] if u and u != first), None),
        seconds=40,
    )
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    airflow.wait_for_state(ti, "success", try_number=3)
    assert airflow.xcom(ti, "job_uid") == second, "a retry never runs the work twice"
