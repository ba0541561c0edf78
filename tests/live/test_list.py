"""`unique-k8s-job list`, and `delete` with the same choice: twelve DAGs' Jobs found, counted and cleaned up."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from command_line import PROGRAM, CommandLine, finish
from one_node_cluster import IMAGE, OneNodeCluster
from roles import shipped_rules
from task_run import run_task
from terminal import on_a_terminal
from unique_k8s_job.exceptions import UniqueK8sJobError

DAGS = [f"dag_{number:02}" for number in range(11)] + ["größe_report"]
RUN = "scheduled__2026-01-01T00:00:00+00:00"


def listed(command_line: CommandLine, *options: str) -> list[dict[str, Any]]:
    ended = command_line.call("list", "--json", *options)
    assert ended.code == 0, ended
    found: list[dict[str, Any]] = json.loads(ended.stdout)["jobs"]
    return found


def make(cluster: OneNodeCluster, namespace: str) -> None:
    """A Job of each of twelve DAGs, of which the last fails, and one of nobody."""

    def one(dag: str) -> None:
        failing = dag == DAGS[-1]
        try:
            run_task(
                cluster,
                namespace,
                dag_id=dag,
                task_id="load",
                run_id=RUN,
                map_index=2 if failing else -1,
                try_number=2 if failing else 1,
                script="exit 3" if failing else "true",
                reattach="ignore",
            )
        except UniqueK8sJobError as error:
            assert failing, error

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, DAGS))
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": IMAGE}]}}}
    cluster.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "of-nobody"}, "spec": job}, namespace=namespace
    )


def test_jobs_of_twelve_dags_are_found_counted_and_cleaned_up(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    make(cluster, namespace)
    everything = listed(command_line)
    assert sorted(job["dag_id"] for job in everything) == sorted(DAGS)
    (failed,) = listed(command_line, "--state", "failed")
    assert failed == {**failed, "dag_id": "größe_report", "task_id": "load", "run_id": RUN, "map_index": 2,
                      "try_number": 2, "exit_code": 3, "state": "failed", "acknowledged": True}  # fmt: skip
    assert [job["uid"] for job in listed(command_line, "--dag", "größe_report", "--run", RUN)] == [failed["uid"]]
    (one,) = listed(command_line, "--dag", "dag_03", "--task", "load")
    assert (one["state"], one["exit_code"], one["map_index"]) == ("succeeded", 0, None)
    assert listed(command_line, "--older-than", "1h") == []
    assert listed(command_line, "--dag", "gre_report-342394a20") == [], "an id is whole"

    piped = command_line.call("list")
    assert piped.code == 0 and "12 Jobs in namespace" in piped.stdout, piped
    assert "11 succeeded, 1 failed" in piped.stdout, piped
    for columns in (80, 200):
        shown = on_a_terminal(
            cluster.kubeconfig(), command_line.folder, "list", "-n", namespace, "--state", "failed", columns=columns
        )
        lines = shown.replace("\r", "").splitlines()
        assert max(map(len, lines)) <= columns, shown
        assert any(failed["name"] in line for line in lines), "a name is not broken"
        assert "größe_report.load[2]" in shown and RUN in shown, shown

    refused = command_line.call("delete", "--state", "failed")
    assert refused.code == 125 and "--yes" in refused.stderr, refused
    dry = command_line.call("delete", "--state", "failed", "--dry-run")
    assert dry.code == 0 and failed["name"] in dry.stdout, dry
    assert len(listed(command_line)) == 12
    done = command_line.call("delete", "--state", "failed", "--yes")
    assert done.code == 0 and "is gone, and its work has stopped" in done.stderr, done
    assert [job["uid"] for job in everything if job != failed] == [job["uid"] for job in listed(command_line)]
    done = command_line.call("delete", "--older-than", "0s", "--yes", "--json")
    assert done.code == 0 and len(json.loads(done.stdout)["deleted"]) == 11, done
    assert [job["metadata"]["name"] for job in cluster.jobs(namespace)] == ["of-nobody"]


def test_unfinished_job_of_a_task_is_kept_unless_it_is_asked_for(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    process = command_line.start_shell("trap 'exit 0' TERM; sleep 1000 & wait", "--keep")
    cluster.wait_until_running(namespace)
    (job,) = listed(command_line)
    kept = command_line.call("delete", "--older-than", "0s", "--yes")
    assert kept.code == 0 and "is left alone: a task owns it" in kept.stderr, kept
    assert [one["uid"] for one in listed(command_line)] == [job["uid"]]
    done = command_line.call("delete", "--run", job["run_id"], "--include-owned", "--yes")
    assert done.code == 0, done
    finish(process)
    assert listed(command_line) == []


def test_namespace_that_does_not_exist_is_an_error_and_an_empty_one_is_not(command_line: CommandLine) -> None:
    assert listed(command_line) == []
    for command in (("list",), ("delete", "--dag", "x", "--yes")):
        ended = command_line.call(command[0], *command[1:], "--namespace", "no-such-namespace")
        assert ended.code == 125 and "`no-such-namespace` does not exist" in ended.stderr, ended


@pytest.mark.parametrize(
    "options",
    [
        ("list", "-A"),
        ("list", "--older-than", "soon"),
        ("delete", "-A", "--dag", "x"),
        ("delete", "x", "--dag", "y", "--yes"),
        ("delete", "x", "--yes"),
        ("delete", "--dag", "x", "--json"),
    ],
)
def test_choice_that_is_not_clear_is_a_wrong_call(command_line: CommandLine, options: tuple[str, ...]) -> None:
    ended = command_line.call(*options)
    assert ended.code == 125 and "Usage" in ended.stderr, ended


def test_advice_fits_the_rights_of_a_role_in_one_namespace(
    cluster: OneNodeCluster, command_line_of_airflow: CommandLine, namespace: str
) -> None:
    cluster.allow(namespace, shipped_rules())
    assert listed(command_line_of_airflow) == []
    for command in ("list", "doctor"):
        ended = subprocess.run(
            [str(PROGRAM), command, "-A", "--kubeconfig", str(cluster.kubeconfig("airflow"))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 125, ended
        assert "-n NAMESPACE" in ended.stderr and "ClusterRole" in ended.stderr, ended.stderr
