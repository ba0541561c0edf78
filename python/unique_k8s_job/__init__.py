"""Run Kubernetes Jobs from Airflow: a unique name per try, exactly one Job, live logs, and nothing that stays stuck.

Importing this package is cheap on purpose, since a DAG file is parsed every 30 seconds: names are looked up when they
are used, and the native core is loaded only when a task runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unique_k8s_job.delete_operator import K8sJobDeleteOperator
    from unique_k8s_job.exceptions import UniqueK8sJobError
    from unique_k8s_job.hook import UniqueK8sJobHook
    from unique_k8s_job.operator import UniqueK8sJobOperator
    from unique_k8s_job.sensor import UniqueK8sJobSensor
    from unique_k8s_job.triggers import UniqueK8sJobTrigger

__version__ = "0.1.0"
__all__ = [
    "K8sJobDeleteOperator",
    "UniqueK8sJobError",
    "UniqueK8sJobHook",
    "UniqueK8sJobOperator",
    "UniqueK8sJobSensor",
    "UniqueK8sJobTrigger",
    "__version__",
]

_HOMES = {
    "K8sJobDeleteOperator": "unique_k8s_job.delete_operator",
    "UniqueK8sJobError": "unique_k8s_job.exceptions",
    "UniqueK8sJobHook": "unique_k8s_job.hook",
    "UniqueK8sJobOperator": "unique_k8s_job.operator",
    "UniqueK8sJobSensor": "unique_k8s_job.sensor",
    "UniqueK8sJobTrigger": "unique_k8s_job.triggers",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
