"""A sidecar that never ends: waited for and explained, or left behind, as the user chose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from command_line import container
from native_run import Follower, deleted, request
from one_node_cluster import OneNodeCluster

#: Obeys SIGTERM, so that its deletion does not have to wait for the Pod's grace period.
PROXY = container("proxy", "echo proxy is ready; trap 'exit 0' TERM; sleep 600 & wait")


def wanted(namespace: str, script: str, choice: str, **spec: Any) -> dict[str, Any]:
    """A request for a base container beside a proxy that does not know when the work is over."""
    pod = {"terminationGracePeriodSeconds": 5, "containers": [{"name": "base"}, PROXY]}
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "spec": {**spec, "template": {"spec": pod}}}
    return {**request(namespace, script), "manifest": manifest, "on_lingering_sidecar": choice}


def the_end(cluster: OneNodeCluster, order: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All events of a run, and what is said after its verdict."""
    run = Follower(cluster.kubeconfig()).start(order)
    events = list(Follower.events(run))
    return events, run.acknowledge()


@pytest.mark.parametrize(("code", "state"), [(0, "succeeded"), (3, "failed")])
def test_finish_takes_the_exit_code_of_the_base_container_and_deletes_the_job(
    cluster: OneNodeCluster, namespace: str, code: int, state: str
) -> None:
    script = f"seq 1 500; exit {code}"
    events, said = the_end(cluster, wanted(namespace, script, "finish", backoffLimit=0))
    outcome = events[-1]
    assert (outcome["state"], outcome["exit_code"], outcome["lingering"]) == (state, code, ["proxy"])
    lines = [
        line.rpartition(" ")[2]
        for event in events
        if event["kind"] == "log" and event["container"] == "base"
        for line in event["text"].splitlines()
    ]
    assert lines == [str(number) for number in range(1, 501)], "the log is drained before the Job goes"
    assert any("`proxy` runs on" in event.get("text", "") for event in events if event["kind"] == "message")
    assert [message["code"] for message in said] == ["job-deleted"], said
    assert cluster.jobs(namespace) == []


def test_finish_does_not_wait_for_a_retry_that_can_never_come(cluster: OneNodeCluster, namespace: str) -> None:
    events, _ = the_end(cluster, wanted(namespace, "exit 4", "finish", backoffLimit=6))
    assert (events[-1]["state"], events[-1]["exit_code"]) == ("failed", 4)
    assert cluster.jobs(namespace) == []


def test_finish_of_an_indexed_job_waits_for_all_its_indexes(cluster: OneNodeCluster, namespace: str) -> None:
    indexed = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0}
    script = 'test "$JOB_COMPLETION_INDEX" = 0 || sleep 15; echo index $JOB_COMPLETION_INDEX is done'
    events, _ = the_end(cluster, wanted(namespace, script, "finish", **indexed))
    log = "\n".join(event["text"] for event in events if event["kind"] == "log")
    assert events[-1]["state"] == "succeeded"
    assert "index 0 is done" in log and "index 1 is done" in log
    assert cluster.jobs(namespace) == []


def test_wait_says_within_a_minute_or_two_what_keeps_the_pod_and_leaves_the_job(
    cluster: OneNodeCluster, namespace: str
) -> None:
    run = Follower(cluster.kubeconfig()).start(wanted(namespace, "true", "wait", backoffLimit=0))
    for event in Follower.events(run):
        assert event["kind"] != "outcome", event
        if event["kind"] == "message" and event["code"] == "sidecar-keeps-pod-alive":
            assert "proxy" in event["text"], event
            break
    job = cluster.the_job(namespace)
    assert job["metadata"].get("deletionTimestamp") is None and job["status"]["active"] == 1, json.dumps(job["status"])
    deleted(run)
