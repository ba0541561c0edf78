"""What becomes of the Job when its blocking task is stopped: the rows of `docs/stops.md`, each a real run.

A user's stop and a timeout delete it, a worker's end does not where another try will come. How long it took is printed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import documented_table
from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer
from deletion_watch import deletion_watched
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]

PAGE, COLUMN = "stops.md", "blocking task"
MARKED_FAILED = "a user marks the running task failed"
MARKED_SUCCESS = "a user marks the running task success"
CLEARED = "a user clears the running task"
TIMEOUT = "`execution_timeout`"
SHUTDOWN = "the worker ends (SIGTERM) and a try is left"
LAST_SHUTDOWN = "the worker ends (SIGTERM) in the last try"
KILLED = "the worker is killed (SIGKILL, out of memory)"
NO_API = "Airflow's API is away for 60 s"
CTRL_C = "Ctrl-C in `dag.test()`"
ROWS = (MARKED_FAILED, MARKED_SUCCESS, CLEARED, TIMEOUT, SHUTDOWN, LAST_SHUTDOWN, KILLED, NO_API, CTRL_C)
LONG = "echo working; trap 'exit 1' TERM; for i in $(seq 300); do sleep 1; done"
SHORT = "echo working; sleep 20"
#: `airflow` as a terminal starts it: what starts these tests may have had SIGINT ignored.
TERMINAL = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('airflow', run_name='__main__', alter_sys=True)"
)


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


@contextmanager
def timed(cluster: OneNodeCluster, namespace: str, job: dict[str, Any], stop: str) -> Iterator[None]:
    """Print how long after the stop the deletion was asked for, and how long until the Job and its Pods were gone."""
    with deletion_watched(cluster.kubeconfig(), namespace, job["name"]) as watch:
        begin = time.time()
        yield
        cluster.wait_until_gone(namespace, job["name"])
        asked = until("the deletion, seen by the watch", lambda: watch.at, seconds=10)
        print(f"{stop}: DELETE after {asked - begin:.2f} s, gone after {time.time() - begin:.2f} s")


def left_to(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, ti: TaskInstance, uid: str) -> str:
    """The words for a Job that the next try takes over, once that is seen."""
    airflow.wait_for_state(ti, "success", try_number=2, seconds=240)
    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [uid]
    assert airflow.xcom(ti, "job_uid") == uid
    assert "Taken over from try 1" in airflow.log(ti, 2)
    return "left at work; try 2 takes it over and succeeds"


@pytest.mark.parametrize(("state", "row"), [("failed", MARKED_FAILED), ("success", MARKED_SUCCESS)])
def test_user_marking_a_running_task_deletes_its_job(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work, state: str, row: str
) -> None:
    ti = work(LONG)
    job = running_job(airflow, cluster, namespace, ti)
    with timed(cluster, namespace, job, row):
        airflow.mark(ti, state)
    task = airflow.task(ti)
    assert task["try_number"] == 1
    documented_table.check(PAGE, row, COLUMN, f"deleted with its Pods; the task stays {task['state']}")


def test_user_clearing_a_running_task_deletes_its_job_and_the_work_begins_afresh(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; trap 'exit 1' TERM; sleep 12 & wait")
    job = running_job(airflow, cluster, namespace, ti)
    with timed(cluster, namespace, job, CLEARED):
        airflow.clear(ti)
    airflow.wait_for_state(ti, "success", try_number=2, seconds=180)
    assert airflow.xcom(ti, "job_uid") != job["uid"]
    documented_table.check(PAGE, CLEARED, COLUMN, "deleted with its Pods; try 2 runs the work afresh")


def test_execution_timeout_deletes_the_job_and_fails_the_task(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(LONG, "one_job_with_time_limit")
    job = running_job(airflow, cluster, namespace, ti)
    with timed(cluster, namespace, job, f"{TIMEOUT} (from the running Pod on)"):
        airflow.wait_for_state(ti, "failed")
    documented_table.check(PAGE, TIMEOUT, COLUMN, "deleted with its Pods; the try fails")


def test_worker_shutdown_with_a_try_left_leaves_the_job_to_the_next_try(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(SHORT)
    job = running_job(airflow, cluster, namespace, ti)
    os.kill(supervisor_of(airflow.task(ti)["pid"]), signal.SIGTERM)
    seen = left_to(airflow, cluster, namespace, ti, job["uid"])
    documented_table.check(PAGE, SHUTDOWN, COLUMN, seen)


def test_worker_shutdown_in_the_last_try_deletes_the_job(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(LONG, "one_job_without_retries")
    job = running_job(airflow, cluster, namespace, ti)
    with timed(cluster, namespace, job, LAST_SHUTDOWN):
        os.kill(supervisor_of(airflow.task(ti)["pid"]), signal.SIGTERM)
    airflow.wait_for_state(ti, "failed")
    documented_table.check(PAGE, LAST_SHUTDOWN, COLUMN, "deleted with its Pods; the task fails")


def test_killed_worker_leaves_the_job_to_the_next_try(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(SHORT)
    job = running_job(airflow, cluster, namespace, ti)
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    seen = left_to(airflow, cluster, namespace, ti, job["uid"])
    documented_table.check(PAGE, KILLED, COLUMN, seen)


def test_minute_without_airflows_api_costs_no_running_job(
    airflow_server: AirflowServer, airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 130", "one_job_with_patience")
    job = running_job(airflow, cluster, namespace, ti)
    airflow_server.kill_component("api-server")
    try:
        back = time.monotonic() + 60
        until("the end of a minute", lambda: time.monotonic() > back, seconds=70)
        [found] = cluster.jobs(namespace)
        assert found["metadata"]["uid"] == job["uid"] and not found["metadata"].get("deletionTimestamp")
    finally:
        airflow_server.start_component("api-server")
        until("an answer of Airflow's API", lambda: answers(airflow), seconds=90)
    # The process of the first try may have outlived the minute, or not: that is Airflow's to say.
    airflow.wait_for_state(ti, "success", seconds=240)
    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [job["uid"]]
    print(f"{NO_API}: the task succeeds in try {airflow.task(ti)['try_number']}")
    seen = "left at work; the task succeeds with it"
    documented_table.check(PAGE, NO_API, COLUMN, seen)


def answers(airflow: AirflowClient) -> bool:
    try:
        airflow.health()
    except httpx.HTTPError:
        return False
    return True


def test_ctrl_c_in_a_dag_test_deletes_the_job(
    airflow_server: AirflowServer, airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    airflow.wait_for_dag("one_job_without_retries")
    conf = json.dumps({"script": LONG, "namespace": namespace})
    written = tmp_path / "output"
    with written.open("w") as stdout, shown_if_it_fails(written):
        # What `dag.test()` does, from a terminal: Ctrl-C reaches the whole process group.
        process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, "dags", "test", "one_job_without_retries", "--conf", conf],
            env=airflow_server.environment(),
            cwd=airflow_server.home,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            job = cluster.the_job(namespace, seconds=90)["metadata"]
            cluster.wait_until_running(namespace)
            with timed(cluster, namespace, job, CTRL_C):
                os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()
        output = written.read_text()
        assert "Interrupted (Ctrl-C). Job" in output and "is being deleted; its Pod may take up to" in output
        assert "is deleted, and its Pods have ended" in output
    documented_table.check(PAGE, CTRL_C, COLUMN, "deleted with its Pods; the try fails")


@contextmanager
def shown_if_it_fails(written: Path) -> Iterator[None]:
    """Add the end of what a process has written to a failure."""
    try:
        yield
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n  the process wrote: {written.read_text()[-8000:]}") from failure


def test_page_says_nothing_of_blocking_tasks_that_was_not_seen_here() -> None:
    said = {row for row, cells in documented_table.cells(PAGE).items() if cells[COLUMN]}
    assert said == set(ROWS)
