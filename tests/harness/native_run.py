"""The native module by itself, without Airflow and without the command line: a request, and the events that follow.

Promise: requests are whole and each names an attempt of its own. Also a bare HTTP client for the same API server, for
what has to be compared with no library of ours in between.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from one_node_cluster import IMAGE


def request(namespace: str, script: str, **arguments: Any) -> dict[str, Any]:
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
        self._cluster = _core.Cluster(json.dumps({"source": "file", "path": str(kubeconfig), "verify_ssl": True}))

    def start(self, wanted: dict[str, Any]) -> Any:
        return self._core.Run(self._cluster, json.dumps(wanted))

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


def follow(kubeconfig: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Run a request to its end and acknowledge it; the outcome."""
    run = Follower(kubeconfig).start(wanted)
    outcome = Follower.until(run, "outcome")
    refused = run.acknowledge()
    if refused:
        raise AssertionError(f"the acknowledgement was refused: {refused}")
    return outcome


def _sign_in(kubeconfig: Path) -> dict[str, Any]:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    with tempfile.NamedTemporaryFile() as ca:
        ca.write(base64.b64decode(cluster["certificate-authority-data"]))
        ca.flush()
        trust = ssl.create_default_context(cafile=ca.name)
    headers = {"Authorization": f"Bearer {user['token']}"}
    return {"base_url": cluster["server"], "verify": trust, "headers": headers, "trust_env": False, "timeout": 60}


@contextmanager
def raw_api(kubeconfig: Path) -> Iterator[httpx.Client]:
    """An HTTP client that is signed in like the kubeconfig's user (token only)."""
    with httpx.Client(**_sign_in(kubeconfig)) as client:
        yield client


def asynchronous_api(kubeconfig: Path) -> httpx.AsyncClient:
    """The same for an event loop."""
    return httpx.AsyncClient(**_sign_in(kubeconfig))
