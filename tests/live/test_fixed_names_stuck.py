"""The incident under a fixed name: the garbage collector is frozen, and the name is taken by a Job that cannot go."""

from __future__ import annotations

import pytest

from fixed_name_runs import NAME, finished, wants
from native_run import Follower
from one_node_cluster import OneNodeCluster
from unique_k8s_job.exceptions import NameTakenError

pytestmark = pytest.mark.breaks_the_cluster


def test_predecessor_stuck_with_orphan_is_explained_and_freed_by_policy(
    cluster: OneNodeCluster, namespace: str
) -> None:
    follower = Follower(cluster.kubeconfig())
    first, _ = finished(follower, wants(namespace, "echo yesterday", "yesterday"))
    with cluster.paused("kube-controller-manager"):
        cluster.kubectl("delete", "-n", namespace, f"job/{NAME}", "--cascade=orphan", "--wait=false")
        never = wants(namespace, "true", "today", release_stuck="never", startup_timeout_seconds=15)
        with pytest.raises(NameTakenError, match="is still being deleted") as refusal:
            finished(follower, never)
        assert "finalizer-orphan-stuck" in str(refusal.value), str(refusal.value)
        assert cluster.the_job(namespace)["metadata"]["uid"] == first["job"]["uid"]

        run = follower.start(wants(namespace, "echo today", "today", 2, release_after_seconds=5))
        codes = []
        for event in Follower.events(run):
            codes.append(event.get("code", event["kind"]))
            if event["kind"] == "submitted":
                break
        assert "name-leaving" in codes and "job-released" in codes, codes
        assert cluster.the_job(namespace)["metadata"]["uid"] != first["job"]["uid"]
    assert Follower.until(run, "outcome")["state"] == "succeeded"
