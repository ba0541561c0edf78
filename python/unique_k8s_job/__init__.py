"""Run Kubernetes Jobs from Airflow: a unique name per try, exactly one Job, live logs, and nothing that stays stuck.

Importing this package is cheap on purpose, since a DAG file is parsed every 30 seconds: names are looked up when they
are used, and the native core is loaded only when a task runs.

`operators`, `sensors`, `triggers` and `hooks` are what they are in every provider; `task` is what they need of Airflow,
`request` what they ask the core for, `cli` the command line. `operator`, `delete_operator`, `sensor`, `sensor_trigger` and
`hook` are paths of before, which go on working.
"""

from __future__ import annotations

# As type checkers know it; the module `typing` takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from unique_k8s_job.exceptions import (
        AirflowUnreachableError,
        ApiRefusedError,
        ApiUnreachableError,
        ConfigurationError,
        DeletionUnconfirmedError,
        InternalError,
        InvalidManifestError,
        JobFailedError,
        JobStartupError,
        JobVanishedError,
        NameTakenError,
        NativeModuleMissingError,
        StoppedError,
        TakenOverError,
        UniqueK8sJobError,
    )
    from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
    from unique_k8s_job.operators.delete_job import K8sJobDeleteOperator
    from unique_k8s_job.operators.job import UniqueK8sJobOperator
    from unique_k8s_job.sensors.job import UniqueK8sJobSensor
    from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

__version__ = "0.1.0"
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
    "K8sJobDeleteOperator",
    "NameTakenError",
    "NativeModuleMissingError",
    "StoppedError",
    "TakenOverError",
    "UniqueK8sJobError",
    "UniqueK8sJobHook",
    "UniqueK8sJobOperator",
    "UniqueK8sJobSensor",
    "UniqueK8sJobTrigger",
    "__version__",
]

_HOMES = {
    "K8sJobDeleteOperator": "unique_k8s_job.operators.delete_job",
    "UniqueK8sJobHook": "unique_k8s_job.hooks.kubernetes",
    "UniqueK8sJobOperator": "unique_k8s_job.operators.job",
    "UniqueK8sJobSensor": "unique_k8s_job.sensors.job",
    "UniqueK8sJobTrigger": "unique_k8s_job.triggers.job",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        # All that is not a class of Airflow's kinds is an exception.
        return getattr(import_module(_HOMES.get(name, "unique_k8s_job.exceptions")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
