"""Carries a task from the worker to the triggerer and back: what it hands over, and what it makes of the event.

The worker first follows the Job for `defer_after_seconds`, because a deferral costs two process starts, which short
Jobs save. Airflow 3 does not enforce `execution_timeout` while a task is deferred, so the trigger gets the moment at
which it is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from unique_k8s_job.request.arguments import connection
from unique_k8s_job.task import trigger_event
from unique_k8s_job.task.compat import Context, moved_exception
from unique_k8s_job.task.compat.behaviour import deferred_tasks_are_timed_out

if TYPE_CHECKING:
    from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

#: Where Airflow itself fails a deferred task, the trigger's time is over this much earlier: it has this time to delete
#: the Job.
BEFORE_AIRFLOW_2 = timedelta(seconds=20)


def moment(start: datetime | None, limit: timedelta) -> str:
    """Return the moment at which a limit is over, in ISO 8601; it counts from now if there is no start."""
    start = start or datetime.now(timezone.utc)
    if start.tzinfo is None:
        start = start.replace(tzinfo=timezone.utc)
    return (start + limit).astimezone(timezone.utc).isoformat()


def deadline(start: datetime | None, limit: timedelta | None) -> str | None:
    """Return the moment at which `execution_timeout` is over for us, counted from the first start of the try."""
    if limit is not None and deferred_tasks_are_timed_out():
        limit -= min(BEFORE_AIRFLOW_2, limit / 4)
    return None if limit is None else moment(start, limit)


def trigger(operator: Any, context: Context, job: str) -> UniqueK8sJobTrigger:
    """Make the trigger that goes on where the worker stops.

    :param job: what `Run.hand_over` gave
    """
    from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

    ti: Any = context["ti"]
    return UniqueK8sJobTrigger(
        job=job,
        connection=connection(operator),
        deadline=deadline(getattr(ti, "start_date", None), operator.execution_timeout),
        on_stop=operator.on_stop,
    )


def resumed(event: Any) -> dict[str, Any]:
    """Return the request of `resume`: what was handed over, and how the Job finished if the event says so.

    :raises InternalError: if the event names no Job
    """
    try:
        handed_over: dict[str, Any] = json.loads(event["job"])
    except (TypeError, KeyError, ValueError):
        raise trigger_event.unreadable(event) from None
    ended = event.get("outcome")
    if isinstance(ended, Mapping):
        handed_over["finish"] = {"state": ended.get("state"), "lingering": bool(ended.get("lingering"))}
    return handed_over


def outcome(event: Any) -> dict[str, Any]:
    """Return the outcome in an event.

    :raises UniqueK8sJobError: if the following ended without an outcome; it is the same error as in a blocking task
    :raises AirflowTaskTimeout: after the task's `execution_timeout`
    """
    if not isinstance(event, Mapping):
        raise trigger_event.unreadable(event)
    kind = event.get("kind")
    if kind == "outcome" and isinstance(event.get("outcome"), Mapping):
        return dict(event["outcome"])
    if kind == "error":
        raise trigger_event.error_in(event)
    if kind == "deadline":
        # What became of the Job is added once the worker has confirmed it.
        raise moved_exception("AirflowTaskTimeout")("execution_timeout was over before its Job had ended")
    raise trigger_event.unreadable(event)
