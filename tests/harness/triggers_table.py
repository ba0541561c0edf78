"""Airflow's own table of triggers, where a test has to do what only another triggerer does.

Promise: touches the sqlite file of the Airflow it is given, and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_client import TaskInstance
from waiting import until


class TriggersTable:
    """The triggers of one Airflow, by their task."""

    def __init__(self, home: Path) -> None:
        self._file = home / "airflow.db"

    def give_to_another_triggerer(self, ti: TaskInstance) -> None:
        """As if another triggerer, alive and well, had taken the trigger over."""
        with self._connected() as database:
            now = datetime.now(timezone.utc)
            cursor = database.execute(
                "INSERT INTO job (dag_id, state, job_type, start_date, latest_heartbeat, hostname, unixname)"
                " VALUES ('', 'running', 'TriggererJob', ?, ?, 'elsewhere', 'elsewhere')",
                (_text(now), _text(now + timedelta(hours=1))),
            )
            self._assign(database, ti, cursor.lastrowid)

    def give_back(self, ti: TaskInstance) -> None:
        """The other triggerer is gone; whoever lives takes the trigger."""
        with self._connected() as database:
            self._assign(database, ti, None)

    def wait_until_taken(self, ti: TaskInstance, *, seconds: float = 60) -> int:
        """Wait until a triggerer has the task's trigger; the id of its job."""

        def taken() -> int | None:
            with self._connected() as database:
                row = database.execute(
                    "SELECT triggerer_id FROM trigger WHERE id = (" + _TRIGGER_ID + ")", _key(ti)
                ).fetchone()
            return row[0] if row else None

        return until(f"a triggerer for {ti}", taken, seconds=seconds)

    @staticmethod
    def _assign(database: sqlite3.Connection, ti: TaskInstance, job_id: int | None) -> None:
        changed = database.execute(
            "UPDATE trigger SET triggerer_id = ? WHERE id = (" + _TRIGGER_ID + ")", (job_id, *_key(ti))
        )
        if changed.rowcount != 1:
            raise AssertionError(f"{ti} has no trigger")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()


_TRIGGER_ID = "SELECT trigger_id FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ?"


def _key(ti: TaskInstance) -> tuple[str, str, str, int]:
    return ti.dag_id, ti.run_id, ti.task_id, ti.map_index


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ")
