"""When the deletion of a Job was asked for, by the clock of this machine: a watch that runs beside a test.

Promise: `at` is the moment at which the watch told of a `deletionTimestamp` or of the end of the Job, None while neither
was told. It begins with a Job that is there, so nothing is missed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raw_api import raw_api


class DeletionWatch:
    """What was seen so far."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._begun = threading.Event()
        self._over = threading.Event()

    def _take(self, event: dict[str, Any]) -> None:
        deleting = event["type"] == "DELETED" or event["object"]["metadata"].get("deletionTimestamp")
        if deleting and self.at is None:
            self.at = time.time()
        self._begun.set()

    def _run(self, kubeconfig: Path, namespace: str, name: str) -> None:
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": "600"}
        with raw_api(kubeconfig) as client, client.stream("GET", path, params=query, timeout=None) as events:
            for line in events.iter_lines():
                if self._over.is_set():
                    return
                self._take(json.loads(line))


@contextmanager
def deletion_watched(kubeconfig: Path, namespace: str, name: str) -> Iterator[DeletionWatch]:
    """Watch one Job."""
    watch = DeletionWatch()
    thread = threading.Thread(target=watch._run, args=(kubeconfig, namespace, name), daemon=True)
    thread.start()
    if not watch._begun.wait(30):
        raise AssertionError(f"no watch of Job {namespace}/{name} within 30 s")
    try:
        yield watch
    finally:
        watch._over.set()
