"""What becomes of the Job of a deferred task when its task is stopped, or its triggerer ends or hands it over.

The table in docs/stops.md is what these tests saw.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import documented_table
from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster, names
from triggers_table import TriggersTable
from waiting import until

Work = Callable[..., TaskInstance]

UNTIL_TOLD = "echo working; until [ -e /tmp/go ]; do sleep 1; done"
LONG = "echo working; trap 'exit 1' TERM; for i in $(seq 300); do sleep 1; done"


def documented(what_happens: str, seen: str) -> None:
    documented_table.check("stops.md", what_happens, "deferred task", seen)


def waiting_in_the_triggerer(airflow: AirflowClient, ti: TaskInstance) -> str:
    """The name of its Job, once the trigger follows it."""
    until(f"the first line of {ti.dag_id}", lambda: "working" in airflow.log(ti), seconds=90, every=0.5)
    assert airflow.task(ti)["state"] == "deferred"
    return str(airflow.xcom(ti, "job_name"))


def seconds_until_deleted(cluster: OneNodeCluster, namespace: str, job: str) -> float:
    """From now until the API server has accepted the deletion."""
    began = time.monotonic()

    def deleted() -> bool:
        found = [item for item in cluster.jobs(namespace) if item["metadata"]["name"] == job]
        return not found or "deletionTimestamp" in found[0]["metadata"]

    until(f"the deletion of {job}", deleted, seconds=60, every=0.1)
    return time.monotonic() - began


def test_users_stop_and_execution_timeout_of_a_deferred_task_delete_its_job(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    clicks: dict[str, Callable[[TaskInstance], None]] = {
        "a user marks the running task failed": lambda ti: airflow.mark(ti, "failed"),
        "a user marks the running task success": lambda ti: airflow.mark(ti, "success"),
        "a user clears the running task": airflow.clear,
    }
    stopped = {how: work(LONG, "deferred_job") for how in clicks}
    stopped["`execution_timeout`"] = work(LONG, "deferred_job_with_time_limit")
    jobs = {how: waiting_in_the_triggerer(airflow, ti) for how, ti in stopped.items()}

    for how, click in clicks.items():
        click(stopped[how])
        took = seconds_until_deleted(cluster, namespace, jobs[how])
        print(f"{how}: DELETE accepted {took:.1f} s after the click")
    timed_out = stopped["`execution_timeout`"]
    airflow.wait_for_state(timed_out, "failed")
    for job in jobs.values():
        cluster.wait_until_gone(namespace, job, seconds=60)

    failed, success, cleared = (stopped[how] for how in clicks)
    assert airflow.task(failed)["state"] == "failed"
    assert airflow.task(success)["state"] == "success"
    assert "AirflowTaskTimeout" in airflow.log(timed_out)
    documented("a user marks the running task failed", "deleted with its Pods; the task stays failed")
    documented("a user marks the running task success", "deleted with its Pods; the task stays success")
    documented("`execution_timeout`", "deleted with its Pods; the try fails")

    first = jobs["a user clears the running task"]
    second = until(
        "the Job of the next try",
        lambda: next((name for name in [airflow.xcom(cleared, "job_name")] if name and name != first), None),
        seconds=60,
    )
    assert names(cluster.jobs(namespace)) == [second], "the new try has a Job of its own, and only it"
    documented("a user clears the running task", "deleted with its Pods; try 2 runs the work afresh")
    airflow.mark(cleared, "failed")
    cluster.wait_until_gone(namespace, second)


def test_job_of_a_deferred_task_outlives_a_users_stop_only_if_it_is_wanted(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    """Here with `on_stop="leave"`; with its default, above, the Job is deleted."""
    ti = work(UNTIL_TOLD, "deferred_job_that_outlives_a_stop")
    name = waiting_in_the_triggerer(airflow, ti)
    (before,) = cluster.jobs(namespace)
    airflow.mark(ti, "failed")
    until("the trigger's last word", lambda: "may still run (`on_stop`)" in airflow.log(ti), seconds=90)
    log = airflow.log(ti)
    assert f"Stopped by a user (the task is failed now). Job `{namespace}/{name}` is left as it is" in log, log

    (left,) = cluster.jobs(namespace)
    assert left["status"]["active"] == 1 and left["spec"] == before["spec"], left
    metadata = left["metadata"]
    assert "deletionTimestamp" not in metadata
    assert (metadata["uid"], metadata["labels"]) == (before["metadata"]["uid"], before["metadata"]["labels"])
    owner = "unique-k8s-job/owner"
    assert metadata["annotations"][owner] == before["metadata"]["annotations"][owner]
    # Nobody has recorded an outcome, so it is kept for the safe TTL after its end.
    assert "unique-k8s-job/acknowledged" not in metadata["labels"]
    assert left["spec"]["ttlSecondsAfterFinished"] == 604800
    (pod,) = cluster.find("pods", namespace)
    assert pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]

    cluster.kubectl("exec", "-n", namespace, f"job/{name}", "--", "touch", "/tmp/go")
    until("its end", lambda: cluster.jobs(namespace)[0]["status"].get("succeeded"), seconds=60)
    (ended,) = cluster.jobs(namespace)
    assert "unique-k8s-job/acknowledged" not in ended["metadata"]["labels"]
    assert airflow.task(ti)["state"] == "failed"


def test_users_stop_while_no_triggerer_lives_deletes_the_job_once_another_task_waits_there(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    """The trigger never began: nobody is cancelled, nobody is told. A Job that is to outlive a stop (`on_stop`) is left."""
    airflow_server.kill_component("triggerer", signal.SIGTERM)
    try:
        ti, wanted = work(LONG, "deferred_job_without_retries"), work(LONG, "deferred_job_that_outlives_a_stop")
        for stopped in (ti, wanted):
            airflow.wait_for_state(stopped, "deferred")
        job = str(airflow.xcom(ti, "job_name"))
        for stopped in (ti, wanted):
            airflow.mark(stopped, "failed")
        airflow_server.drop_unused_triggers()
    finally:
        airflow_server.start_component("triggerer")
    another = work(UNTIL_TOLD, "deferred_job_without_retries")
    began = time.monotonic()
    cluster.wait_until_gone(namespace, job, seconds=240)
    print(f"the Job that was left behind is gone {time.monotonic() - began:.0f} s after another task began")
    assert airflow.task(ti)["state"] == "failed"
    assert airflow.task(another)["state"] in ("running", "deferred")
    of_others = {str(airflow.xcom(other, "job_name")) for other in (another, wanted)}
    left = cluster.jobs(namespace)
    assert set(names(left)) == of_others, (
        "the Job of another task is left alone, and so is the one that outlives a stop"
    )
    assert not [found for found in left if found["metadata"].get("deletionTimestamp")]
    name = airflow.xcom(another, "job_name")
    cluster.kubectl("exec", "-n", namespace, f"job/{name}", "--", "touch", "/tmp/go")
    airflow.wait_for_state(another, "success", seconds=240)
    documented(
        "a user stops the task while no triggerer lives",
        "deleted with its Pods once another deferred task waits in its namespace; the task stays failed",
    )


def test_handing_over_and_the_end_of_the_triggerer_leave_the_job_to_the_next_triggerer(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    triggers = TriggersTable(airflow_server.home)
    ti = work("echo working; sleep 40; echo the end", "deferred_job_without_retries")
    job = waiting_in_the_triggerer(airflow, ti)

    def another_than(before: int) -> int | None:
        return next((taken for taken in [triggers.wait_until_taken(ti)] if taken != before), None)

    first = triggers.wait_until_taken(ti)
    triggers.give_to_another_triggerer(ti)
    until("the trigger's last word", lambda: "is left as it is" in airflow.log(ti), seconds=30)
    triggers.give_back(ti)
    assert triggers.wait_until_taken(ti) == first

    airflow_server.kill_component("triggerer", signal.SIGTERM)
    airflow_server.start_component("triggerer")
    until("the next triggerer", lambda: another_than(first), seconds=60)

    airflow.wait_for_state(ti, "success", try_number=1, seconds=120)
    assert names(cluster.jobs(namespace)) == [job]
    log = airflow.log(ti)
    assert log.count("the end") == 1, log
    for what_happens in (
        "another triggerer takes the task over",
        "the triggerer ends (SIGTERM)",
    ):
        documented(what_happens, "left at work; the next triggerer follows it in the same try, which succeeds")


def test_worker_killed_in_its_grace_leaves_the_job_and_the_next_try_defers_with_it(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work("echo working; sleep 25", "deferred_job_after_long_grace")
    job = cluster.the_job(namespace)["metadata"]
    cluster.wait_until_running(namespace)
    airflow.wait_for_xcom(ti, "job_uid")
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    airflow.wait_for_state(ti, "deferred", try_number=2)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert [found["metadata"]["uid"] for found in cluster.jobs(namespace)] == [job["uid"]]
