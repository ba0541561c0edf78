"""Parameters of cncf.kubernetes that change what happens on the cluster, or what is read from it, on the real one."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from one_node_cluster import IMAGE, OneNodeCluster, names
from task_run import run_task
from unique_k8s_job import JobFailedError, JobStartupError
from unique_k8s_job.compat import KubernetesJobOperator


class Listening(KubernetesJobOperator):
    """Keeps the lines of each container."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(wait_until_job_complete=True, retries=1, termination_grace_period=0, **arguments)
        self.heard: set[tuple[str, str]] = set()

    def write_log(self, event: Any, log: Any) -> None:
        super().write_log(event, log)
        # A line has a prefix where several containers may write.
        lines = [line.rpartition("] ")[2] for line in event["text"].split("\n") if not event["mark"]]
        self.heard |= {(event["container"], line) for line in lines}


class AirflowTaskTimeout(BaseException):
    """Airflow's own, whose module differs between its versions."""


class Impatient(Listening):
    """Its time is over with the first line of the log."""

    def write_log(self, event: Any, log: Any) -> None:
        raise AirflowTaskTimeout


def printing(*containers: str) -> list[dict[str, Any]]:
    return [{"name": name, "image": IMAGE, "command": ["echo", f"of {name}"]} for name in containers]


#: What is given, and the containers whose lines have to be in the log.
LOGS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "none": ({}, {"base"}),
    "one": ({"init_container_logs": "second"}, {"second", "base"}),
    "several": ({"init_container_logs": ["third", "first"]}, {"first", "third", "base"}),
    "all": ({"init_container_logs": True, "container_logs": ["side"]}, {"first", "second", "third", "side"}),
    "only-init": ({"init_container_logs": ["first"], "container_logs": []}, {"first"}),
    "silent": ({"init_container_logs": True, "get_logs": False}, set()),
}


def test_log_has_the_lines_of_those_containers_that_are_named(cluster: OneNodeCluster, namespace: str) -> None:
    heard: dict[str, set[tuple[str, str]]] = {}

    def run(how: str) -> None:
        class Heard(Listening):
            def execute(self, context: Any) -> Any:
                heard[how] = self.heard
                return super().execute(context)

        arguments, _ = LOGS[how]
        run_task(
            cluster,
            namespace,
            dag_id="etl",
            task_id=how,
            operator=Heard,
            script="echo of base",
            init_containers=printing("first", "second", "third"),
            full_pod_spec={"spec": {"containers": [{"name": "base"}, *printing("side")]}},
            **arguments,
        )

    with ThreadPoolExecutor(len(LOGS)) as side_by_side:
        list(side_by_side.map(run, LOGS))
    assert heard == {how: {(name, f"of {name}") for name in named} for how, (_, named) in LOGS.items()}


