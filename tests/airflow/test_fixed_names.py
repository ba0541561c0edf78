"""`name_policy="fixed"` in a real Airflow: runs share a name one after the other, and a retry takes its Job over."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]

DAG = "one_job_with_a_fixed_name"


def test_two_runs_at_once_have_the_name_one_after_the_other(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    first = work("echo working; sleep 15", DAG, name="nightly-report")
    assert cluster.the_job(namespace)["metadata"]["name"] == "nightly-report"
    second = work("echo working; sleep 1", DAG, name="nightly-report")
    until("the second run waiting for the name", lambda: first.run_id in airflow.log(second), seconds=60)
    airflow.wait_for_state(first, "success", try_number=1)
    airflow.wait_for_state(second, "success", try_number=1)
    assert airflow.xcom(first, "job_uid") != airflow.xcom(second, "job_uid")
    assert cluster.jobs(namespace) == [], "each went when it had succeeded"


def test_retry_of_a_killed_worker_takes_over_the_job_of_its_own_run(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 20", DAG, name="nightly-report")
    job = cluster.the_job(namespace)["metadata"]
    airflow.wait_for_xcom(ti, "job_uid")
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert airflow.xcom(ti, "job_uid") == job["uid"]


def test_name_that_a_template_rendered_wrong_fails_with_the_rule_before_anything_is_made(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("true", DAG, name="Nightly_Report")
    until("the refusal", lambda: "DNS label" in airflow.log(ti), seconds=60)
    assert "Nightly_Report" in airflow.log(ti)
    assert cluster.jobs(namespace) == []
    airflow.mark(ti, "failed")
