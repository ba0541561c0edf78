"""Finds the names of Airflow that moved between 2.11 and 3.x.

Names that a DAG file does not need are imported only when they are used: in 3.0 `BaseHook` alone imports half of
Airflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, Context, PokeReturnValue
    from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
else:
    try:
        from airflow.sdk import BaseOperator
    except ImportError:  # Airflow 2
        from airflow.models.baseoperator import BaseOperator
    Context = Any

    def __getattr__(name: str) -> Any:
        if name == "BaseHook":
            return _moved("airflow.sdk", "airflow.hooks.base", name)  # since Airflow 3.1
        if name in ("BaseSensorOperator", "PokeReturnValue"):
            return _moved("airflow.sdk", "airflow.sensors.base", name)
        if name == "BaseOperatorLink":
            return _moved("airflow.sdk", "airflow.models.baseoperatorlink", name)
        if name in ("DecoratedOperator", "task_decorator_factory"):
            return _moved("airflow.sdk.bases.decorator", "airflow.decorators.base", name)
        if name == "determine_kwargs":
            return _moved("airflow.sdk.bases.decorator", "airflow.utils.operator_helpers", name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "DecoratedOperator",
    "PokeReturnValue",
    "airflow_stats",
    "airflow_version",
    "configuration",
    "determine_kwargs",
    "mask_secret",
    "moved_exception",
    "task_decorator_factory",
]


def airflow_version() -> tuple[int, int]:
    """Return the major and minor version of the Airflow that runs us."""
    try:
        from airflow import __version__ as version

        major, minor = version.split(".")[:2]
    except ImportError:  # the Task SDK alone: 1.2 belongs to Airflow 3.2
        from airflow.sdk import __version__ as version

        major, minor = "3", version.split(".")[1]
    return int(major), int(minor)


def configuration(section: str, option: str, fallback: str) -> str:
    """Read an option of Airflow's configuration; an unset or empty one is the fallback."""
    return str(
        _moved("airflow.sdk", "airflow.configuration", "conf").get(section, option, fallback=fallback) or fallback
    )


def airflow_stats() -> Any:
    """Return what sends Airflow's metrics; without `[metrics]` it sends nothing."""
    return _moved("airflow.sdk.observability.stats", "airflow.stats", "Stats")


def mask_secret(secret: str) -> None:
    """Hide a value in everything that Airflow logs from now on."""
    _moved("airflow.sdk.log", "airflow.utils.log.secrets_masker", "mask_secret")(secret)


def moved_exception(name: str) -> type[Exception]:
    """Return one of Airflow's own exceptions, such as `AirflowSkipException`."""
    kind: type[Exception] = _moved("airflow.sdk.exceptions", "airflow.exceptions", name)
    return kind


def _moved(module: str, earlier: str, name: str) -> Any:
    """Find a name in the module of the newest Airflow, else in the earlier module."""
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return getattr(import_module(earlier), name)
