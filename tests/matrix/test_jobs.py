"""What a Job's task tells on each Airflow: how it ended, what it printed, what became of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from airflow_client import AirflowClient, TaskInstance, times_printed
from airflow_release import MINOR
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster, names
from plain_job import job
from waiting import until

Run = Callable[..., TaskInstance]
Saw = Callable[[str, str], None]

MODES = ("blocking", "deferred")
#: A Job that waits in the midst of its log, until `go_on`.
WAITS = "trap 'exit 1' TERM; echo first words; until [ -e /tmp/go ]; do sleep 0.2; done; echo last words"
#: Lines that come at once, and of which each is equal to the one before.
EQUAL = "sleep 2; yes the same again | head -n 300; sleep 2; echo the end"
#: Lines that look like the head of a log record, with times that are not theirs, later ones first.
DATED = (
    "sleep 2; for i in $(seq 10 59); do"
    ' echo "2026-01-02T03:$((69 - $i)):00.000+00:00 dated $i"; done; sleep 2; echo the end'
)

#: Script by name; each runs in both modes.
SCRIPTS = {"waits": WAITS, "failing": "echo giving up; exit 3", "equal": EQUAL, "dated": DATED}


@dataclass(frozen=True)
class Started:
    """A run under way, in a namespace of its own."""

    ti: TaskInstance
    namespace: str


class Runs:
    """The runs of all scripts; those of one script begin together, when the first of them is asked for."""

    def __init__(self, cluster: OneNodeCluster, run: Run, stack: ExitStack) -> None:
        self._cluster = cluster
        self._run = run
        self._stack = stack
        self._begun: dict[tuple[str, str], Started] = {}

    def __getitem__(self, key: tuple[str, str]) -> Started:
        name, _ = key
        if key not in self._begun:
            for mode in MODES:
                namespace = self._stack.enter_context(self._cluster.namespace(f"{name}-{mode}"))
                self._begun[name, mode] = Started(self._run(mode, namespace, SCRIPTS[name]), namespace)
        return self._begun[key]


@pytest.fixture(scope="module")
def started(cluster: OneNodeCluster, run: Run) -> Iterator[Runs]:
    with ExitStack() as stack:
        yield Runs(cluster, run, stack)


def go_on(cluster: OneNodeCluster, namespace: str) -> None:
    """Let the one Job of a namespace, which runs `WAITS`, say its last words."""
    [job] = names(cluster.jobs(namespace))
    cluster.kubectl("exec", "-n", namespace, f"job/{job}", "--", "touch", "/tmp/go")


@pytest.mark.parametrize("mode", MODES)
def test_job_that_ends_well(
    airflow: AirflowClient, cluster: OneNodeCluster, saw: Saw, started: Runs, mode: str
) -> None:
    ti, namespace = started["waits", mode].ti, started["waits", mode].namespace
    airflow.wait_for_log(ti, "first words")
    go_on(cluster, namespace)
    record = airflow.wait_for_state(ti, "success")
    log = airflow.log(ti)
    assert record["try_number"] == 1
    assert log.count("first words") == 1 and log.count("last words") == 1, log
    found = cluster.the_job(namespace)["metadata"]
    assert found["labels"]["unique-k8s-job/acknowledged"] == "true"
    assert airflow.xcom(ti, "job_uid") == found["uid"]
    assert airflow.xcom(ti, "return_value")["state"] == "succeeded"
    saw(f"a Job ends well, {mode}", "the task succeeds; its log was live")


@pytest.mark.parametrize("mode", MODES)
def test_job_that_fails(airflow: AirflowClient, saw: Saw, started: Runs, mode: str) -> None:
    ti = started["failing", mode].ti
    airflow.wait_for_state(ti, "failed")
    log = airflow.log(ti)
    assert times_printed(log, "giving up") == 1, log
    assert "exit code 3" in log and "JobFailedError" in log, log
    saw(f"a Job fails, {mode}", "the task fails, with what the Job printed and its exit code")


@pytest.mark.parametrize("mode", MODES)
def test_three_hundred_equal_lines(airflow: AirflowClient, saw: Saw, started: Runs, mode: str) -> None:
    ti = started["equal", mode].ti
    airflow.wait_for_state(ti, "success")
    shown = [line for line in airflow.log(ti).splitlines() if "the same again" in line]
    assert len(shown) == 300, "\n".join(shown[:20])
    saw(f"a Job prints 300 equal lines at once, {mode}", "all are shown")


@pytest.mark.parametrize("mode", MODES)
def test_lines_that_begin_with_other_times(airflow: AirflowClient, saw: Saw, started: Runs, mode: str) -> None:
    ti = started["dated", mode].ti
    airflow.wait_for_state(ti, "success")
    log = airflow.log(ti)
    shown = [int(line.rpartition("dated ")[2]) for line in log.splitlines() if ":00.000+00:00 dated " in line]
    assert shown == list(range(10, 60)), log
    saw(f"a Job prints 50 lines that begin with a date, {mode}", "all are shown, in order")


def test_mapped_tasks(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw) -> None:
    whole = run("mapped", namespace)
    airflow.wait_for_run(whole.dag_id, whole.run_id)
    tasks = [TaskInstance(whole.dag_id, whole.run_id, "work", index) for index in range(3)]
    assert [airflow.task(ti)["state"] for ti in tasks] == ["success"] * 3
    for index, ti in enumerate(tasks):
        assert airflow.log(ti).count(f"part {index}") == 1
    uids = {airflow.xcom(ti, "job_uid") for ti in tasks}
    assert uids == {found["metadata"]["uid"] for found in cluster.jobs(namespace)} and len(uids) == 3
    saw("a task is mapped over three, deferred", "three Jobs, three logs; all succeed")


@pytest.mark.parametrize("mode", MODES)
def test_delete_operator(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw, mode: str
) -> None:
    held = job("held", "sleep 600")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.apply(held, namespace=namespace)
    cluster.wait_until_running(namespace)
    ti = run(f"delete_{mode}", namespace, name="held")
    airflow.wait_for_state(ti, "deferred" if mode == "deferred" else "running")
    until("the deletion", lambda: "deletionTimestamp" in cluster.the_job(namespace)["metadata"], seconds=60)
    free = json.dumps({"metadata": {"finalizers": None}})
    cluster.kubectl("patch", "job", "held", "-n", namespace, "--type=merge", "-p", free)
    airflow.wait_for_state(ti, "success")
    cluster.wait_until_gone(namespace, "held", seconds=1)
    assert airflow.xcom(ti, "return_value")["deleted"] == ["held"]
    saw(f"a Job is to be deleted that a finalizer holds, {mode}", "the task succeeds once the Job is gone")


def test_sensor(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw) -> None:
    ti = run("sensed", namespace, name="made-elsewhere")
    airflow.wait_for_state(ti, "deferred")
    cluster.apply(job("made-elsewhere", "echo all is well; sleep 2"), namespace=namespace)
    airflow.wait_for_state(ti, "success")
    assert airflow.log(ti).count("all is well") == 1, airflow.log(ti)
    saw("a sensor waits for a Job made elsewhere, deferred", "the task succeeds, with the Job's log")


def test_run_without_a_scheduler(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str, saw: Saw
) -> None:
    """A task that does not defer: one that does would be taken by the triggerer of the deployment, too."""
    airflow.wait_for_dag("without_a_scheduler")
    conf = json.dumps({"namespace": namespace, "script": "echo some words"})
    printed = airflow_server.command("dags", "test", "without_a_scheduler", "--conf", conf)
    assert "some words" in printed, printed
    assert cluster.the_job(namespace)["metadata"]["labels"]["unique-k8s-job/acknowledged"] == "true"
    saw("a DAG runs in `airflow dags test`, blocking", "the task succeeds; its log is on the terminal")


def test_killed_task_process(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, run: Run, saw: Saw
) -> None:
    ti = run("blocking_with_retries", namespace, WAITS)
    found = cluster.the_job(namespace)["metadata"]
    airflow.wait_for_xcom(ti, "job_uid")
    airflow.wait_for_log(ti, "first words")
    os.kill(airflow.task(ti)["pid"], signal.SIGKILL)
    row = "the task's process is killed (SIGKILL) and a try is left"
    if MINOR == (3, 0):
        # Its supervisor reports every exit code but 0 as failed for good: nobody comes back for the Job.
        airflow.wait_for_state(ti, "failed", try_number=1)
        assert not cluster.the_job(namespace)["metadata"].get("deletionTimestamp")
        cluster.wait_until_running(namespace)
        saw(row, "Airflow 3.0 itself fails the task at once, without the try that is left; the Job runs on")
        return
    airflow.wait_for_state(ti, "running", try_number=2)
    airflow.wait_for_log(ti, "first words", try_number=2)
    go_on(cluster, namespace)
    airflow.wait_for_state(ti, "success", try_number=2)
    assert [job["metadata"]["uid"] for job in cluster.jobs(namespace)] == [found["uid"]]
    log = airflow.log(ti, 2)
    assert "Taken over from try 1" in log and log.count("last words") == 1, log
    saw(row, "left at work; try 2 takes it over and succeeds")
