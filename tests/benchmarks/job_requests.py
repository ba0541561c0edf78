"""How many requests one Job costs the API server, counted in its audit log by the user who sent them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from native_run import follow, request
from one_node_cluster import CHECKOUT, OneNodeCluster
from waiting import until

RBAC = (CHECKOUT / "docs" / "rbac.yaml").read_text()


def measure(cluster: OneNodeCluster, audit: Path) -> list[tuple[str, str]]:
    rows = []
    for seconds in (0, 20):
        with cluster.namespace("bench") as namespace:
            cluster.apply(RBAC, namespace=namespace)
            follow(cluster.kubeconfig("airflow"), request(namespace, f"echo begin; sleep {seconds}; echo end"))
            rows.append((f"requests of a first try, a Job of {seconds} s", _requests(audit, namespace)))
    return rows


def _requests(audit: Path, namespace: str) -> str:
    def counted() -> Counter[str]:
        found = Counter[str]()
        for line in audit.read_text().splitlines():
            event = json.loads(line)
            what = event.get("objectRef") or {}
            if event["user"]["username"] == "airflow" and what.get("namespace") == namespace:
                resource = "/".join(part for part in (what.get("resource"), what.get("subresource")) if part)
                # A watch has two records: one when it begins, one when it ends.
                if event["stage"] == ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"):
                    found[f"{event['verb']} {resource}"] += 1
        return found

    # The log is written a moment after the answer; the acknowledgement is the last request of a Job.
    until("the audit log of the last request", lambda: counted()["patch jobs"], seconds=20)
    found = counted()
    return f"{sum(found.values())}: " + ", ".join(f"{count} {what}" for what, count in found.most_common())
