"""A name that all runs of a task share, on the real cluster: what has it is taken over, deleted, waited for, left alone."""

from __future__ import annotations

import pytest

from command_line import container, job_spec
from fixed_name_runs import NAME, finished, wants
from native_run import Follower, deleted
from one_node_cluster import OneNodeCluster
from roles import rules_without
from unique_k8s_job.exceptions import ApiRefusedError, NameTakenError

#: Obeys SIGTERM, so that its deletion does not have to wait for the Pod's grace period.
LONG = "trap 'exit 0' TERM; sleep 300 & wait"


@pytest.fixture
def follower(cluster: OneNodeCluster) -> Follower:
    return Follower(cluster.kubeconfig())


def test_finished_job_of_another_run_is_deleted_and_made_anew(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    first, _ = finished(follower, wants(namespace, "echo first", "yesterday"))
    second, said = finished(follower, wants(namespace, "echo second", "today"))
    assert (second["state"], second["job"]["name"]) == ("succeeded", NAME)
    assert "predecessor-deleted" in said
    assert cluster.the_job(namespace)["metadata"]["uid"] == second["job"]["uid"] != first["job"]["uid"]


def test_two_runs_at_once_have_the_name_one_after_the_other(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    first = follower.start(wants(namespace, "sleep 5", "a", on_finish={"succeeded": "delete"}))
    Follower.until(first, "submitted")
    second = follower.start(wants(namespace, "echo done", "b"))
    waiting = Follower.until(second, "message")
    assert waiting["code"] == "name-in-use" and "run a" in waiting["text"], waiting
    assert Follower.until(first, "outcome")["state"] == "succeeded", "it ran to its end"
    assert [said["code"] for said in first.acknowledge()] == ["job-deleted"]
    assert Follower.until(second, "outcome")["state"] == "succeeded"
    cluster.the_job(namespace)


def test_unfinished_job_of_another_run_is_left_alone_at_the_end_of_the_startup_timeout(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    first = follower.start(wants(namespace, LONG, "yesterday"))
    uid = Follower.until(first, "submitted")["uid"]
    with pytest.raises(NameTakenError, match="run yesterday") as refusal:
        finished(follower, wants(namespace, "true", "today", startup_timeout_seconds=5))
    assert "run today" in str(refusal.value) and "max_active_runs" in str(refusal.value)
    job = cluster.the_job(namespace)
    assert job["metadata"]["uid"] == uid and job["metadata"].get("deletionTimestamp") is None
    deleted(first)


def test_retry_takes_the_job_over_and_a_clear_makes_it_anew(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    first = follower.start(wants(namespace, LONG, "today"))
    uid = Follower.until(first, "submitted")["uid"]
    first.close()
    second = follower.start(wants(namespace, LONG, "today", 2))
    taken = Follower.until(second, "submitted")
    assert (taken["origin"], taken["uid"], taken["try_number"]) == ("taken_over", uid, 1)
    second.close()

    cleared = wants(namespace, "echo afresh", "today", 3)
    cleared["attempt"] |= {"max_tries": 5, "clear_number": 1}
    third = follower.start(cleared)
    made = Follower.until(third, "submitted")
    assert made["origin"] == "created" and made["uid"] != uid
    assert Follower.until(third, "outcome")["state"] == "succeeded"


def test_job_of_somebody_else_is_left_alone_and_both_owners_are_named(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME},
        "spec": job_spec(container("base", "true")),
    }
    cluster.apply(theirs, namespace=namespace)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", f"job/{NAME}", "--timeout=60s")
    before = cluster.the_job(namespace)
    with pytest.raises(NameTakenError, match="no annotations of this package") as refusal:
        finished(follower, wants(namespace, "true", "today"))
    assert "we are: deployment `measurements`" in str(refusal.value)
    assert cluster.the_job(namespace) == before


def test_no_right_to_delete_is_named(cluster: OneNodeCluster, namespace: str) -> None:
    cluster.allow(namespace, rules_without("jobs", "delete"))
    follower = Follower(cluster.kubeconfig("airflow"))
    finished(follower, wants(namespace, "true", "yesterday"))
    with pytest.raises(ApiRefusedError, match="delete"):
        finished(follower, wants(namespace, "true", "today"))


def test_no_right_to_patch_leaves_an_unacknowledged_job_that_is_deleted_after_its_time(
    cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("jobs", "patch"))
    follower = Follower(cluster.kubeconfig("airflow"))
    first = follower.start(wants(namespace, "true", "yesterday"))
    Follower.until(first, "outcome")
    assert [said["code"] for said in first.acknowledge()] == ["not-acknowledged"]
    second = follower.start(wants(namespace, "true", "today", handover_timeout_seconds=5))
    assert Follower.until(second, "outcome")["state"] == "succeeded"


def test_job_that_somebody_deletes_in_mid_run_vanishes_and_the_next_run_has_the_name(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    first = follower.start(wants(namespace, LONG, "yesterday"))
    Follower.until(first, "submitted")
    cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "-n", namespace, f"job/{NAME}")
    assert Follower.until(first, "outcome")["state"] == "vanished"
    second, _ = finished(follower, wants(namespace, "echo done", "today"))
    assert second["state"] == "succeeded"


def test_job_that_goes_in_the_foreground_is_waited_for_with_its_pods(
    follower: Follower, cluster: OneNodeCluster, namespace: str
) -> None:
    stubborn = "trap '' TERM; for second in $(seq 300); do sleep 1; done"
    pod = {"terminationGracePeriodSeconds": 8, "containers": [{"name": "base"}]}
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}
    first = follower.start(wants(namespace, stubborn, "yesterday", manifest=manifest))
    Follower.until(first, "submitted")
    cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "-n", namespace, f"job/{NAME}", "--cascade=foreground", "--wait=false")
    second, said = finished(follower, wants(namespace, "echo done", "today"))
    assert second["state"] == "succeeded" and "name-leaving" in said
    assert "job-released" not in said, "it moved"
