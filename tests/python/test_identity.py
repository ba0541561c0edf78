"""Which attempt a try is: equal for the same try, and never for two."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job.task import identity
from unique_k8s_job.task.compat import behaviour
from unique_k8s_job.task.identity import Deployment, attempt, deployment, run_time

KNOWN = Deployment("production", True)
UNKNOWN = Deployment("any", False)
SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)


def context(**different: Any) -> dict[str, Any]:
    """Airflow 3's view of try 1 of a task with two retries."""
    ti = {
        "dag_id": "etl",
        "run_id": "r",
        "task_id": "train",
        "map_index": -1,
        "try_number": 1,
        "max_tries": 2,
        "id": "u-1",
    }
    dag_run = {"id": 7, "run_after": SIX, "logical_date": None, "clear_number": 0}
    return {
        "ti": SimpleNamespace(**{**ti, **{key: different[key] for key in ti if key in different}}),
        "dag_run": SimpleNamespace(**{**dag_run, **different.get("dag_run", {})}),
    }


def options(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Airflow's configuration, by option name."""
    for module in (identity, behaviour):
        monkeypatch.setattr(module, "configuration", lambda _, option, fallback: values.get(option) or fallback)


@pytest.mark.parametrize(
    ("version", "asked", "not_asked"), [((3, 0), "api", "webserver"), ((2, 11), "webserver", "api")]
)
def test_url_of_airflow_is_the_api_servers_in_3_and_the_webservers_in_2(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], asked: str, not_asked: str
) -> None:
    sections: list[str] = []

    def configuration(section: str, _option: str, fallback: str) -> str:
        sections.append(section)
        return fallback

    for module in (identity, behaviour):
        monkeypatch.setattr(module, "configuration", configuration)
    monkeypatch.setattr(behaviour, "airflow_version", lambda: version)
    deployment()
    assert asked in sections
    assert not_asked not in sections, "Airflow warns of options of another version in every task log"


def test_try_of_airflow_3_is_told_by_its_own_id() -> None:
    assert attempt(context(), KNOWN, 2)["instance"] == "u-1"


def test_try_of_airflow_2_is_told_by_the_number_of_its_run() -> None:
    assert attempt(context(id=None), KNOWN, 2)["instance"] == "7"


def test_number_of_a_run_tells_nothing_where_the_deployment_is_unknown() -> None:
    first, second = (attempt(context(id=None), UNKNOWN, 2)["instance"] for _ in range(2))
    assert "7" not in (first, second)
    assert first != second


def test_tries_that_airflow_does_not_count_are_never_equal() -> None:
    first, second = (attempt(context(try_number=0), KNOWN, 2)["instance"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("version", "expected"), [((2, 11), None), ((3, 1), None), ((3, 2), 4), ((3, 3), 4)])
def test_clear_number_counts_only_where_a_clear_of_a_running_task_raises_it(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], expected: int | None
) -> None:
    monkeypatch.setattr(behaviour, "airflow_version", lambda: version)
    assert attempt(context(dag_run={"clear_number": 4}), KNOWN, 2)["clear_number"] == expected


def test_unmapped_task_has_the_map_index_minus_one() -> None:
    assert attempt(context(map_index=None), KNOWN, 2)["map_index"] == -1


def test_time_of_a_run_is_run_after_else_the_logical_date_in_utc() -> None:
    assert run_time(context()) == "2026-01-01T06:00:00+00:00"
    local = SIX.astimezone(timezone(timedelta(hours=2)))
    assert run_time(context(dag_run={"run_after": None, "logical_date": local})) == "2026-01-01T06:00:00+00:00"


def test_configured_deployment_id_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    options(monkeypatch, deployment_id="production", fernet_key="secret")
    assert deployment() == KNOWN


def test_first_fernet_key_tells_deployments_of_equal_urls_apart_and_is_not_in_the_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options(monkeypatch, fernet_key="one-secret,older")
    one = deployment()
    options(monkeypatch, fernet_key="two-secret")
    two = deployment()
    options(monkeypatch, fernet_key="one-secret")
    assert one.known and two.known
    assert one.id != two.id
    assert one == deployment(), "rotated: the first key counts"
    assert "secret" not in one.id


@pytest.mark.parametrize("key", ["", "{FERNET_KEY}"])
def test_without_a_key_and_with_default_urls_the_deployment_is_unknown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    options(monkeypatch, fernet_key=key, base_url="http://localhost:8080")
    assert not deployment().known


def test_url_of_its_own_makes_a_deployment_known(monkeypatch: pytest.MonkeyPatch) -> None:
    options(monkeypatch, base_url="https://airflow.example.com")
    assert deployment().known
