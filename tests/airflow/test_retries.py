"""A worker that dies neither loses nor doubles the work: the next try takes the Job over."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]


def test_second_try_takes_over_the_job_of_a_killed_first_one_and_no_line_is_missing(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    lines = 300
    ti = work(numbered_lines.script(lines, seconds=30))
    job = cluster.the_job(namespace)
    until(
        "the first lines in the log of try 1", lambda: len(numbered_lines.numbers(airflow.log(ti, 1))) > 20, seconds=60
    )

    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    airflow.wait_for_state(ti, "success", try_number=2)

    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [job["metadata"]["uid"]]
    numbered_lines.check_whole(airflow.log(ti, 2), lines)  # a Job that was taken over is read from its start
    first = numbered_lines.numbers(airflow.log(ti, 1))
    assert first == list(range(1, len(first) + 1))
    assert airflow.xcom(ti, "job_uid") == job["metadata"]["uid"]


def test_job_that_ends_well_while_no_worker_lives_is_used_by_the_next_try(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo the only run; sleep 4")
    job = cluster.the_job(namespace)
    cluster.wait_until_running(namespace)
    pid = airflow.task(ti)["pid"]
    # Frozen, the worker neither follows the Job nor reports: the Job ends unseen.
    os.kill(pid, signal.SIGSTOP)
    cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Complete", f"job/{job['metadata']['name']}", "--timeout=40s"
    )
    os.kill(pid, signal.SIGKILL)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [job["metadata"]["uid"]]
    assert airflow.log(ti, 2).count("the only run") >= 1
