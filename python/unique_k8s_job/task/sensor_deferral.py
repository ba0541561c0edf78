"""Carries a sensor from the worker to its trigger, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from unique_k8s_job.request.arguments import connection
from unique_k8s_job.task import trigger_event
from unique_k8s_job.task.compat import Context
from unique_k8s_job.task.deferral import deadline
from unique_k8s_job.task.sensor_condition import Verdict

if TYPE_CHECKING:
    from unique_k8s_job._core import JobSelector


class JobSensor(Protocol):
    """A sensor of Jobs, with what it waits for."""

    until: str
    logs: bool
    poke_interval: float
    timeout: float
    execution_timeout: timedelta | None

    def target(self) -> JobSelector:
        """Return which Jobs it means."""

    @property
    def defer(self) -> Callable[..., NoReturn]:
        """Leave the task to a trigger."""


def defer(sensor: JobSensor, context: Context) -> NoReturn:
    """Leave the wait to the triggerer. The sensor's `timeout` counts from the first start of this try."""
    from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

    ti: Any = context["ti"]
    limit = timedelta(seconds=sensor.timeout)
    if sensor.execution_timeout is not None:
        limit = min(limit, sensor.execution_timeout)
    trigger = UniqueK8sJobSensorTrigger(
        target=sensor.target(),
        until=sensor.until,
        logs=sensor.logs,
        poke_interval=sensor.poke_interval,
        connection=connection(sensor),
        deadline=deadline(getattr(ti, "start_date", None), limit),
    )
    sensor.defer(trigger=trigger, method_name="execute_complete")


def found_in(event: Any) -> tuple[Verdict, list[dict[str, Any]]]:
    """Return the verdict of the trigger, and the Jobs that it found; `WAIT` means that the time is over.

    :raises UniqueK8sJobError: the error that ended the trigger
    """
    if not isinstance(event, Mapping):
        raise trigger_event.unreadable(event)
    if event.get("kind") == "error":
        raise trigger_event.error_in(event)
    try:
        return Verdict(event.get("verdict")), list(event.get("jobs") or ())
    except ValueError:
        raise trigger_event.unreadable(event) from None
