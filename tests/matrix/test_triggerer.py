"""What the tasks of a triggerer go through on each Airflow: its end, its death, an Airflow that answers late."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from airflow_release import MINOR
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster, names
from waiting import until

Run = Callable[..., TaskInstance]
Saw = Callable[[str, str], None]

LINES = 3_000
#: Seconds in which a Job prints them: a triggerer ends and another begins meanwhile.
PRINTED_IN = 30
#: Seconds for the end of a triggerer: Airflow kills its triggers' process after thirty, and Kubernetes the whole.
ENDS_WITHIN = 25


def wait_for_lines(airflow: AirflowClient, ti: TaskInstance, count: int) -> None:
    until(f"{count} lines", lambda: len(numbered_lines.numbers(airflow.log(ti))) > count, seconds=120, every=0.5)


def check_followed_to_its_end(airflow: AirflowClient, ti: TaskInstance) -> int:
    """Fail unless the task succeeds in its first try with every line; how many are repeated behind a mark."""
    airflow.wait_for_state(ti, "success", try_number=1, seconds=240)
    repeated = numbered_lines.check_repeated_behind_marks(airflow.log(ti), LINES)
    print(f"{repeated} of {LINES} lines repeated, behind a mark")
    return repeated


@pytest.mark.every_run
def test_triggerer_ends_and_another_begins(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    ti = run("deferred", namespace, numbered_lines.script(LINES, seconds=PRINTED_IN))
    wait_for_lines(airflow, ti, LINES // 10)
    job = names(cluster.jobs(namespace))
    began = time.monotonic()
    airflow_server.kill_component("triggerer", signal.SIGTERM, seconds=ENDS_WITHIN)
    print(f"the triggerer ended within {time.monotonic() - began:.1f} s")
    airflow_server.start_component("triggerer")
    repeated = check_followed_to_its_end(airflow, ti)
    assert names(cluster.jobs(namespace)) == job
    if MINOR == (3, 0):
        # Its own signal kills the process of the triggers before they can store anything: the same as below.
        lines = "no line is lost, repeated ones are marked"
    else:
        assert not repeated
        lines = "no line is lost or repeated"
    saw("the triggerer ends (SIGTERM), and another begins", f"it ends in time; the Job is left at work; {lines}")


def test_triggerer_is_killed_and_another_begins(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    ti = run("deferred", namespace, numbered_lines.script(LINES, seconds=PRINTED_IN))
    wait_for_lines(airflow, ti, LINES // 10)
    job = names(cluster.jobs(namespace))
    airflow_server.kill_whole_component("triggerer")
    airflow_server.start_component("triggerer")
    check_followed_to_its_end(airflow, ti)
    assert names(cluster.jobs(namespace)) == job
    # Whether a line was on its way when the process died is chance.
    saw("the triggerer is killed (SIGKILL)", "the Job is left at work; no line is lost, repeated ones are marked")


def test_airflow_answers_late_once(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    long = "echo working; trap 'exit 1' TERM; for i in $(seq 300); do sleep 1; done"
    stopped, going_on = (run("deferred", namespace, long) for _ in range(2))
    for ti in (stopped, going_on):
        airflow.wait_for_log(ti, "working")
    jobs = [airflow.wait_for_xcom(ti, "job_name") for ti in (stopped, going_on)]
    order, taken = (airflow_server.home / f"late-answer{suffix}" for suffix in ("", ".taken"))
    order.write_text("25")
    airflow.mark(stopped, "failed")
    until("a question of the triggerer", taken.exists, seconds=150)
    taken.unlink()
    another = run("deferred", namespace, "echo another")
    airflow.wait_for_state(another, "success", seconds=180)
    cluster.wait_until_gone(namespace, jobs[0], seconds=150)
    assert airflow.task(going_on)["state"] == "deferred"
    airflow.mark(going_on, "failed")
    cluster.wait_until_gone(namespace, jobs[1], seconds=150)
    saw(
        "Airflow answers a triggerer 25 s late, once", "it goes on with all its tasks; the stopped one's Job is deleted"
    )
