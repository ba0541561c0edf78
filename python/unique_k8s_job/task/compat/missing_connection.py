"""Finds out whether a connection that Airflow does not find is missing, or whether a secrets backend did not answer.

Airflow says "not found" in both cases: it skips a backend that fails, even its own API and its database. The default
connection may be missing, and then another configuration is used, which may lead to another cluster. So each backend is
asked once more, by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unique_k8s_job.exceptions import AirflowUnreachableError


def find_again(conn_id: str) -> Any:
    """Ask each backend where Airflow looks for a connection; return it, or None if all of them say that it is not there.

    :raises AirflowUnreachableError: if one of them does not answer
    """
    for backend in _backends():
        problem: str | None = None
        try:
            found = _asked(backend, conn_id)
        except Exception as error:  # noqa: BLE001  # whatever a backend raises
            problem = type(error).__name__
        # Outside of the `except`: the error of a secrets backend may quote its address and its token.
        if problem is not None:
            raise AirflowUnreachableError(
                f"Whether Airflow has a connection `{conn_id}` is not known",
                seen=[f"{type(backend).__name__} did not answer: {problem}"],
                hint="try again once it answers; with `kubernetes_conn_id=None` the default configuration is used unasked",
            )
        if found:
            return found
    return None


def _asked(backend: Any, conn_id: str) -> Any:
    if type(backend).__name__ != "ExecutionAPISecretsBackend":
        return backend.get_connection(conn_id=conn_id)
    # This backend returns None, too, if it got no answer.
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if not isinstance(answer, ErrorResponse):
        return backend.get_connection(conn_id=conn_id)
    if answer.error is not ErrorType.CONNECTION_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return None


def _backends() -> list[Any]:
    """Return the secrets backends, in Airflow's order."""
    try:
        loaded = import_module("airflow.sdk.execution_time.supervisor").ensure_secrets_backend_loaded
    except (ImportError, AttributeError):  # Airflow 2
        loaded = import_module("airflow.configuration").ensure_secrets_loaded
    backends: list[Any] = loaded()
    return backends
