"""Finds the `pod_mutation_hook` of this Airflow installation, which `airflow_local_settings.py` or a policy plugin defines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def pod_mutation_hook() -> Callable[[Any], object] | None:
    """Return the hook; None where the installation has none, for Airflow's own changes nothing."""
    # Importing `airflow` has read `airflow_local_settings`, in every process of Airflow 2 and 3.
    from airflow import settings

    hook: Callable[[Any], object] = settings.pod_mutation_hook
    if getattr(hook, "__module__", None) == settings.__name__ and not _of_policies(settings):
        return None
    return hook


def files_of(hook: Callable[[Any], object]) -> list[str]:
    """Return the files that define the hook, as far as that is known."""
    from airflow import settings

    own = getattr(hook, "__module__", None) == settings.__name__
    functions = [each.function for each in _of_policies(settings)] if own else [hook]
    files = {code.co_filename for each in functions if (code := getattr(each, "__code__", None))}
    # Airflow wraps a hook whose parameter is not named `pod`, and the wrapper is in no file.
    return sorted(file for file in files if not file.startswith("<"))


def _of_policies(settings: Any) -> list[Any]:
    """Return the implementations that Airflow's own function would call."""
    if hasattr(settings, "get_policy_plugin_manager"):  # since Airflow 3.1
        manager = settings.get_policy_plugin_manager()
    else:
        manager = settings.POLICY_PLUGIN_MANAGER
    return list(manager.hook.pod_mutation_hook.get_hookimpls()) if manager else []
