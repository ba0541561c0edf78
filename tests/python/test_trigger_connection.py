"""Which failures to read the connection a trigger gets over, and for how long."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from unique_k8s_job.exceptions import (
    AirflowUnreachableError,
    ConfigurationError,
    InternalError,
    NativeModuleMissingError,
)
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.task.log_writer import LogWriter
from unique_k8s_job.triggers import connection as trigger_connection
from unique_k8s_job.triggers.connection import connect, is_for_good


class AirflowNotFoundException(Exception):
    """As Airflow names it, wherever it is."""


def connected(monkeypatch: pytest.MonkeyPatch, *failures: Exception) -> tuple[Any, list[float]]:
    """Connect where reading the connection fails in these ways first; return the cluster and the pauses."""
    left, pauses, now = list(failures), [], [0.0]

    async def aget_conn(_: UniqueK8sJobHook) -> str:
        if left:
            raise left.pop(0)
        return "cluster"

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
    monkeypatch.setattr(trigger_connection.asyncio, "sleep", sleep)
    monkeypatch.setattr(trigger_connection.time, "monotonic", lambda: now[0])
    log = LogWriter(logging.getLogger("task"), structured=False)
    try:
        return asyncio.run(connect({"kubernetes_conn_id": "k8s", "of_tomorrow": 1}, log)), pauses
    except Exception as error:  # noqa: BLE001  # what comes is what is tested
        return error, pauses


def test_connection_is_read_again_with_growing_pauses_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = [RuntimeError("Airflow is away"), TimeoutError("ETIMEDOUT"), OSError("reset")]
    assert connected(monkeypatch, *away) == ("cluster", [1.0, 2.0, 4.0])
    (said,) = caplog.messages
    assert "`k8s`" in said and said.endswith("RuntimeError")


def test_kind_of_the_last_failure_is_told_after_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    raised, pauses = connected(monkeypatch, *[OSError(str(number)) for number in range(100)])
    assert isinstance(raised, AirflowUnreachableError)
    assert raised.seen == ["OSError"] and raised.__context__ is None, "its text may quote what it was asked with"
    assert 240 < sum(pauses) <= 300
    assert max(pauses) == 30.0


def test_what_is_for_good_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConfigurationError("two of them")
    assert connected(monkeypatch, error) == (error, [])


def test_connection_that_many_ask_for_at_once_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str | None] = []

    async def aget_conn(hook: UniqueK8sJobHook) -> str:
        read.append(hook.kubernetes_conn_id)
        await asyncio.sleep(0)
        return f"cluster of {hook.kubernetes_conn_id}"

    async def main() -> list[Any]:
        log = LogWriter(logging.getLogger("task"), structured=False)
        asked = [connect({"kubernetes_conn_id": name}, log) for name in ["a", "b", "a", "a"]]
        return [*await asyncio.gather(*asked), await connect({"kubernetes_conn_id": "a"}, log)]

    monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
    found = asyncio.run(main())
    assert [cluster[-1] for cluster in found] == ["a", "b", "a", "a", "a"]
    assert read == ["a", "b", "a"], "what is asked for later is read anew"


def test_read_that_never_ends_is_given_up_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    async def aget_conn(_: UniqueK8sJobHook) -> str:
        nonlocal reads
        reads += 1
        if reads == 1:
            await asyncio.Event().wait()
        return "cluster"

    monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
    monkeypatch.setattr(trigger_connection, "READ_ONCE_WITHIN", 0.01)
    monkeypatch.setattr(trigger_connection, "PAUSE", 0.0)
    log = LogWriter(logging.getLogger("task"), structured=False)
    assert asyncio.run(connect({"kubernetes_conn_id": "k8s"}, log)) == "cluster"


def test_failure_that_nobody_waits_for_any_more_is_in_the_log_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def aget_conn(_: UniqueK8sJobHook) -> str:
            begun.set()
            await release.wait()
            raise OSError("reset")

        monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
        log = LogWriter(logging.getLogger("task"), structured=False)
        asking = [asyncio.create_task(connect({"kubernetes_conn_id": "k8s"}, log)) for _ in range(3)]
        await begun.wait()
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        release.set()
        while trigger_connection._reads[asyncio.get_running_loop()]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    (said,) = caplog.messages
    assert said.endswith("has failed: OSError")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigurationError("x"), True),
        (NativeModuleMissingError("x"), True),
        (InternalError("x"), True),
        (AirflowNotFoundException("x"), False),
        (TimeoutError(), False),
        (PermissionError("x"), False),
        (RuntimeError("x"), False),
    ],
)
def test_failure_is_for_good_by_this_table(error: Exception, expected: bool) -> None:
    assert is_for_good(error) is expected
