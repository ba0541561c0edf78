"""A connection that Airflow does not find: missing, or not told."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job.exceptions import AirflowUnreachableError
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.task.compat import missing_connection
from unique_k8s_job.task.compat.missing_connection import find_again
from unique_k8s_job.triggers.connection import is_for_good

execution_api = pytest.importorskip("airflow.sdk.execution_time.secrets.execution_api", reason="Airflow 3.1 and newer")
comms = pytest.importorskip("airflow.sdk.execution_time.comms")
task_runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
sdk = pytest.importorskip("airflow.sdk.exceptions")


class Nowhere:
    """A place that does not have the connection."""

    def get_connection(self, conn_id: str) -> None:
        return None


class Broken:
    """A place that does not answer."""

    def get_connection(self, conn_id: str) -> None:
        raise ConnectionError("vault is sealed\nand much more")


def error(kind: str) -> Any:
    return comms.ErrorResponse(error=sdk.ErrorType(kind), detail={"message": "told"})


def airflow_says(monkeypatch: pytest.MonkeyPatch, answer: Any, *places: Any) -> None:
    """Airflow's API gives this answer to every question, or raises it; these places are asked before."""

    def send(_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    all_places = [*places, execution_api.ExecutionAPISecretsBackend()]
    monkeypatch.setattr("airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded", lambda: all_places)


def test_default_connection_that_all_say_is_missing_means_the_default_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow_says(monkeypatch, error("CONNECTION_NOT_FOUND"), Nowhere())
    assert UniqueK8sJobHook().configuration()["source"] == "default"


@pytest.mark.parametrize(
    "answer",
    [
        error("API_SERVER_ERROR"),
        error("GENERIC_ERROR"),
        sdk.AirflowRuntimeError(error("API_SERVER_ERROR")),
        ConnectionError("supervisor is gone"),
        TimeoutError(),
    ],
    ids=str,
)
def test_default_connection_is_not_taken_for_missing_while_airflow_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    airflow_says(monkeypatch, answer)
    with pytest.raises(AirflowUnreachableError, match="`kubernetes_default` is not known") as caught:
        UniqueK8sJobHook().configuration()
    assert not is_for_good(caught.value), "a trigger is to try again"


def test_secrets_backend_that_fails_is_named_with_the_class_of_its_error_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow_says(monkeypatch, error("CONNECTION_NOT_FOUND"), Broken())
    with pytest.raises(AirflowUnreachableError) as caught:
        UniqueK8sJobHook().configuration()
    assert caught.value.seen == ["Broken did not answer: ConnectionError"]
    chain = "".join(traceback.format_exception(type(caught.value), caught.value, caught.value.__traceback__))
    assert "vault is sealed" not in chain, "the text of a backend may hold its address and its token"


def test_connection_that_is_told_at_the_second_question_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = dict.fromkeys(("host", "schema", "login", "password", "port"))
    told = comms.ConnectionResult(
        conn_id="kubernetes_default", conn_type="kubernetes", extra='{"kube_config_path": "/k"}', **nothing
    )
    airflow_says(monkeypatch, told)
    assert find_again("kubernetes_default").extra_dejson == {"kube_config_path": "/k"}


def test_places_are_those_of_the_airflow_that_runs_us() -> None:
    assert any(type(place).__name__ == "EnvironmentVariablesBackend" for place in missing_connection._backends())
