"""The triggers: `job` follows the Job of a deferred task, `sensor` waits for Jobs that others made.

Airflow stores a trigger by the path of its class, and a triggerer of another version than the worker's has to import
it: `unique_k8s_job.triggers.UniqueK8sJobTrigger` stays that path, wherever the class is defined.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

__all__ = ["UniqueK8sJobTrigger"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

        return UniqueK8sJobTrigger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
