"""A finished Job goes as its user said, by outcome: its TTL counts once its end is known, and is obeyed then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from command_line import CommandLine, container, finish, job_spec
from native_run import Follower, request
from one_node_cluster import OneNodeCluster
from roles import rules_without
from waiting import until

SAFE_TTL = 7 * 24 * 3600


def test_ttl_is_safe_while_the_job_runs_and_the_users_after_its_end(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start(
        "--manifest", command_line.write(job_spec(container("base", "sleep 3"), ttlSecondsAfterFinished=900))
    )
    job = cluster.the_job(namespace)
    assert job["spec"]["ttlSecondsAfterFinished"] == SAFE_TTL
    ended = finish(call)
    assert ended.code == 0, ended
    job = cluster.the_job(namespace)
    assert job["spec"]["ttlSecondsAfterFinished"] == 900
    assert any("acknowledged" in label for label in job["metadata"]["labels"]), job["metadata"]["labels"]


def test_ttl_of_zero_deletes_the_job_once_its_end_is_known(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start(
        "--manifest", command_line.write(job_spec(container("base", "echo bye"), ttlSecondsAfterFinished=0))
    )
    job = cluster.the_job(namespace)["metadata"]["name"]
    ended = finish(call)
    assert ended.code == 0, ended
    assert ended.stdout == "bye\n", ended
    cluster.wait_until_gone(namespace, job)


def test_without_a_ttl_the_job_stays_one_day_after_its_end(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    ended = command_line.shell("true")
    assert ended.code == 0, ended
    job = until("the finished Job", lambda: cluster.the_job(namespace), seconds=5)
    assert job["spec"]["ttlSecondsAfterFinished"] == 24 * 3600


def test_ttl_that_is_patched_long_after_the_end_is_obeyed(cluster: OneNodeCluster, namespace: str) -> None:
    """What the second phase relies on: Kubernetes itself, none of our code."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "old"}}
    spec = job_spec(container("base", "true"), ttlSecondsAfterFinished=SAFE_TTL)
    cluster.apply({**job, "spec": spec}, namespace=namespace)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/old", "--timeout=60s")
    ended = datetime.fromisoformat(cluster.the_job(namespace)["status"]["completionTime"])
    until("an end 10 s ago", lambda: datetime.now(timezone.utc) > ended + timedelta(seconds=10), seconds=30)
    assert cluster.the_job(namespace)["metadata"].get("deletionTimestamp") is None, "the TTL of its creation holds"

    # Counted from the end, this TTL is over already.
    cluster.kubectl("patch", "-n", namespace, "job/old", "-p", '{"spec": {"ttlSecondsAfterFinished": 5}}')
    cluster.wait_until_gone(namespace, "old")


@pytest.mark.parametrize(("script", "kept"), [("true", 900), ("exit 3", 7200)])
def test_ttl_of_the_outcome_is_written_after_the_end(
    cluster: OneNodeCluster, namespace: str, script: str, kept: int
) -> None:
    month = 30 * 24 * 3600
    by_outcome = {"succeeded": {"kind": "seconds", "seconds": 900}, "failed": {"kind": "seconds", "seconds": 7200}}
    run = Follower(cluster.kubeconfig()).start({**request(namespace, script), "ttl": by_outcome})
    assert cluster.the_job(namespace)["spec"]["ttlSecondsAfterFinished"] == SAFE_TTL < month
    Follower.until(run, "outcome")
    assert run.acknowledge() == []
    assert cluster.the_job(namespace)["spec"]["ttlSecondsAfterFinished"] == kept


@pytest.mark.parametrize(("script", "code", "deleted"), [("true", 0, True), ("exit 3", 3, False)])
def test_on_finish_deletes_the_job_of_the_outcome_it_names(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str, script: str, code: int, deleted: bool
) -> None:
    ended = command_line.shell(script, "--on-finish", "succeeded=delete")
    assert ended.code == code, ended
    assert ("is deleted, and its Pods have ended" in ended.stderr) is deleted, ended
    assert (cluster.jobs(namespace) == []) is deleted
    if not deleted:
        assert cluster.the_job(namespace)["spec"]["ttlSecondsAfterFinished"] == 24 * 3600


def test_on_finish_without_the_right_to_delete_is_a_warning_and_changes_no_exit_code(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("jobs", "delete"))
    ended = command_line_of_airflow.shell("exit 3", "--on-finish", "delete")
    assert ended.code == 3, ended
    assert "The outcome stands" in ended.stderr and "verb `delete`" in ended.stderr, ended
    assert cluster.the_job(namespace)["metadata"].get("deletionTimestamp") is None


def test_on_finish_of_a_job_that_somebody_holds_is_a_warning_that_names_the_finalizer(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    held = job_spec(container("base", "echo bye"))
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"finalizers": ["example.com/hold"]}, "spec": held}
    file = command_line.folder / "held.json"
    file.write_text(json.dumps(manifest))
    call = command_line.start("--manifest", str(file), "--on-finish", "delete")
    job = cluster.the_job(namespace)["metadata"]["name"]
    try:
        ended = finish(call)
        assert ended.code == 0, ended
        assert "example.com/hold" in ended.stderr and "The outcome stands" in ended.stderr, ended
    finally:
        cluster.kubectl(
            "patch", "-n", namespace, f"job/{job}", "-p", '{"metadata": {"finalizers": []}}', "--type=merge"
        )
