"""A Job whose task waits in the triggerer: its log is live, its outcome is the one of the blocking mode, many at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from airflow_client import AirflowClient, TaskInstance, times_printed
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster
from waiting import until

#: Mapped tasks of one run.
MANY = 60
#: Bytes of a result, near the most that a sidecar may print.
LARGE = 250_000

#: DAG and script of each; all begin at once, so that the suite waits once.
RUNS = {
    "live": ("deferred_job", "echo first words; sleep 30; echo last words"),
    "failing": ("deferred_job_without_retries", "echo giving up; exit 3"),
    "short": ("deferred_job_after_grace", "echo quickly done"),
    "unstartable": ("deferred_job_that_cannot_start", "true"),
    "large": (
        "deferred_job_with_sidecar",
        f"(printf '\"'; head -c {LARGE} /dev/zero | tr '\\0' x; printf '\"') > /airflow/xcom/return.json",
    ),
    "deleted": ("deferred_job_without_retries", "echo working; sleep 600"),
}


@dataclass(frozen=True)
class Started:
    """A run under way, in a namespace of its own."""

    ti: TaskInstance
    namespace: str


@pytest.fixture(scope="module")
def started(airflow_server: AirflowServer, cluster: OneNodeCluster) -> Iterator[dict[str, Started]]:
    """All the runs, by their name."""
    with ExitStack() as stack:
        runs = {}
        for name, (dag_id, script) in RUNS.items():
            namespace = stack.enter_context(cluster.namespace(f"deferred-{name}"))
            if name == "unstartable":
                hard = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "none"}}
                cluster.apply({**hard, "spec": {"hard": {"pods": "0"}}}, namespace=namespace)
            run_id = airflow_server.client.trigger(dag_id, {"script": script, "namespace": namespace})
            runs[name] = Started(TaskInstance(dag_id, run_id, "work"), namespace)
        yield runs


def test_log_of_a_deferred_job_is_live_and_what_airflow_stores_holds_no_manifest_and_no_secret(
    airflow: AirflowClient, cluster: OneNodeCluster, started: dict[str, Started]
) -> None:
    ti, namespace = started["live"].ti, started["live"].namespace
    until("the first line in the task log", lambda: "first words" in airflow.log(ti), seconds=60)
    record = airflow.task(ti)
    assert record["state"] == "deferred"
    assert "last words" not in airflow.log(ti)
    assert airflow.xcom(ti, "job_uid") == cluster.the_job(namespace)["metadata"]["uid"]
    assert record["trigger"]["classpath"] == "unique_k8s_job.triggers.UniqueK8sJobTrigger"
    stored = json.dumps(record["trigger"])
    assert "first words" not in stored and "kube_config" not in stored, stored


def test_end_of_a_deferred_job_is_as_in_the_blocking_mode(
    airflow: AirflowClient, cluster: OneNodeCluster, started: dict[str, Started]
) -> None:
    ti, namespace = started["live"].ti, started["live"].namespace
    airflow.wait_for_state(ti, "success", try_number=1)
    log = airflow.log(ti)
    assert log.count("first words") == 1 and log.count("last words") == 1
    for moment in ("created", "scheduled", "started", "ended", "succeeded"):
        assert moment in log.lower(), f"no {moment!r} in\n{log}"
    summary = airflow.xcom(ti, "return_value")
    job = cluster.the_job(namespace)["metadata"]
    assert (summary["state"], summary["job"]["uid"]) == ("succeeded", job["uid"])
    assert job["labels"]["unique-k8s-job/acknowledged"] == "true"


def test_failing_deferred_job_fails_the_task_with_what_it_printed_and_its_exit_code(
    airflow: AirflowClient, started: dict[str, Started]
) -> None:
    ti = started["failing"].ti
    airflow.wait_for_state(ti, "failed")
    log = airflow.log(ti)
    assert times_printed(log, "giving up") == 1, log
    assert "the last line of the log" in log, log
    assert "exit code 3" in log and "JobFailedError" in log, log


def test_result_that_a_sidecar_prints_comes_back_whole_from_the_triggerer(
    airflow: AirflowClient, started: dict[str, Started]
) -> None:
    ti = started["large"].ti
    airflow.wait_for_state(ti, "success")
    assert airflow.xcom(ti, "return_value") == "x" * LARGE
    assert airflow.xcom(ti, "job_outcome")["state"] == "succeeded"


def test_short_job_does_not_defer(airflow: AirflowClient, started: dict[str, Started]) -> None:
    ti = started["short"].ti
    airflow.wait_for_state(ti, "success")
    log = airflow.log(ti)
    assert "quickly done" in log
    assert "triggerer follows" not in log, log


def test_job_that_cannot_start_fails_the_deferred_task_and_is_deleted(
    airflow: AirflowClient, cluster: OneNodeCluster, started: dict[str, Started]
) -> None:
    ti, namespace = started["unstartable"].ti, started["unstartable"].namespace
    airflow.wait_for_state(ti, "failed")
    log = airflow.log(ti)
    assert "JobStartupError" in log and "quota" in log.lower(), log
    until("no Job", lambda: not cluster.jobs(namespace), seconds=20)


def test_job_that_somebody_deletes_fails_its_deferred_task_as_vanished(
    airflow: AirflowClient, cluster: OneNodeCluster, started: dict[str, Started]
) -> None:
    ti, namespace = started["deleted"].ti, started["deleted"].namespace
    airflow.wait_for_state(ti, "deferred")
    cluster.kubectl("delete", "job", airflow.xcom(ti, "job_name"), "-n", namespace, "--grace-period=1")
    airflow.wait_for_state(ti, "failed")
    assert "JobVanishedError" in airflow.log(ti), airflow.log(ti)


def test_sixty_deferred_tasks_whose_jobs_end_at_once_all_succeed_with_one_job_each(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    # The scheduler can fail a task that is resumed within five seconds of its deferral; these Jobs end 1 to 4 s after.
    conf = {"script": "sleep $(( $INDEX % 4 + 1 )); echo work $INDEX is done", "namespace": namespace, "count": MANY}
    run_id = airflow.trigger("many_deferred_jobs", conf)
    airflow.wait_for_run("many_deferred_jobs", run_id, seconds=400)
    states = airflow.states("many_deferred_jobs", run_id)
    assert Counter(states.values()) == {"success": MANY + 1}, states
    tasks = [TaskInstance("many_deferred_jobs", run_id, "work", index) for index in range(MANY)]
    assert [airflow.task(ti)["try_number"] for ti in tasks] == [1] * MANY
    uids = {airflow.xcom(ti, "job_uid") for ti in tasks}
    assert uids == {job["metadata"]["uid"] for job in cluster.jobs(namespace)}
    assert len(uids) == MANY
    for index in (0, MANY - 1):
        assert airflow.log(tasks[index]).count(f"work {index} is done") == 1
