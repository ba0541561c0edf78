"""The operators for Jobs of the provider cncf.kubernetes, under their names, with our promises behind them.

A DAG file that was written for them runs with its import changed:

    from unique_k8s_job.compat import KubernetesJobOperator, KubernetesDeleteJobOperator, KubernetesPatchJobOperator

`docs/differences.md` says what is different, `docs/parameters.md` what becomes of each parameter. Neither the provider nor
the package `kubernetes` is imported.
"""

from __future__ import annotations

# Type checkers know this name; the module `typing` takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from unique_k8s_job.compat.delete_job import KubernetesDeleteJobOperator
    from unique_k8s_job.compat.job import KubernetesJobOperator
    from unique_k8s_job.compat.kueue import KubernetesStartKueueJobOperator
    from unique_k8s_job.compat.patch_job import KubernetesPatchJobOperator
    from unique_k8s_job.compat.without_meaning import MigrationWarning

__all__ = [
    "KubernetesDeleteJobOperator",
    "KubernetesJobOperator",
    "KubernetesPatchJobOperator",
    "KubernetesStartKueueJobOperator",
    "MigrationWarning",
]

_HOMES = {
    "KubernetesDeleteJobOperator": "delete_job",
    "KubernetesJobOperator": "job",
    "KubernetesPatchJobOperator": "patch_job",
    "KubernetesStartKueueJobOperator": "kueue",
    "MigrationWarning": "without_meaning",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        if name != "MigrationWarning":
            # First, also in a process that is none of Airflow's: it decides the base of the exceptions.
            import_module("airflow")
        return getattr(import_module(f"unique_k8s_job.compat.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