@pytest.fixture
def deployment(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name for this Airflow: without one a Job of another try or run might be that of another Airflow."""
    monkeypatch.setenv("AIRFLOW__UNIQUE_K8S_JOB__DEPLOYMENT_ID", namespace)


@pytest.mark.usefixtures("deployment")
def test_finished_job_is_kept_or_deleted_as_the_provider_says_it(cluster: OneNodeCluster, namespace: str) -> None:
    def run(name: str, script: str, **arguments: Any) -> Any:
        return run_task(
            cluster,
            namespace,
            dag_id="etl",
            task_id=name,
            operator=Listening,
            script=script,
            name=name,
            random_name_suffix=False,
            backoff_limit=0,
            **arguments,
        )

    def fails(name: str, **arguments: Any) -> None:
        with pytest.raises(JobFailedError):
            run(name, "exit 3", **arguments)

    with ThreadPoolExecutor(5) as side_by_side:
        for done in [
            side_by_side.submit(run, "deleted", "true", on_finish_action="delete_pod"),
            side_by_side.submit(run, "kept", "true", on_finish_action="keep_pod"),
            side_by_side.submit(run, "deleted-if-well", "true", on_finish_action="delete_succeeded_pod"),
            side_by_side.submit(fails, "kept-as-failed", on_finish_action="delete_succeeded_pod"),
            side_by_side.submit(
                run,
                "beside",
                "echo 7 > /airflow/xcom/return.json; chmod 644 /airflow/xcom/return.json",
                xcom="sidecar",
                xcom_sidecar_image=IMAGE,
                xcom_sidecar_container_security_context={"runAsUser": 65534, "readOnlyRootFilesystem": True},
            ),
        ]:
            done.result()
    assert set(names(cluster.jobs(namespace))) == {"job-beside", "job-kept", "job-kept-as-failed"}
    # A fixed name is used again by the next run.
    uid = {job["metadata"]["name"]: job["metadata"]["uid"] for job in cluster.jobs(namespace)}
    run("kept", "true", run_id="manual__2")
    again = {job["metadata"]["name"]: job["metadata"]["uid"] for job in cluster.jobs(namespace)}
    assert set(again) == set(uid) and again["job-kept"] != uid["job-kept"]
    (pod,) = cluster.find("pods", namespace, "job-name=job-beside")
    (sidecar,) = pod["spec"]["initContainers"]
    assert sidecar["securityContext"] == {"runAsUser": 65534, "readOnlyRootFilesystem": True}


#: What a task says of a stop and of its retries, and whether the next try goes on with the Job of the first one.
RETRIES: dict[str, tuple[dict[str, Any], bool]] = {
    "goes-on": ({"on_kill_action": "keep_pod"}, True),
    "anew": ({"on_kill_action": "keep_pod", "reattach_on_restart": False}, False),
    "durable": ({"on_kill_propagation_policy": "Orphan", "durable": True, "reattach_on_restart": False}, True),
}


@pytest.mark.usefixtures("deployment")
def test_retry_after_a_stop_that_keeps_the_job_takes_it_over_or_replaces_it(
    cluster: OneNodeCluster, namespace: str
) -> None:
    # The first try leaves it at work, however long the second one takes to come.
    script = "echo line; until [ -e /tmp/go ]; do sleep 1; done"

    def tried(how: str, number: int, operator: type[Any]) -> Any:
        arguments, _ = RETRIES[how]
        ids: dict[str, Any] = {"dag_id": "etl", "task_id": how, "try_number": number, "max_tries": 1}
        return run_task(
            cluster, namespace, operator=operator, script=script, name=how, labels={"how": how}, **ids, **arguments
        )

    def first(how: str) -> str:
        with pytest.raises(AirflowTaskTimeout):
            tried(how, 1, Impatient)
        (job,) = cluster.find("jobs", namespace, f"how={how}")
        assert job["status"]["active"] == 1 and "deletionTimestamp" not in job["metadata"]
        return str(job["metadata"]["uid"])

    def second(how: str) -> str:
        class Going(Listening):
            def write_log(self, event: Any, log: Any) -> None:
                super().write_log(event, log)
                if "line" in event["text"].split("\n"):
                    name = self._job_reference[1]
                    cluster.kubectl("exec", "-n", namespace, f"job/{name}", "--", "touch", "/tmp/go")

        done = tried(how, 2, Going)
        assert done["state"] == "succeeded"
        return str(done["job"]["uid"])

    with ThreadPoolExecutor(len(RETRIES)) as side_by_side:
        before = dict(zip(RETRIES, side_by_side.map(first, RETRIES), strict=True))
        after = dict(zip(RETRIES, side_by_side.map(second, RETRIES), strict=True))
    assert {how: before[how] == after[how] for how in RETRIES} == {how: same for how, (_, same) in RETRIES.items()}
    left = {job["metadata"]["uid"] for job in cluster.jobs(namespace)}
    assert left == set(after.values()), "a Job that was replaced is gone"


def test_job_that_does_not_start_ends_after_the_sum_of_both_limits_and_its_events_are_told(
    cluster: OneNodeCluster, namespace: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobStartupError) as failed:
        run_task(
            cluster,
            namespace,
            dag_id="etl",
            task_id="work",
            operator=Listening,
            node_selector={"disk": "ssd"},
            startup_timeout_seconds=4,
            schedule_timeout_seconds=2,
            log_events_on_failure=False,
            log_events_on_startup=False,
        )
    told = capfd.readouterr().out
    waited = re.search(r"given up after (\d+) s \(startup_timeout_seconds\)", str(failed.value))
    assert waited and 6 <= int(waited[1]) < 60, failed.value
    for text in (str(failed.value), told):
        assert "node affinity/selector" in text, text
    assert names(cluster.jobs(namespace)) == [], "it is deleted"
