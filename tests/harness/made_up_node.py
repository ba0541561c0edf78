"""A node that is an object only: Pods can be bound to it, and what its kubelet would do the test does.

Promise: as long as it is there it counts as ready, and no Pod gets to it that does not tolerate its taint `made-up`.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

from one_node_cluster import Object, OneNodeCluster
from waiting import until

#: The node controller takes a node for lost after 12 s without a sign of life.
SIGN_OF_LIFE_EVERY = 3.0


@dataclass(frozen=True)
class MadeUpNode:
    """One such node."""

    cluster: OneNodeCluster
    name: str

    def end_pod(self, pod: Object) -> None:
        """End a Pod as soon as somebody deletes it."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]

        def deleted() -> bool:
            found = [one for one in self.cluster.find("pods", namespace) if one["metadata"]["name"] == name]
            return not found or "deletionTimestamp" in found[0]["metadata"]

        until(f"the deletion of Pod {name}", deleted, seconds=60)
        self.cluster.kubectl(
            "delete", "pod", name, "-n", namespace, "--force", "--grace-period=0", "--ignore-not-found"
        )


@contextmanager
def made_up_node(cluster: OneNodeCluster, *, cpu: int) -> Iterator[MadeUpNode]:
    """A node with so many CPUs and the label `made-up` with its name."""
    name = f"made-up-{secrets.token_hex(3)}"
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"made-up": name}},
        "spec": {"taints": [{"key": "made-up", "value": "true", "effect": "NoSchedule"}]},
    }
    resources = {"cpu": str(cpu), "memory": "8Gi", "pods": "110"}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": _now(),
        "lastTransitionTime": _now(),
    }
    status = {"capacity": resources, "allocatable": resources, "conditions": [ready]}
    over = threading.Event()
    signs = threading.Thread(target=_signs_of_life, args=(cluster, name, over), daemon=True)
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(node))
    try:
        cluster.kubectl(
            "patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
        )
        signs.start()
        until(
            f"node {name} without the taint of one that is not ready", lambda: _schedulable(cluster, name), seconds=30
        )
        yield MadeUpNode(cluster, name)
    finally:
        over.set()
        if signs.is_alive():
            signs.join()
        cluster.kubectl("delete", "node", name, "--wait=false")
        cluster.kubectl("delete", "lease", name, "-n", "kube-node-lease", "--ignore-not-found")


def _schedulable(cluster: OneNodeCluster, name: str) -> bool:
    node = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    return all(not taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", ()))


def _signs_of_life(cluster: OneNodeCluster, name: str, over: threading.Event) -> None:
    while True:
        spec = {"holderIdentity": name, "leaseDurationSeconds": 8, "renewTime": _now(micro=True)}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": spec,
        }
        cluster.apply(lease)
        if over.wait(SIGN_OF_LIFE_EVERY):
            return


def _now(*, micro: bool = False) -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S" + (".%fZ" if micro else "Z"))
