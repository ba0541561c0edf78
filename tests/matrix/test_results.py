"""What a task with a Job hands on, on each Airflow: results, skips, callbacks, links; and the other ways to write one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from stand_in_kueue import NO_QUOTA, StandInKueue

Saw = Callable[[str, str], None]

MODES = ("blocking", "deferred")


class Started:
    """A run under way of each DAG that needs nobody while it runs; all begin together, each in a namespace of its own."""

    DAGS = (
        "decorated_jobs",
        "after_a_job",
        *(f"{dag}_{mode}" for dag in ("result", "large_result", "skipped", "swapped_import") for mode in MODES),
    )

    def __init__(self, airflow: AirflowClient, cluster: OneNodeCluster, stack: ExitStack) -> None:
        self._airflow = airflow
        self.namespaces = {dag: stack.enter_context(cluster.namespace(dag.replace("_", "-"))) for dag in self.DAGS}
        self._runs = {dag: airflow.trigger(dag, {"namespace": self.namespaces[dag]}) for dag in self.DAGS}

    def ended(self, dag: str) -> dict[str, str]:
        """Wait for the end of a run: the states of its tasks."""
        self._airflow.wait_for_run(dag, self._runs[dag], seconds=420)
        return self._airflow.states(dag, self._runs[dag])

    def ti(self, dag: str, task: str = "work", index: int = -1) -> TaskInstance:
        return TaskInstance(dag, self._runs[dag], task, index)

    def logs(self, dag: str) -> str:
        """The logs of the tasks that are not mapped, for an assertion that fails."""
        tasks = (task for task in self._airflow.states(dag, self._runs[dag]) if "[" not in task)
        return "\n\n".join(f"--- {task}\n{self._airflow.log(self.ti(dag, task))}" for task in tasks)


@pytest.fixture(scope="module")
def started(airflow: AirflowClient, cluster: OneNodeCluster) -> Iterator[Started]:
    with ExitStack() as stack:
        yield Started(airflow, cluster, stack)


@pytest.mark.parametrize("mode", MODES)
def test_next_task_reads_the_result(airflow: AirflowClient, saw: Saw, started: Started, mode: str) -> None:
    dag = f"result_{mode}"
    assert started.ended(dag) == {"work": "success", "told": "success"}, started.logs(dag)
    assert airflow.xcom(started.ti(dag), "return_value") == {"rows": [3, 4]}
    assert airflow.xcom(started.ti(dag), "job_outcome")["state"] == "succeeded"
    assert "was told 16 characters: {'rows': [3, 4]}" in airflow.log(started.ti(dag, "told"))
    saw(f"a Job leaves a result, {mode}", "the next task reads it")


@pytest.mark.parametrize("mode", MODES)
def test_next_task_reads_a_large_result(airflow: AirflowClient, saw: Saw, started: Started, mode: str) -> None:
    dag = f"large_result_{mode}"
    assert started.ended(dag) == {"work": "success", "told": "success"}, started.logs(dag)
    assert "was told 15000 characters: xxx" in airflow.log(started.ti(dag, "told"))
    saw(f"a Job leaves 15,000 bytes for the sidecar, {mode}", "the next task reads them")


@pytest.mark.parametrize("mode", MODES)
def test_exit_code_that_skips(saw: Saw, started: Started, mode: str) -> None:
    dag = f"skipped_{mode}"
    assert started.ended(dag) == {"work": "skipped"}, started.logs(dag)
    saw(f"a Job ends with the code of `skip_on_exit_code`, {mode}", "the task is skipped")


@pytest.mark.parametrize("mode", MODES)
def test_operators_of_cncf_with_their_import_swapped(
    airflow: AirflowClient, cluster: OneNodeCluster, saw: Saw, started: Started, mode: str
) -> None:
    dag = f"swapped_import_{mode}"
    assert started.ended(dag) == dict.fromkeys(("work", "patch", "delete"), "success"), started.logs(dag)
    assert airflow.log(started.ti(dag)).count("from the job") == 1
    assert airflow.xcom(started.ti(dag), "return_value") == [1, 2]
    assert cluster.jobs(started.namespaces[dag]) == []
    saw(f"the operators of cncf.kubernetes with their import swapped, {mode}", "run, patch and delete a Job")


def test_decorated_functions(airflow: AirflowClient, saw: Saw, started: Started) -> None:
    dag = "decorated_jobs"
    failed = {task for task, state in started.ended(dag).items() if state != "success"}
    assert failed == {"fails", "is_too_large"}, started.logs(dag)
    assert airflow.xcom(started.ti(dag, "count"), "rows") == [6, 8]
    saw("`@task.unique_k8s_job`, blocking", "the function runs in a Job; what it returns is the task's value")
    assert airflow.xcom(started.ti(dag, "lengths"), "return_value") == [5000, 15000]
    saw("`@task.unique_k8s_job`, mapped over two, deferred", "two Jobs; the next task reads what both return")
    assert "LookupError: no table orders" in airflow.log(started.ti(dag, "fails"))
    saw("`@task.unique_k8s_job` raises", "the task fails, with the line of the function and the exception")
    assert "got [6, 8] in " in airflow.log(started.ti(dag, "command"))
    saw("`@task.unique_k8s_job_cmd`, blocking", "the command that the function returns runs in a Job")
    saw("Python {}.{}".format(*sys.version_info), "as in the rows from `a Job leaves a result` on")


def test_callbacks_branch_and_teardown_after_a_job(airflow: AirflowClient, saw: Saw, started: Started) -> None:
    dag = "after_a_job"
    wanted = {"make": "success", "work": "failed", "clean": "success", "choose": "success", "celebrate": "skipped"}
    assert started.ended(dag) == {**wanted, "repair": "success"}, started.logs(dag)
    assert "callback: make is done by " in airflow.log(started.ti(dag, "make"))
    saw("a Job fails, deferred: what comes after it", "the teardown runs; a branch reads how the Job ended")
    assert "callback: JobFailedError with exit code 3: Job `" in airflow.log(started.ti(dag))
    assert "callback: it is an AirflowException: True" in airflow.log(started.ti(dag))
    saw("a Job fails, deferred: its callback", "has the exception, with the exit code")
    uid = airflow.xcom(started.ti(dag), "job_uid")
    assert airflow.links(started.ti(dag)) == {"Kubernetes Job": f"https://dashboard.example/?uid={uid}"}
    saw("the page of a task instance, with `job_url_template`", "has a link to the Job's dashboard")


@pytest.mark.parametrize("mode", MODES)
def test_queue_of_kueue(airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, saw: Saw, mode: str) -> None:
    kueue = StandInKueue(cluster, namespace)
    dag = f"queued_{mode}"
    ti = TaskInstance(dag, airflow.trigger(dag, {"namespace": namespace}), "work")
    job = cluster.the_job(namespace)
    kueue.sees(job)
    kueue.refuses(job)
    airflow.wait_for_log(ti, f"waits in the queue `team-a`: {NO_QUOTA}")
    kueue.admits(job)
    airflow.wait_for_state(ti, "success")
    assert airflow.log(ti).count("let in") == 1, airflow.log(ti)
    saw(f"a Job waits in a queue of Kueue, {mode}", "the log has Kueue's reason; once admitted, the Job runs")
