"""Carries a delete task from the worker to the triggerer and back.

The worker sends the DELETE. The trigger only watches until the Job is gone, or until it is time to release it. Then a
worker carries out the same order to its end, for exactly this Job, and confirms that its Pods have ended, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from unique_k8s_job import native
from unique_k8s_job.request.arguments import connection
from unique_k8s_job.request.delete import ReleaseStuck
from unique_k8s_job.task import trigger_event
from unique_k8s_job.task.compat import Context
from unique_k8s_job.task.deferral import deadline, moment

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster


class DeleteTask(Protocol):
    """A task that deletes a Job, with what its order says."""

    namespace: str | None
    name: str | None
    uid: str | None
    timeout: int
    release_stuck: ReleaseStuck
    release_after_seconds: int
    execution_timeout: timedelta | None

    @property
    def defer(self) -> Callable[..., NoReturn]:
        """Leave the task to a trigger."""


def only_waits(cluster: Cluster, operator: DeleteTask) -> dict[str, Any] | None:
    """Return the reference of the Job if nothing is left to do but to wait until it is gone."""
    found = native.find_jobs(
        cluster,
        {"namespace": operator.namespace or None, "name": operator.name or None, "uid": operator.uid or None},
    )
    if len(found) == 1 and found[0]["deleting"]:
        return dict(found[0]["job"])
    return None


def defer(operator: DeleteTask, context: Context, job: Mapping[str, Any], *, asked: bool) -> NoReturn:
    """Leave the wait to the triggerer.

    :param job: the Job that is being deleted
    :param asked: whether this task asked for its deletion
    """
    from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

    ti: Any = context["ti"]
    start = getattr(ti, "start_date", None)
    limits = [deadline(start, timedelta(seconds=operator.timeout))]
    if operator.release_stuck != "never":
        limits.append(moment(None, timedelta(seconds=operator.release_after_seconds)))
    if operator.execution_timeout is not None:
        limits.append(deadline(start, operator.execution_timeout))
    trigger = UniqueK8sJobSensorTrigger(
        target=dict(job),
        until="gone",
        connection=connection(operator),
        deadline=min(limit for limit in limits if limit),
        passed={"asked": asked, "job": dict(job)},
    )
    operator.defer(trigger=trigger, method_name="execute_complete")


def passed_in(event: Any) -> tuple[dict[str, Any], bool]:
    """Return the Job that the trigger waited for, and whether this task asked for its deletion.

    :raises InternalError: if the event does not say it
    """
    try:
        return dict(event["passed"]["job"]), bool(event["passed"]["asked"])
    except (TypeError, KeyError, ValueError):
        raise trigger_event.unreadable(event) from None


def seconds_left(context: Context, timeout: int, *, now: datetime | None = None) -> int:
    """Return the rest of the operator's `timeout`, counted from the first start of this try; at least one second."""
    ti: Any = context["ti"]
    start = getattr(ti, "start_date", None)
    if start is None:
        return timeout
    if start.tzinfo is None:
        start = start.replace(tzinfo=timezone.utc)
    gone = (now or datetime.now(timezone.utc)) - start
    return max(1, timeout - int(gone.total_seconds()))
