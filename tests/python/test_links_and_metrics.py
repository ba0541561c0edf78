"""The link to a dashboard and the metrics of a Job: both cost nothing if they are off, and neither fails a task."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import UniqueK8sJobOperator
from unique_k8s_job.compat import KubernetesJobOperator
from unique_k8s_job.decorators.job import UniqueK8sJobFunctionOperator
from unique_k8s_job.links.job import KubernetesJobLink, job_url
from unique_k8s_job.task import metrics
from unique_k8s_job.task.log_writer import LogWriter

CHECKOUT = Path(__file__).parents[2]
OPTION = "AIRFLOW__UNIQUE_K8S_JOB__JOB_URL_TEMPLATE"
KINDS: list[type[Any]] = [UniqueK8sJobOperator, KubernetesJobOperator, UniqueK8sJobFunctionOperator]


def ti(**more: Any) -> SimpleNamespace:
    ids = {"dag_id": "etl", "task_id": "load", "run_id": "manual__2026-01-01T00:00:00+00:00", "map_index": 3}
    return SimpleNamespace(**{**ids, "try_number": 2, **more})


def said_by(ti: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """A task whose Job has just been made, and what it said while it made its link."""
    said: list[str] = []
    monkeypatch.setattr(LogWriter, "message", lambda _, text, level="info": said.append(text))
    task = UniqueK8sJobOperator(task_id="load", image="a:1")
    task._know({"namespace": "etl", "name": "load-1", "uid": "u"})
    task._link({"ti": ti})  # type: ignore[typeddict-item]
    task._store_link({"ti": ti}, LogWriter.of_task(task.log))  # type: ignore[typeddict-item]
    return task, said


def test_without_the_option_there_is_no_link_and_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OPTION, raising=False)
    for kind in KINDS:
        assert list(kind.operator_extra_links) == []
    task, said = said_by(ti(), monkeypatch)
    assert (task.job_url, said, list(task.operator_extra_links)) == ("", [], [])


def test_with_the_option_class_and_task_have_the_link_and_its_url_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTION, "https://a.example/{cluster}/{namespace}/{job}")
    for kind in KINDS:
        assert [link.name for link in kind.operator_extra_links] == ["Kubernetes Job"]
    pushed: dict[str, str] = {}
    task, _ = said_by(ti(xcom_push=lambda key, value: pushed.update({key: value})), monkeypatch)
    url = "https://a.example/kubernetes_default/etl/load-1"
    assert pushed == {"job_url": url}
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=None) == url
    assert link.xcom_key == "job_url"
    assert link.get_link(UniqueK8sJobOperator(task_id="other"), ti_key=None) == "", "it has no Job yet"


def test_link_that_cannot_be_stored_fails_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTION, "https://a.example/{job}")

    def push(key: str, value: str) -> None:
        raise ConnectionError(f"token of {key} {value}")

    _, said = said_by(ti(xcom_push=push), monkeypatch)
    assert said == ["The XCom `job_url` was not stored: ConnectionError"]


def test_values_are_escaped_and_other_braces_stay() -> None:
    values = {"namespace": "etl", "run_id": "manual__2026-01-01T00:00:00+00:00 a/b", "map_index": -1}
    assert job_url('https://a/{namespace}/{run_id}?{"q":"{namespace}"}&{map_index}{unknown}{}', values) == (
        'https://a/etl/manual__2026-01-01T00%3A00%3A00%2B00%3A00%20a%2Fb?{"q":"etl"}&-1{unknown}{}'
    )


def test_link_of_airflow_2_is_read_from_the_xcom(monkeypatch: pytest.MonkeyPatch) -> None:
    import airflow.models.xcom

    asked: list[Any] = []

    class Store:
        @staticmethod
        def get_value(*, ti_key: Any, key: str) -> str | None:
            asked.append((ti_key, key))
            return "https://a.example" if ti_key == "there" else None

    monkeypatch.setattr(airflow.models.xcom, "XCom", Store, raising=False)
    serialized = SimpleNamespace(task_id="load")
    assert KubernetesJobLink().get_link(serialized, ti_key="there") == "https://a.example"  # type: ignore[arg-type]
    assert KubernetesJobLink().get_link(serialized, ti_key="absent") == ""  # type: ignore[arg-type]
    assert asked == [("there", "job_url"), ("absent", "job_url")]


TIMES = {
    "created": "2026-01-01T00:00:00Z",
    "scheduled": "2026-01-01T00:00:10Z",
    "last_scheduled": None,
    "image_ready": "2026-01-01T00:00:15Z",
    "started": "2026-01-01T00:00:16Z",
    "last_started": None,
    "ended": "2026-01-01T00:01:00Z",
}
NOW = datetime(2026, 1, 1, 0, 1, 2, tzinfo=timezone.utc)


class Stats:
    """Airflow's own interface."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}

    def incr(self, name: str, *, tags: dict[str, str]) -> None:
        self.sent[name] = tags

    def timing(self, name: str, duration: timedelta, *, tags: dict[str, str]) -> None:
        self.sent[name] = (duration, tags)


def test_durations_are_those_between_moments_that_are_known() -> None:
    def seconds(times: dict[str, str | None], now: datetime = NOW) -> dict[str, float]:
        return {name: found.total_seconds() for name, found in metrics.durations(times, now).items()}

    whole = {"queue_duration": 10, "pull_duration": 5, "start_duration": 16, "run_duration": 44, "notice_duration": 2}
    assert seconds(TIMES) == whole
    assert seconds({**TIMES, "image_ready": None}) == {n: s for n, s in whole.items() if n != "pull_duration"}
    assert seconds({**TIMES, "started": None, "scheduled": None}) == {"notice_duration": 2}
    assert seconds({"created": None}) == {}
    assert seconds(TIMES, NOW - timedelta(hours=1))["notice_duration"] == 0, "the clock of the worker is late"


def test_metrics_are_sent_with_the_tags_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Stats()
    monkeypatch.setattr(metrics, "airflow_stats", lambda: stats)
    metrics.submitted(ti(), "taken_over")
    metrics.said(ti(), "job-released")
    metrics.said(ti(), "anything else")
    metrics.ended(ti(stats_tags={"dag_id": "etl", "team": "a"}), {"state": "vanished", "times": TIMES})
    own = {"dag_id": "etl", "task_id": "load"}
    assert stats.sent["unique_k8s_job.taken_over"] == stats.sent["unique_k8s_job.released"] == own
    assert stats.sent["unique_k8s_job.vanished"] == {"dag_id": "etl", "team": "a"}
    assert stats.sent["unique_k8s_job.run_duration"] == (timedelta(seconds=44), {"dag_id": "etl", "team": "a"})
    assert len(stats.sent) == 8


def test_fault_of_the_metrics_reaches_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError("no such host")

    monkeypatch.setattr(metrics, "airflow_stats", broken)
    metrics.submitted(ti(), "created")
    metrics.ended(ti(), {"state": "failed", "times": {"created": "no time"}})
    monkeypatch.undo()
    metrics.ended(SimpleNamespace(), {})


def test_page_has_every_metric() -> None:
    page = (CHECKOUT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `unique_k8s_job\.(\w+)`", page, re.MULTILINE))
    counters = {"created", "adopted", "taken_over", "outcome_used", "released", "succeeded", "failed", "vanished"}
    assert documented == {*counters, *(name for name, _, _ in metrics.DURATIONS), metrics.NOTICE}
