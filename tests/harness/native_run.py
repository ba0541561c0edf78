"""The native module by itself, without Airflow and without the command line: a request, and the events that follow.

Promise: requests are whole and each names an attempt of its own, and nothing is imported that a follower does not need.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from one_node_cluster import IMAGE


def request(namespace: str, script: str, **arguments: Any) -> Any:
    """A request for one busybox container that runs a shell script; `arguments` are the operator's, as JSON."""
    return {
        "attempt": {
            "deployment": "measurements",
            "dag_id": "measured",
            "run_id": f"manual__{secrets.token_hex(8)}",
            "task_id": "work",
            "map_index": -1,
            "try_number": 1,
            "instance": secrets.token_hex(16),
            "max_tries": 0,
            "retries": 0,
            "clear_number": 0,
        },
        "slug": "measured",
        "run_time": "2026-01-01T06:00:00+00:00",
        "namespace": namespace,
        "manifest": None,
        "arguments": {"image": IMAGE, "cmds": ["sh", "-c", script], "backoff_limit": 0, **arguments},
        "safe_ttl_seconds": 604800,
        "patch_jobs": True,
        "policy": "reattach",
        "lookup": True,
        "known_names": [],
        "startup_timeout_seconds": 600,
        "handover_timeout_seconds": 60,
        "replace_lost": False,
        "get_logs": True,
        "running_clear_is_visible": True,
    }


class Follower:
    """One connection to one cluster, and runs over it."""

    def __init__(self, kubeconfig: Path) -> None:
        from unique_k8s_job import _core

        self._core = _core
        self._cluster = _core.Cluster({"source": "file", "path": str(kubeconfig), "verify_ssl": True})

    def start(self, wanted: Any) -> Any:
        return self._core.Run(self._cluster, wanted)

    @staticmethod
    def events(run: Any) -> Iterator[dict[str, Any]]:
        """All events up to and including the outcome."""
        while True:
            for event in run.next(60.0):
                yield event
                if event["kind"] == "outcome":
                    return

    @staticmethod
    def until(run: Any, kind: str) -> dict[str, Any]:
        """The first event of this kind."""
        return next(event for event in Follower.events(run) if event["kind"] == kind)


def deleted(run: Any, confirm_for: float = 60.0) -> str:
    """Delete the Job of a run and wait until it is gone; what was done."""
    work = run.delete(confirm_for)
    while True:
        for event in work.next(60.0):
            if event["kind"] == "removed":
                return event["text"] or "no Job"


def follow(kubeconfig: Path, wanted: Any) -> dict[str, Any]:
    """Run a request to its end and acknowledge it; the outcome."""
    run = Follower(kubeconfig).start(wanted)
    outcome = Follower.until(run, "outcome")
    refused = run.acknowledge()
    if refused:
        raise AssertionError(f"the acknowledgement was refused: {refused}")
    return outcome
