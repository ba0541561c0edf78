"""The names of Airflow that moved between 2.11 and 3.x. Nothing else here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseHook, BaseOperator, Context
else:
    try:
        from airflow.sdk import BaseOperator
    except ImportError:  # Airflow 2
        from airflow.models.baseoperator import BaseOperator
    try:
        from airflow.sdk import BaseHook  # Airflow 3.1
    except ImportError:
        from airflow.hooks.base import BaseHook
    Context = Any

__all__ = ["BaseHook", "BaseOperator", "Context", "configuration", "mask_secret"]


def configuration(section: str, option: str, fallback: str) -> str:
    """Read an option of Airflow's configuration; an unset or empty one is the fallback."""
    try:
        from airflow.sdk import conf  # Airflow 3.2
    except ImportError:
        from airflow.configuration import conf
    return str(conf.get(section, option, fallback=fallback) or fallback)


def mask_secret(secret: str) -> None:
    """Hide a value in everything that Airflow logs from now on."""
    try:
        from airflow.sdk.log import mask_secret as mask
    except ImportError:  # Airflow 2
        from airflow.utils.log.secrets_masker import mask_secret as mask
    mask(secret)
