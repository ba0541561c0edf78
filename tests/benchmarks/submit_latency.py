"""From the call to the Job that exists: ours, beside a bare POST over a connection that is open already."""

from __future__ import annotations

import statistics
import time

from native_run import Follower, request
from one_node_cluster import IMAGE, OneNodeCluster
from raw_api import raw_api

ROUNDS = 30


def measure(cluster: OneNodeCluster) -> list[tuple[str, str]]:
    with cluster.namespace("bench") as namespace, raw_api(cluster.kubeconfig()) as api:
        bare, ours = [], []
        follower = Follower(cluster.kubeconfig())
        for number in range(ROUNDS):
            body = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": f"bare-{number}"},
                "spec": {
                    "suspend": True,
                    "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": IMAGE}]}},
                },
            }
            began = time.perf_counter()
            api.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", json=body).raise_for_status()
            bare.append(time.perf_counter() - began)

            began = time.perf_counter()
            run = follower.start(request(namespace, "true", suspend=True))
            Follower.until(run, "submitted")
            ours.append(time.perf_counter() - began)
            run.close()
    # The first of each opens the connection.
    return [
        ("submit: bare POST", _describe(bare[1:])),
        ("submit: ours, until the event `submitted`", _describe(ours[1:])),
        ("submit: ours, first of a process", f"{ours[0] * 1000:.1f} ms"),
    ]


def _describe(found: list[float]) -> str:
    milliseconds = sorted(one * 1000 for one in found)
    return f"median {statistics.median(milliseconds):.1f} ms, worst of {len(found)} {milliseconds[-1]:.1f} ms"
