"""Keeps the names that a task gave to its Jobs in all its tries, in a store of Airflow 3.3 and later.

The names are written before the POST, so they survive a dead worker, retries and clears: a Job with one of these names
is this task's, whatever the deployment id. Nothing depends on them: if they cannot be read or written, Jobs are found
by label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unique_k8s_job.described import failure

#: The key in Airflow's task state store.
KEY = "unique_k8s_job_names"
#: How many names are kept: each costs a later try one request if its Job is gone.
KEPT = 10


class KnownNames:
    """The list in `context["task_state_store"]`, if there is one."""

    def __init__(self, store: Any, warn: Callable[[str], None]) -> None:
        self._store = store
        self._warn = warn
        self.names: list[str] = self._read()

    def add(self, name: str) -> None:
        """Store a name before it is used."""
        if self._store is None or name in self.names:
            return
        self.names = [*self.names, name][-KEPT:]
        try:
            self._store.set(KEY, self.names)
        except Exception as error:  # noqa: BLE001  # whatever it is, the Job runs without
            self._give_up("written", error)

    def _read(self) -> list[str]:
        if self._store is None:
            return []
        try:
            found = self._store.get(KEY, None)
        except Exception as error:  # noqa: BLE001
            self._give_up("read", error)
            return []
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def _give_up(self, what: str, error: Exception) -> None:
        self._store = None
        self._warn(f"The names of this task's Jobs could not be {what} in Airflow's task state store: {failure(error)}")
