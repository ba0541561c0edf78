"""What becomes of the Job when its task is stopped, on each Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from airflow_client import AirflowClient, TaskInstance
from airflow_release import MINOR
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster, names
from unique_k8s_job.task import deferral

Run = Callable[..., TaskInstance]
Saw = Callable[[str, str], None]

LONG = "echo working; trap 'exit 1' TERM; for i in $(seq 300); do sleep 1; done"


@pytest.mark.every_run
@pytest.mark.parametrize("mode", ["blocking", "deferred"])
def test_user_marks_the_task_failed(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw, mode: str
) -> None:
    ti = run(mode, namespace, LONG)
    airflow.wait_for_log(ti, "working")
    job = airflow.wait_for_xcom(ti, "job_name")
    airflow.wait_for_state(ti, "deferred" if mode == "deferred" else "running")
    began = time.monotonic()
    airflow.mark(ti, "failed")
    cluster.wait_until_gone(namespace, job, seconds=150)
    print(f"marked failed, {mode}: Job and Pods gone after {time.monotonic() - began:.1f} s")
    assert airflow.task(ti)["state"] == "failed"
    saw(f"a user marks the task failed, {mode}", "deleted with its Pods; the task stays failed")


def test_user_clears_a_deferred_task(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    ti = run("deferred", namespace, LONG)
    airflow.wait_for_log(ti, "working")
    first = airflow.wait_for_xcom(ti, "job_name")
    airflow.wait_for_state(ti, "deferred")
    airflow.clear(ti)
    cluster.wait_until_gone(namespace, first, seconds=150)
    airflow.wait_for_state(ti, "deferred", try_number=2)
    airflow.wait_for_log(ti, "working", try_number=2)
    [second] = names(cluster.jobs(namespace))
    assert second == airflow.xcom(ti, "job_name") != first
    airflow.mark(ti, "failed")
    cluster.wait_until_gone(namespace, second, seconds=150)
    saw("a user clears a deferred task", "deleted with its Pods; try 2 runs the work afresh")


@pytest.mark.every_run
def test_execution_timeout_while_deferred_and_no_worker_is_free(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    ti = run("deferred_with_time_limit", namespace, LONG)
    airflow.wait_for_log(ti, "working")
    job = airflow.wait_for_xcom(ti, "job_name")
    # No slot is free: the task cannot go on before the time is over.
    airflow.set_slots("narrow", 0)
    try:
        cluster.wait_until_gone(namespace, job, seconds=150)
        airflow.wait_for_state(ti, "scheduled")
        if MINOR < (3, 0):
            # Airflow 2 fails the task past its time without calling it: the trigger was earlier.
            time.sleep(deferral.BEFORE_AIRFLOW_2.total_seconds())
    finally:
        airflow.set_slots("narrow", 8)
    airflow.wait_for_state(ti, "failed")
    assert "AirflowTaskTimeout" in airflow.log(ti), airflow.log(ti)
    saw(
        "`execution_timeout` while deferred, and no worker is free",
        "deleted with its Pods by the trigger, in time; the task fails once a worker is free",
    )


def test_user_stops_deferred_tasks_whose_triggers_have_not_begun(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    """The trigger of one is dropped by another triggerer in the meantime, that of the other is not."""
    airflow_server.kill_whole_component("triggerer")
    try:
        dropped, kept = (run("deferred", namespace, LONG) for _ in range(2))
        for ti in (dropped, kept):
            airflow.wait_for_state(ti, "deferred")
        jobs = {ti: airflow.wait_for_xcom(ti, "job_name") for ti in (dropped, kept)}
        airflow.mark(dropped, "failed")
        airflow_server.drop_unused_triggers()
        airflow.mark(kept, "failed")
    finally:
        airflow_server.start_component("triggerer")
    found = "deleted with its Pods once another deferred task waits in its namespace; the task stays failed"
    if MINOR < (3, 0):
        deleted = found  # a triggerer of Airflow 2 begins with dropping
    else:
        cluster.wait_until_gone(namespace, jobs[kept], seconds=150)
        deleted = "deleted with its Pods by the next triggerer, which begins its trigger and cancels it; the task stays failed"
    another = run("deferred", namespace, "echo another")
    for ti in (kept, dropped):
        cluster.wait_until_gone(namespace, jobs[ti], seconds=150)
        assert airflow.task(ti)["state"] == "failed"
    airflow.wait_for_state(another, "success")
    saw("a user marks a deferred task failed while no triggerer lives", deleted)
    saw("a user marks a deferred task failed, and Airflow drops its trigger before it has begun", found)
