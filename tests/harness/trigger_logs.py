"""The files in which Airflow's triggerer keeps what its triggers say: read as they grow, without asking Airflow.

Promise: touches nothing. A benchmark that asked Airflow's API for the logs would measure that above all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_client import TaskInstance


@dataclass
class TriggerLogs:
    """The trigger logs of the tries of one task instance, in all triggerers."""

    home: Path
    ti: TaskInstance
    _read: dict[Path, int] = field(default_factory=dict)

    def more(self) -> list[dict[str, Any]]:
        """The records that were written since the last call."""
        return [json.loads(line) for file in self._files() for line in self._grown(file).splitlines()]

    def _grown(self, file: Path) -> bytes:
        with file.open("rb") as log:
            log.seek(self._read.get(file, 0))
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[file] = self._read.get(file, 0) + len(whole)
        return whole

    def _files(self) -> list[Path]:
        folder = self.home / "logs" / f"dag_id={self.ti.dag_id}" / f"run_id={self.ti.run_id}"
        folder /= f"task_id={self.ti.task_id}"
        if self.ti.map_index >= 0:
            folder /= f"map_index={self.ti.map_index}"
        return sorted(folder.glob("attempt=*.log.trigger.*.log"))
