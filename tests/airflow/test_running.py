"""What can be known of a Job from Airflow while it runs, and what its log says at its end."""

from __future__ import annotations

from collections.abc import Callable

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]


def test_xcom_names_the_job_while_it_still_runs(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo started; sleep 12")
    job = cluster.the_job(namespace)
    uid = airflow.wait_for_xcom(ti, "job_uid", seconds=10)
    assert airflow.task(ti)["state"] == "running"
    assert uid == job["metadata"]["uid"]
    assert airflow.xcom(ti, "job_name") == job["metadata"]["name"]
    assert airflow.xcom(ti, "job_namespace") == namespace
    airflow.wait_for_state(ti, "success")


def test_log_lines_are_in_the_task_log_while_the_job_runs(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo first words; sleep 15; echo last words")
    cluster.wait_until_running(namespace)
    until("the first line in the task log", lambda: "first words" in airflow.log(ti), seconds=10)
    assert "last words" not in airflow.log(ti)
    assert airflow.task(ti)["state"] == "running"
    airflow.wait_for_state(ti, "success")
    assert airflow.log(ti).count("last words") == 1


def test_log_ends_with_the_timeline_of_the_job(airflow: AirflowClient, work: Work) -> None:
    ti = work("true")
    airflow.wait_for_state(ti, "success")
    log = airflow.log(ti).lower()
    for moment in ("created", "scheduled", "started", "ended"):
        assert moment in log, f"no {moment!r} in\n{log}"


def test_failing_job_fails_the_task_with_the_exit_code_and_each_retry_has_a_job_of_its_own(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo giving up; exit 3")
    airflow.wait_for_state(ti, "failed", try_number=3)
    assert len(cluster.jobs(namespace)) == 3
    assert len({job["metadata"]["name"] for job in cluster.jobs(namespace)}) == 3
    for try_number in (1, 2, 3):
        log = airflow.log(ti, try_number)
        assert log.count("giving up") >= 1
        assert "3" in log and "exit" in log.lower()
