"""Sends counts and durations of Jobs through Airflow's own metrics, section `[metrics]`; docs/metrics.md names them.

Promise: nothing is asked of a cluster for it, nothing is sent if Airflow's metrics are off, and no fault of them reaches
the task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from unique_k8s_job.task.compat import airflow_stats

log = logging.getLogger("unique_k8s_job.metrics")

PREFIX = "unique_k8s_job"
#: Each duration with the two moments of a Job's life between which it lies.
DURATIONS = (
    ("queue_duration", "created", "scheduled"),
    ("pull_duration", "scheduled", "image_ready"),
    ("start_duration", "created", "started"),
    ("run_duration", "started", "ended"),
)
#: From the end of the Job until the task knows it.
NOTICE = "notice_duration"
#: The code of the message that a stuck Job has been released.
_RELEASED = "job-released"


def submitted(ti: Any, origin: str) -> None:
    """Count a Job by how the try has come to it: `created`, `adopted`, `taken_over` or `outcome_used`."""
    _send(ti, lambda stats, tags: stats.incr(f"{PREFIX}.{origin}", tags=tags))


def said(ti: Any, code: str) -> None:
    """Count what a message reports, if that is counted."""
    if code == _RELEASED:
        _send(ti, lambda stats, tags: stats.incr(f"{PREFIX}.released", tags=tags))


def ended(ti: Any, outcome: Mapping[str, Any]) -> None:
    """Count the outcome by its state, and send how long each step of the Job took."""
    now = datetime.now(timezone.utc)

    def send(stats: Any, tags: dict[str, str]) -> None:
        stats.incr(f"{PREFIX}.{outcome['state']}", tags=tags)
        for name, duration in durations(outcome.get("times") or {}, now).items():
            stats.timing(f"{PREFIX}.{name}", duration, tags=tags)

    _send(ti, send)


def durations(times: Mapping[str, str | None], now: datetime) -> dict[str, timedelta]:
    """Return each duration whose two moments are known. Clocks differ, so none is less than nothing."""
    at = {name: datetime.fromisoformat(text.replace("Z", "+00:00")) for name, text in times.items() if text}
    found = {name: at[to] - at[since] for name, since, to in DURATIONS if since in at and to in at}
    if "ended" in at:
        found[NOTICE] = now - at["ended"]
    return {name: max(duration, timedelta(0)) for name, duration in found.items()}


def _send(ti: Any, send: Callable[[Any, dict[str, str]], None]) -> None:
    try:
        send(airflow_stats(), getattr(ti, "stats_tags", None) or {"dag_id": ti.dag_id, "task_id": ti.task_id})
    except Exception as error:  # noqa: BLE001
        log.debug("metrics were not sent: %s", type(error).__name__)
