"""Who a running try is: from Airflow's context to the `attempt` of a request.

Every field is what Airflow says; nothing is made up but a nonce where Airflow has no stable id.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timezone
from typing import Any, NamedTuple

from unique_k8s_job._compat import Context, configuration
from unique_k8s_job.native import core

log = logging.getLogger(__name__)


class Deployment(NamedTuple):
    """Which Airflow this is."""

    id: str
    #: Whether the id tells this Airflow from others, so that Jobs of earlier tries can be looked for.
    known: bool


def deployment() -> Deployment:
    """Return `[unique_k8s_job] deployment_id`, else a digest of the URLs keyed by the first fernet key."""
    configured = configuration("unique_k8s_job", "deployment_id", "")
    if configured:
        return Deployment(configured, True)
    key = configuration("core", "fernet_key", "").split(",")[0].strip()
    base_url = configuration("api", "base_url", "") or configuration("webserver", "base_url", "")
    execution_url = configuration("core", "execution_api_server_url", "")
    ordinary = all(
        not url or url.startswith(("http://localhost:", "http://localhost/")) for url in (base_url, execution_url)
    )
    return Deployment(core().deployment_digest(key, base_url, execution_url), bool(key) or not ordinary)


def attempt(context: Context, deployment_id: str, retries: int | None) -> dict[str, Any]:
    """Return the `attempt` object of a request for the try that runs with this context."""
    ti: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    # `ti.id` is new for each try (Airflow 3); the DAG run's id tells a deleted run from one made again (2.11).
    stable = getattr(ti, "id", None) or getattr(dag_run, "id", None)
    return {
        "deployment": deployment_id,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": _number(ti.map_index, -1),
        "try_number": ti.try_number,
        "instance": str(stable) if stable and ti.try_number > 0 else uuid.uuid4().hex,
        "max_tries": _number(getattr(ti, "max_tries", None), None),
        "retries": retries,
        "clear_number": _number(getattr(dag_run, "clear_number", None), None),
    }


def run_time(context: Context) -> str:
    """Return the time of the run, the same for all its tries and after a clear: never a start date."""
    dag_run: Any = context["dag_run"]
    time = getattr(dag_run, "run_after", None) or getattr(dag_run, "logical_date", None)
    if not isinstance(time, datetime):
        time = datetime.fromtimestamp(0, timezone.utc)
    return time.astimezone(timezone.utc).isoformat()


def _number(value: Any, default: int | None) -> int | None:
    return default if value is None else int(value)
