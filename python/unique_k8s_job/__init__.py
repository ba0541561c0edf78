"""Run Kubernetes Jobs from Airflow: a unique name per try, exactly one Job, live logs, and nothing that stays stuck.

Importing this package is cheap on purpose, because a DAG file is parsed every 30 seconds: names are imported when they
are used, and the native core is loaded only when a task runs.

`operators`, `sensors`, `triggers` and `hooks` are the same as in every provider. `task` has what they need of Airflow,
`request` their requests to the core, `compat` the classes of cncf.kubernetes, `cli` the command line. `operator`,
`delete_operator`, `sensor`, `sensor_trigger` and `hook` are older paths, which still work.
"""

from __future__ import annotations

# Type checkers know this name; the module `typing` takes longer to import than all of this.
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
        JobResultError,
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
    from unique_k8s_job.operators.patch_job import K8sJobPatchOperator
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
    "JobResultError",
    "JobStartupError",
    "JobVanishedError",
    "K8sJobDeleteOperator",
    "K8sJobPatchOperator",
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
    "K8sJobPatchOperator": "unique_k8s_job.operators.patch_job",
    "UniqueK8sJobHook": "unique_k8s_job.hooks.kubernetes",
    "UniqueK8sJobOperator": "unique_k8s_job.operators.job",
    "UniqueK8sJobSensor": "unique_k8s_job.sensors.job",
    "UniqueK8sJobTrigger": "unique_k8s_job.triggers.job",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        if name in _HOMES:
            # First, also in a process that is none of Airflow's: it decides the base of the exceptions.
            import_module("airflow")
        # All other names are exceptions.
        return getattr(import_module(_HOMES.get(name, "unique_k8s_job.exceptions")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
