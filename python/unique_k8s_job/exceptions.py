"""Defines all errors of this package, as one small tree.

    UniqueK8sJobError
      ConfigurationError        the connection, kubeconfig or an option cannot be used
      AirflowUnreachableError   Airflow itself did not answer
      InvalidManifestError      the Job that was asked for cannot be made
      ApiRefusedError           the API server answered no, for good
      ApiUnreachableError       the API server could not be reached, or kept failing
      NameTakenError            an object that is not ours has our name
      JobStartupError           the Job cannot start: image, scheduling, quota
      JobFailedError            Kubernetes decided that the Job failed
      JobVanishedError          the Job is gone, and nobody saw it end
      JobResultError            the Job succeeded, and its result cannot be used
      TakenOverError            a newer try owns the Job now
      DeletionUnconfirmedError  a deletion was accepted but not seen to end
      StoppedError              the task was stopped
      NativeModuleMissingError  the Rust core cannot be loaded here
      InternalError             a fault of this package

Each has its text in three parts that are never mixed (`message`, `seen`, `hint`), and its facts as attributes. Each has
the attributes that `UniqueK8sJobError` declares, None if they do not apply. `facts` has all facts as they came, also
those that a newer version of the core has added.

In a process of Airflow all of them are Airflow's `AirflowException`, so `except AirflowException` catches them. A process
is one of Airflow if `airflow` is imported before this module: Airflow itself imports it before it reads a DAG file or
runs a task, and our Airflow classes import it first. Elsewhere, as in the command line, the base is Python's `Exception`:
Airflow takes a second to import, and may not be installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unique_k8s_job.visible import visible, visible_lines

__all__ = [
    "AirflowUnreachableError",
    "ApiRefusedError",
    "ApiUnreachableError",
    "ConfigurationError",
    "DeletionUnconfirmedError",
    "InternalError",
    "InvalidManifestError",
    "JobFailedError",
    "JobResultError",
    "JobStartupError",
    "JobVanishedError",
    "NameTakenError",
    "NativeModuleMissingError",
    "StoppedError",
    "TakenOverError",
    "UniqueK8sJobError",
]


def _base() -> type[Exception]:
    """Return Airflow's base class of errors in a process of Airflow, else Python's."""
    if "airflow" not in sys.modules:
        return Exception
    try:
        base: type[Exception] = import_module("airflow.exceptions").AirflowException
    except ImportError:  # `airflow` is something else, such as a folder of that name
        return Exception
    return base


if TYPE_CHECKING:
    _Base = Exception
else:
    _Base = _base()


class UniqueK8sJobError(_Base):
    """Base of everything this package raises.

    :param message: what happened, and to which object
    :param seen: the evidence, one fact an entry
    :param hint: one next step
    :param facts: values for programs; the declared ones become attributes of the exception

    Texts of others in these parts are escaped, so they begin no line of their own and hide nothing.

    `str()` gives all three parts, because code that logs an exception often logs only its text. The parts are not also
    notes (`add_note`): a traceback prints notes below the text, so each part would stand in the task log twice.
    """

    #: The object that the error is about: its name, namespace and uid, as far as they are known.
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    #: HTTP status of the API server's answer, and the reason in it.
    status: int | None = None
    #: Kubernetes' own reason: of an answer, of a condition of the Job, or of a container that cannot start.
    reason: str | None = None
    #: The argument, option or field of the manifest that is wrong.
    path: str | None = None
    #: The fields of the manifest that the API server does not know.
    fields: list[str] | None = None
    #: Exit code of the container that decided the outcome.
    exit_code: int | None = None
    #: The whole summary of how the Job ended; the same as the task's `return_value`, or with `xcom` as `job_outcome`.
    outcome: dict[str, Any] | None = None
    #: Finalizers that hold the Job, and Pods that may still run.
    finalizers: list[str] | None = None
    pods: list[str] | None = None
    #: For an order to delete Jobs: the names of the Jobs that are gone, that were released from the garbage collector's
    #: finalizer, and that were skipped, with the reason; and the names of the Pods that were deleted, and that stay.
    deleted: list[str] | None = None
    #: For the same: why other Jobs could not be deleted, by their names.
    failed: dict[str, str] | None = None
    released: list[str] | None = None
    skipped: dict[str, str] | None = None
    pods_deleted: list[str] | None = None
    pods_kept: list[str] | None = None
    #: Why the Job does not move or is not deleted, most blocking first, as `unique-k8s-job doctor --json` prints it
    #: (`code`, `severity`, `object`, `seen`, `since`, `cause`, `next_step`, `last_resort`,
    #: `remedy`); empty if nothing is known.
    findings: Sequence[dict[str, Any]] = ()

    def __init__(self, message: str, *, seen: Sequence[str] = (), hint: str | None = None, **facts: Any) -> None:
        self.message = visible_lines(message)
        super().__init__(self.message)
        self.seen = [visible(evidence) for evidence in seen]
        self.hint = None if hint is None else visible(hint)
        self.facts = facts
        for fact, value in facts.items():
            if fact in UniqueK8sJobError.__annotations__:
                setattr(self, fact, value)

    def __str__(self) -> str:
        lines = [self.message, *(f"  seen: {evidence}" for evidence in self.seen)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.message, self.seen, self.hint, self.facts)

    def serialize(self) -> tuple[str, tuple[str], dict[str, Any]]:
        """Return what Airflow makes the same error of: class, arguments and named arguments."""
        kind = type(self)
        named = {"seen": self.seen, "hint": self.hint, **self.facts}
        return f"{kind.__module__}.{kind.__name__}", (self.message,), named


def _rebuilt(
    kind: type[UniqueK8sJobError], message: str, seen: list[str], hint: str | None, facts: dict[str, Any]
) -> UniqueK8sJobError:
    return kind(message, seen=seen, hint=hint, **facts)


# The base is no name of this module: what is defined here is what this package raises.
del _Base


class ConfigurationError(UniqueK8sJobError):
    """The connection, the kubeconfig or an option cannot be used."""


class AirflowUnreachableError(UniqueK8sJobError):
    """Airflow itself, its database or one of its secrets backends did not answer; asking again may help."""


class InvalidManifestError(UniqueK8sJobError):
    """The Job that was asked for cannot be made; `path` names the field."""


class ApiRefusedError(UniqueK8sJobError):
    """The API server refused the request, and sending it again would not help; `status`, `reason`."""


class ApiUnreachableError(UniqueK8sJobError):
    """The API server could not be reached, or went on failing until the time limit."""


class NameTakenError(UniqueK8sJobError):
    """An object that is not ours has our name; it was left untouched. `name`, `namespace`, `uid`."""


class JobStartupError(UniqueK8sJobError):
    """The Job cannot start; `reason` such as `ErrImageNeverPull` or `Unschedulable`, and `findings`."""


class JobFailedError(UniqueK8sJobError):
    """Kubernetes decided that the Job failed; `reason`, `exit_code`, `outcome` (the whole summary)."""


class JobVanishedError(UniqueK8sJobError):
    """The Job is gone, nobody saw it end, and its Pods do not prove success; `outcome`."""


class JobResultError(UniqueK8sJobError):
    """The Job succeeded, and what it wrote as its result cannot be used: cut, no JSON, or lost; `outcome`."""


class TakenOverError(UniqueK8sJobError):
    """A newer try owns the Job; this one stopped without touching it."""


class DeletionUnconfirmedError(UniqueK8sJobError):
    """A deletion was accepted but not seen to end; `finalizers`, `pods`, `findings`."""


class StoppedError(UniqueK8sJobError):
    """The task was stopped; `seen` says what became of its Job."""


class NativeModuleMissingError(UniqueK8sJobError):
    """The Rust core cannot be loaded here."""


class InternalError(UniqueK8sJobError):
    """A fault of this package."""
