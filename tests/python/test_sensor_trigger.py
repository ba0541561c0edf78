"""The sensor's trigger, with a stand-in for the native module: what it follows, reads, and concludes."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import native
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.triggers import connection as trigger_connection
from unique_k8s_job.triggers import sensor as sensor_trigger
from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

Job = dict[str, Any]


def job(uid: str, state: str | None) -> Job:
    reference = {"namespace": "etl", "name": f"job-{uid}", "uid": uid}
    outcome = state and {"kind": "outcome", "state": state, "job": reference, "summary": state, "containers": []}
    return {"job": reference, "suspended": False, "deleting": False, "outcome": outcome, "findings": []}


class Cluster:
    """Looks answer one after the other, the last one for ever; a Waiter tells how its Job ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[list[Job]] = []
        self.ends: dict[str, str] = {}
        self.followed: list[str] = []
        module = SimpleNamespace(find_jobs_async=self._poke, Waiter=self._waiter, Cluster=lambda _: object())
        monkeypatch.setattr(native, "loaded", lambda: module)
        monkeypatch.setattr(sensor_trigger, "HOLD_EVENT", 0.0)
        monkeypatch.setattr(sensor_trigger, "LOG_SETTLES", 0.0)

    async def _poke(self, _cluster: object, _request: str) -> list[Job]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        copied: list[Job] = json.loads(json.dumps(found))
        return copied

    def _waiter(self, _cluster: object, request: str) -> Any:
        uid = json.loads(request)["job"]["uid"]

        async def tell(_: float | None) -> list[Job]:
            self.followed.append(uid)
            outcome: Job = job(uid, self.ends[uid])["outcome"]
            return [outcome]

        return SimpleNamespace(next=tell, close=lambda: None)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def event(**arguments: Any) -> dict[str, Any]:
    trigger = UniqueK8sJobSensorTrigger(
        **{"target": {"name": "job-a"}, "connection": {"kubernetes_conn_id": None}, "poke_interval": 0.01, **arguments}
    )

    async def run() -> dict[str, Any]:
        (only,) = [sent.payload async for sent in trigger.run()]
        return dict(only)

    return asyncio.run(run())


def test_kwargs_are_json_and_make_the_same_trigger_again_and_unknown_ones_are_accepted() -> None:
    path, kwargs = UniqueK8sJobSensorTrigger(target={"uid": "a"}, logs=True, passed={"x": 1}).serialize()
    again = UniqueK8sJobSensorTrigger(**json.loads(json.dumps(kwargs)), of_tomorrow=1)
    assert again.serialize() == (path, kwargs)


def test_job_that_is_not_there_yet_is_looked_for_and_then_followed(cluster: Cluster) -> None:
    cluster.looks = [[], [job("a", None)], [job("a", None)]]
    cluster.ends = {"a": "succeeded"}
    sent = event()
    assert (sent["verdict"], cluster.followed) == ("satisfied", ["a"])


def test_job_that_was_gone_before_the_next_look_has_the_outcome_that_was_seen(cluster: Cluster) -> None:
    cluster.looks = [[job("a", None)], []]
    cluster.ends = {"a": "failed"}
    sent = event()
    assert sent["verdict"] == "failed"
    assert sent["jobs"][0]["outcome"]["state"] == "failed"


@pytest.mark.parametrize(("logs", "followed"), [(True, ["a"]), (False, [])])
def test_log_of_a_job_that_ended_before_the_trigger_began_is_read_where_it_is_wanted(
    cluster: Cluster, logs: bool, followed: list[str]
) -> None:
    cluster.looks = [[job("a", "succeeded")]]
    cluster.ends = {"a": "succeeded"}
    assert event(logs=logs)["verdict"] == "satisfied"
    assert cluster.followed == followed


def test_time_that_is_over_is_told_with_what_was_found(cluster: Cluster) -> None:
    cluster.looks = [[]]
    sent = event(deadline="2026-01-01T00:00:00+00:00")
    assert (sent["verdict"], sent["jobs"]) == ("wait", [])


def test_timeout_of_something_else_is_an_error_and_not_the_end_of_the_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(*_: object) -> list[Job]:
        raise TimeoutError("ETIMEDOUT")

    monkeypatch.setattr(native.loaded(), "find_jobs_async", look)
    sent = event(deadline="2999-01-01T00:00:00+00:00")
    assert sent["kind"] == "error"
    assert "TimeoutError" in sent["error"]["message"]


def test_failure_to_read_the_connection_is_got_over(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Exception] = [TimeoutError("ETIMEDOUT"), RuntimeError("the API is away")]

    async def aget_conn(_: UniqueK8sJobHook) -> object:
        if failures:
            raise failures.pop(0)
        return object()

    cluster.looks = [[job("a", "succeeded")]]
    monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
    monkeypatch.setattr(trigger_connection, "PAUSE", 0.0)
    assert event()["verdict"] == "satisfied"


def test_what_is_to_be_passed_back_is_in_every_event(cluster: Cluster) -> None:
    cluster.looks = [[]]
    assert event(until="gone", passed={"asked": True})["passed"] == {"asked": True}
