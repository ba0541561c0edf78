"""Identifies a running try: makes the `attempt` of a request from Airflow's context.

Promise: the same try is always the same attempt, and two tries never are, even of two Airflows. Every field is from
Airflow. Only if Airflow has no id that distinguishes the try from all others, a nonce is made up.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from unique_k8s_job import native
from unique_k8s_job.task.compat import Context, configuration
from unique_k8s_job.task.compat.behaviour import base_url, clears_are_counted

if TYPE_CHECKING:
    from unique_k8s_job._core import Attempt

log = logging.getLogger("unique_k8s_job.identity")


class Deployment(NamedTuple):
    """The Airflow deployment that runs this try."""

    id: str
    #: Whether the id distinguishes this Airflow from others, so that Jobs of earlier tries can be looked for.
    known: bool


def deployment() -> Deployment:
    """Return `[unique_k8s_job] deployment_id`, else a digest of the URLs keyed by the first fernet key."""
    configured = configuration("unique_k8s_job", "deployment_id", "")
    if configured:
        return Deployment(configured, True)
    key = configuration("core", "fernet_key", "").split(",")[0].strip()
    if key.startswith("{"):
        # The Task SDK's configuration shows an unset key as the placeholder of its template: the same one everywhere.
        key = ""
    url, execution_url = base_url(), configuration("core", "execution_api_server_url", "")
    ordinary = all(
        not known or known.startswith(("http://localhost:", "http://localhost/")) for known in (url, execution_url)
    )
    return Deployment(native.deployment_digest(key, url, execution_url), bool(key) or not ordinary)


def attempt(context: Context, of: Deployment, retries: int | None) -> Attempt:
    """Return the `attempt` object of a request for the try that runs with this context."""
    ti: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    return {
        "deployment": of.id,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if ti.map_index is None else int(ti.map_index),
        "try_number": ti.try_number,
        "instance": _instance(ti, dag_run, of),
        "max_tries": _number(getattr(ti, "max_tries", None)),
        "retries": retries,
        "clear_number": _number(getattr(dag_run, "clear_number", None)) if clears_are_counted() else None,
    }


def _instance(ti: Any, dag_run: Any, of: Deployment) -> str:
    """Return an id that no other try with the same ids has, as that of a run that was deleted and made again."""
    if ti.try_number > 0:
        if unique := getattr(ti, "id", None):  # Airflow 3: new for each try
            return str(unique)
        # 2.11: the number of the run in the database, which means nothing outside this deployment.
        if of.known and (number := getattr(dag_run, "id", None)):
            return str(number)
    return uuid.uuid4().hex


def run_time(context: Context) -> str:
    """Return the time of the run, the same for all its tries and after a clear: never a start date."""
    dag_run: Any = context["dag_run"]
    time = getattr(dag_run, "run_after", None) or getattr(dag_run, "logical_date", None)
    if not isinstance(time, datetime):
        time = datetime.fromtimestamp(0, timezone.utc)
    return time.astimezone(timezone.utc).isoformat()


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
