"""How many requests one Job costs the API server, counted in its audit log by the user who sent them."""

from __future__ import annotations

from audit import Audit
from native_run import follow, request
from roles import SHIPPED
from waiting import until


def measure(audit: Audit) -> list[tuple[str, str]]:
    rows = []
    for seconds, pods in ((0, 1), (20, 1), (5, 4)):
        with audit.cluster.namespace("bench") as namespace:
            audit.cluster.apply(SHIPPED, namespace=namespace)
            script = f"echo begin; sleep {seconds}; echo end"
            wanted = request(namespace, script, completions=pods, parallelism=pods)
            follow(audit.cluster.kubeconfig("airflow"), wanted)
            rows.append((f"requests of a first try, a Job of {pods} Pods of {seconds} s", _requests(audit, namespace)))
    return rows


def _requests(audit: Audit, namespace: str) -> str:
    # The log is written a moment after the answer; the acknowledgement is the last request of a Job.
    until("the audit log of the last request", lambda: audit.requests("airflow", namespace)["patch jobs"], seconds=20)
    found = audit.requests("airflow", namespace)
    return f"{sum(found.values())}: " + ", ".join(f"{count} {what}" for what, count in found.most_common())
