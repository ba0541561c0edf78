"""What can go wrong, as one small tree.

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
      TakenOverError            a newer try owns the Job now
      DeletionUnconfirmedError  a deletion was accepted but not seen to end
      StoppedError              the task was stopped
      NativeModuleMissingError  the Rust core cannot be loaded here
      InternalError             a fault of this package

Each carries its text in three parts that are never mixed (`message`, `seen`, `hint`) and its facts as attributes, such
as `name`, `namespace`, `uid`, `status`, `reason`; an attribute that an error does not have is None. Where it is known
why a Job does not move or does not go, `findings` says so: a list of dicts, most blocking first, as `unique-k8s-job doctor
--json` prints them (`code`, `severity`, `object`, `seen`, `since`, `cause`, `next_step`, `remedy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AirflowUnreachableError",
    "ApiRefusedError",
    "ApiUnreachableError",
    "ConfigurationError",
    "DeletionUnconfirmedError",
    "InternalError",
    "InvalidManifestError",
    "JobFailedError",
    "JobStartupError",
    "JobVanishedError",
    "NameTakenError",
    "NativeModuleMissingError",
    "StoppedError",
    "TakenOverError",
    "UniqueK8sJobError",
]


class UniqueK8sJobError(Exception):
    """Base of everything this package raises.

    :param message: what happened, and to which object
    :param seen: the evidence, one fact an entry
    :param hint: one next step
    :param facts: values for programs, as attributes of the exception
    """

    def __init__(self, message: str, *, seen: Sequence[str] = (), hint: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.seen = list(seen)
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        lines = [self.message, *(f"  seen: {evidence}" for evidence in self.seen)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "facts" not in self.__dict__:
            raise AttributeError(name)
        return self.facts.get(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.message, self.seen, self.hint, self.facts)


def _rebuilt(
    kind: type[UniqueK8sJobError], message: str, seen: list[str], hint: str | None, facts: dict[str, Any]
) -> UniqueK8sJobError:
    return kind(message, seen=seen, hint=hint, **facts)


class ConfigurationError(UniqueK8sJobError):
    """The connection, the kubeconfig or an option cannot be used."""


class AirflowUnreachableError(UniqueK8sJobError):
    """Airflow itself, its database or one of its secrets backends did not answer; asking again may help."""


class InvalidManifestError(UniqueK8sJobError):
    """The Job that was asked for cannot be made; `path` names the field."""


class ApiRefusedError(UniqueK8sJobError):
    """The API server answered no, and asking again would not help; `status`, `reason`."""


class ApiUnreachableError(UniqueK8sJobError):
    """The API server could not be reached, or kept failing until the limit."""


class NameTakenError(UniqueK8sJobError):
    """An object that is not ours has our name; it was left untouched. `name`, `namespace`, `uid`."""


class JobStartupError(UniqueK8sJobError):
    """The Job cannot start; `reason` such as `ErrImageNeverPull` or `Unschedulable`, and `findings`."""


class JobFailedError(UniqueK8sJobError):
    """Kubernetes decided that the Job failed; `reason`, `exit_code`, `outcome` (the whole summary)."""


class JobVanishedError(UniqueK8sJobError):
    """The Job is gone, nobody saw it end, and its Pods do not prove success; `outcome`."""


class TakenOverError(UniqueK8sJobError):
    """A newer try owns the Job; this one stopped without touching it."""


class DeletionUnconfirmedError(UniqueK8sJobError):
    """A deletion was accepted but not seen to end; `finalizers`, `pods`, `findings`."""


class StoppedError(UniqueK8sJobError):
    """The task was stopped; `job_deleted` says what became of its Job."""


class NativeModuleMissingError(UniqueK8sJobError):
    """The Rust core cannot be loaded here."""


class InternalError(UniqueK8sJobError):
    """A fault of this package."""
