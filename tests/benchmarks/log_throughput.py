"""Lines a second out of a finished container: ours, beside a bare read of the same log. And how soon an end is noticed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from native_run import Follower, request
from one_node_cluster import OneNodeCluster
from raw_api import raw_api

LINES = 200_000
LINE = "a line of one hundred bytes, as programs print them, with a number at its end so that it differs: "


def measure(cluster: OneNodeCluster) -> list[tuple[str, str]]:
    with cluster.namespace("bench") as namespace:
        return [*_throughput(cluster.kubeconfig(), namespace), *_notice(cluster.kubeconfig(), namespace)]


def _throughput(kubeconfig: Path, namespace: str) -> list[tuple[str, str]]:
    script = f"awk 'BEGIN {{ for (i = 1; i <= {LINES}; i++) printf \"{LINE}%08d\\n\", i }}'"
    follower = Follower(kubeconfig)
    run = follower.start(request(namespace, script))
    lines, first, last, pod = 0, 0.0, 0.0, ""
    for event in Follower.events(run):
        if event["kind"] == "log":
            last = time.perf_counter()
            first = first or last
            lines += event["lines"]
            pod = event["pod"]
    ours = lines / (last - first)

    with raw_api(kubeconfig) as api:
        began = time.perf_counter()
        count = 0
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        with api.stream("GET", path, params={"timestamps": "true"}) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                count += chunk.count(b"\n")
        bare = count / (time.perf_counter() - began)
    run.close()
    return [
        ("log: ours, following", f"{ours:,.0f} lines/s ({lines:,} of {LINES:,} lines)"),
        ("log: bare read of the same", f"{bare:,.0f} lines/s ({count:,} lines)"),
    ]


def _notice(kubeconfig: Path, namespace: str) -> list[tuple[str, str]]:
    follower = Follower(kubeconfig)
    run = follower.start(request(namespace, "sleep 3"))
    job = Follower.until(run, "submitted")
    ended: list[float] = []

    def watch() -> None:
        selector = {"watch": "true", "fieldSelector": f"metadata.name={job['name']}"}
        with (
            raw_api(kubeconfig) as api,
            api.stream("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs", params=selector) as answer,
        ):
            for line in answer.iter_lines():
                seen = time.perf_counter()
                conditions = json.loads(line)["object"].get("status", {}).get("conditions", [])
                if any(one["type"] == "Complete" and one["status"] == "True" for one in conditions):
                    ended.append(seen)
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    Follower.until(run, "outcome")
    noticed = time.perf_counter()
    watcher.join(30)
    run.close()
    return [("end noticed after a bare watch saw it", f"{(noticed - ended[0]) * 1000:.0f} ms")]
