"""Says which build of this package runs: the facts that a report of a fault needs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from unique_k8s_job import __version__, native
from unique_k8s_job.described import failure


def version_lines(*, verbose: bool) -> Iterator[str]:
    """Yield the version; with `verbose` what it was built from and what it runs on, too."""
    yield f"unique-k8s-job, version {__version__}"
    if verbose:
        for name, value in _facts():
            yield f"{name:<16} {value}"


def _facts() -> Iterator[tuple[str, str]]:
    core = native.loaded()
    yield "native module", f"{core.__version__}, {core.__file__}"
    yield "commit", core.__commit__ or "unknown: built for development, or without git"
    yield "Kubernetes API", f"{core.__kubernetes_api__} (types of the client)"
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "Airflow", _airflow()
    yield "deployment id", _deployment()


def _airflow() -> str:
    try:
        return metadata.version("apache-airflow")
    except metadata.PackageNotFoundError:
        return "not installed"


def _deployment() -> str:
    """Return the id that distinguishes the Jobs of this Airflow from those of others.

    Airflow takes seconds to import, and makes a home folder if there is none, so it is imported only if it is
    configured.
    """
    home = Path(os.environ.get("AIRFLOW_HOME") or Path.home() / "airflow")
    configured = (home / "airflow.cfg").exists() or any(name.startswith("AIRFLOW__") for name in os.environ)
    if not configured:
        return "none: no Airflow is configured here"
    try:
        from unique_k8s_job.task.identity import deployment

        found = deployment()
    except Exception as error:  # noqa: BLE001 an Airflow that is broken is no reason to say nothing
        return f"unknown: {failure(error)}"
    sure = "" if found.known else " (other Airflows may have the same: set `[unique_k8s_job] deployment_id`)"
    return f"{found.id}{sure}"
