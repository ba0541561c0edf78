"""A Job cleans itself up: its TTL counts only once its end is known, and is obeyed then."""

from __future__ import annotations

from command_line import CommandLine, container, finish, job_spec
from one_node_cluster import OneNodeCluster
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
