"""The trigger's own coroutine, with a stand-in for the native Waiter: what it stores, sends, and does when cancelled.

What a real Waiter does with a real Job is for the tests on a real cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import native
from unique_k8s_job.exceptions import ApiUnreachableError, DeletionUnconfirmedError, JobStartupError
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.task import stop_in_trigger, triggerer
from unique_k8s_job.task.compat import behaviour
from unique_k8s_job.task.compat.task_state import Answer
from unique_k8s_job.task.log_writer import LogWriter
from unique_k8s_job.triggers import connection as trigger_connection
from unique_k8s_job.triggers import job as triggers
from unique_k8s_job.triggers.job import UniqueK8sJobTrigger, seconds_until

JOB = json.dumps({"version": 1, "job": {"namespace": "etl", "name": "train", "uid": "our-uid"}, "owner": "o"})
YESTERDAY = (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()
TOMORROW = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
OUTCOME = {"kind": "outcome", "state": "succeeded", "summary": "done", "job": {}, "containers": []}


class Waiter:
    """Tells `events`, one list a call; an exception among them is raised; behind them it waits, without a timeout for ever.

    A look at the Job finds, or raises, the next of `looks`; else a Job that runs.
    """

    def __init__(self, *events: Any) -> None:
        self.events = list(events)
        self.looks: list[Any] = []
        self.told: list[dict[str, str]] = []
        self.waits = asyncio.Event()
        self.calls: list[str] = []

    async def next(self, timeout: float | None) -> list[dict[str, Any]]:
        if not self.events:
            self.waits.set()
            await asyncio.sleep(3600 if timeout is None else timeout)
            return []
        event = self.events.pop(0)
        if isinstance(event, Exception):
            raise event
        return [event]

    async def look(self, _: object, target: dict[str, Any]) -> list[dict[str, Any]]:
        self.calls.append(f"look {target['uid']}")
        found = self.looks.pop(0) if self.looks else [{"outcome": None}]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, list)
        return found

    async def delete(self, _: float) -> str:
        self.calls.append("delete")
        return "It is gone"

    def said(self) -> list[dict[str, str]]:
        told, self.told = self.told, []
        return told

    async def store_positions(self) -> None:
        self.calls.append("store_positions")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def waiter(monkeypatch: pytest.MonkeyPatch) -> Waiter:
    """The Waiter that the next triggers get."""
    made = Waiter()
    module = SimpleNamespace(
        Waiter=lambda _cluster, _job: made, Cluster=lambda _configuration: object(), find_jobs_async=made.look
    )
    monkeypatch.setattr(native, "loaded", lambda: module)
    monkeypatch.setattr(triggers, "HOLD_EVENT", 0.0)
    monkeypatch.setattr(triggers, "FOLLOW_AT_LEAST", 0.05)
    monkeypatch.setattr(triggers, "LOG_SETTLES", 0.0)
    return made


@pytest.fixture
def in_a_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next triggers run in a triggerer."""
    monkeypatch.setattr(triggers, "in_dag_test", lambda _: False)
    monkeypatch.setattr(triggers.left_behind, "searching", lambda *_: contextlib.nullcontext())


def trigger(**kwargs: Any) -> UniqueK8sJobTrigger:
    return UniqueK8sJobTrigger(job=JOB, connection={"kubernetes_conn_id": None}, **kwargs)


async def events(of: UniqueK8sJobTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in of.run()]


def answered(monkeypatch: pytest.MonkeyPatch, answer: Answer | None) -> None:
    async def ask(*_: Any) -> Answer | None:
        return answer

    monkeypatch.setattr(stop_in_trigger, "ask", ask)


def test_kwargs_are_json_and_make_the_same_trigger_again() -> None:
    path, kwargs = trigger(deadline="2026-01-01T06:00:00+00:00").serialize()
    assert path == "unique_k8s_job.triggers.UniqueK8sJobTrigger"
    assert UniqueK8sJobTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


def test_kwargs_of_an_older_and_of_a_newer_version_are_accepted(waiter: Waiter) -> None:
    waiter.events = [OUTCOME]
    newer = {"job": JOB, "version": 9, "of_tomorrow": [1], "connection": {"kubernetes_conn_id": None, "proxy": "x"}}
    assert asyncio.run(events(UniqueK8sJobTrigger(**newer)))[0]["kind"] == "outcome"
    assert UniqueK8sJobTrigger().serialize()[1]["version"] == 1


def test_one_event_with_the_outcome_and_nothing_of_the_log(waiter: Waiter, caplog: pytest.LogCaptureFixture) -> None:
    line = {
        "kind": "log",
        "mark": False,
        "text": "secret words",
        "parts": [(1, "info", None)],
        "pod": "p",
        "container": "c",
    }
    waiter.events = [{"kind": "message", "level": "info", "text": "it starts"}, line, OUTCOME]
    (event,) = asyncio.run(events(trigger()))
    assert (event["kind"], event["outcome"]) == ("outcome", OUTCOME)
    assert "secret words" not in json.dumps(event)
    assert waiter.calls == ["close"]


@pytest.mark.usefixtures("in_a_triggerer")
def test_event_waits_until_the_trigger_is_old_enough(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    waiter.events = [OUTCOME]
    monkeypatch.setattr(triggers, "HOLD_EVENT", 8.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(events(trigger()))
    assert 7.0 < pauses[-1] <= 8.0


def test_event_is_sent_at_once_in_a_dag_test(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "HOLD_EVENT", 3600.0)
    monkeypatch.setattr(triggers, "LOG_SETTLES", 3600.0)
    waiter.events = [OUTCOME]
    (event,) = asyncio.run(asyncio.wait_for(events(trigger()), 600))
    assert event["kind"] == "outcome"


@pytest.mark.usefixtures("in_a_triggerer")
def test_event_waits_until_the_last_line_of_the_log_has_left_the_process(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    line = {"kind": "log", "mark": False, "text": "the end", "timestamp": None, "pod": "p", "container": "c"}
    waiter.events = [line, OUTCOME]
    monkeypatch.setattr(triggers, "LOG_SETTLES", 2.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(events(trigger()))
    assert 1.0 < pauses[-1] <= 2.0


def test_error_of_the_core_is_the_event(waiter: Waiter) -> None:
    waiter.events = [JobStartupError("cannot start", hint="look")]
    (event,) = asyncio.run(events(trigger()))
    assert event["error"] == {
        "class": "JobStartupError",
        "message": "cannot start",
        "seen": [],
        "hint": "look",
        "facts": {},
    }


def test_fault_of_the_trigger_is_an_event_too_so_that_the_task_sees_to_its_job(waiter: Waiter) -> None:
    waiter.events = [ValueError("nobody expected this")]
    (event,) = asyncio.run(events(trigger()))
    assert event["error"]["class"] == "InternalError"
    assert event["error"]["message"] == "The trigger failed: ValueError"
    assert event["error"]["seen"][0].startswith("at test_triggers.py:")


def test_connection_that_cannot_be_read_is_the_event(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_connection, "READ_WITHIN", 0.0)
    (event,) = asyncio.run(events(UniqueK8sJobTrigger(job=JOB, connection={"kubernetes_conn_id": "no_such"})))
    assert event["kind"] == "error"
    assert "no_such" in event["error"]["message"]


def test_deadline_ends_the_wait_stores_the_place_in_the_log_and_deletes_the_job(waiter: Waiter) -> None:
    """The trigger deletes: a worker may take the task up much later, and Airflow 2 fails it without calling the operator."""
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY)))
    assert event["kind"] == "deadline"
    assert waiter.calls == ["look our-uid", "store_positions", "delete", "close", "close"]


def test_deletion_at_the_deadline_that_fails_is_left_to_the_task(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def delete(_: float) -> str:
        raise ApiUnreachableError("the API server is away")

    monkeypatch.setattr(waiter, "delete", delete)
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY)))
    assert event["kind"] == "deadline"


@pytest.mark.parametrize(
    ("level", "confirm_for", "end", "expected"),
    [
        (
            "info",
            20.0,
            "It is gone",
            ["info: why. It is being deleted", "info: 10 s of up to 30 s", "info: It is gone"],
        ),
        (
            "warning",
            5.0,
            DeletionUnconfirmedError("its Pods have not ended"),
            ["warning: why. It is being deleted", "info: 10 s of up to 30 s"],
        ),
        (
            "info",
            20.0,
            DeletionUnconfirmedError("its Pods have not ended"),
            ["info: why. It is being deleted", "info: 10 s of up to 30 s", "warning: its Pods have not ended"],
        ),
        ("info", 20.0, None, ["info: why. It is gone"]),
        ("warning", 5.0, None, ["warning: why. It is gone"]),
        (
            "info",
            20.0,
            ApiUnreachableError("away"),
            [
                "info: why. It is being deleted",
                "info: 10 s of up to 30 s",
                "warning: The deletion of its Job failed, and the Job may still run: away",
            ],
        ),
    ],
)
def test_what_the_core_says_of_a_deletion_is_passed_on_as_it_is_said(
    waiter: Waiter,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    confirm_for: float,
    end: str | Exception | None,
    expected: list[str],
) -> None:
    said: list[str] = []

    async def delete(_: float) -> str:
        for text in ("It is being deleted", "10 s of up to 30 s") if end else ():
            waiter.told.append({"text": text, "level": "info"})
            while waiter.told:
                await asyncio.sleep(0.01)
        if isinstance(end, Exception):
            raise end
        return "It is gone"

    monkeypatch.setattr(waiter, "delete", delete)
    monkeypatch.setattr(triggers, "PASS_ON_EVERY", 0.01)
    monkeypatch.setattr(LogWriter, "message", lambda _, text, level="info": said.append(f"{level}: {text}"))
    asyncio.run(trigger()._delete("why", level, confirm_for))
    assert said == expected
    assert waiter.calls == ["close"]


def test_deletion_at_the_deadline_goes_on_where_airflow_cancels_the_trigger_meanwhile(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def delete(_: float) -> str:
        begun.set()
        await release.wait()
        waiter.calls.append("deleted")
        return "It is gone"

    async def main() -> None:
        task = asyncio.create_task(events(trigger(deadline=YESTERDAY)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        while triggerer._at_work:
            await asyncio.sleep(0)

    answered(monkeypatch, Answer("running", "our-uid"))
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: False)
    monkeypatch.setattr(waiter, "delete", delete)
    asyncio.run(main())
    assert "deleted" in waiter.calls


def test_job_that_ended_while_no_triggerer_lived_has_its_outcome_and_no_timeout(waiter: Waiter) -> None:
    waiter.events = [OUTCOME]
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY)))
    assert event["kind"] == "outcome"


def test_job_that_has_finished_when_its_time_is_over_has_the_rest_of_its_log_and_its_outcome(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of it comes only after the time is over, as after an outage of the triggerer."""
    seen = asyncio.Event()

    async def tell(timeout: float) -> list[dict[str, Any]]:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(seen.wait(), timeout)
        return [OUTCOME] if seen.is_set() else []

    async def main() -> dict[str, Any]:
        async def look(_: object, target: dict[str, Any]) -> list[dict[str, Any]]:
            seen.set()
            return [{"outcome": OUTCOME}]

        monkeypatch.setattr(native.loaded(), "find_jobs_async", look)
        (event,) = await events(trigger(deadline=YESTERDAY))
        return event

    monkeypatch.setattr(waiter, "next", tell)
    assert asyncio.run(main())["kind"] == "outcome"
    assert waiter.calls == ["close"]


def test_rest_of_the_log_of_a_finished_job_is_not_waited_for_without_end(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiter.looks = [[{"outcome": OUTCOME}]]
    monkeypatch.setattr(triggers, "LAST_LINES", 0.01)
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY)))
    assert event["kind"] == "deadline"


@pytest.mark.parametrize("seen", [[], [{"outcome": None}], OSError("the API server is away")])
def test_job_that_is_not_seen_to_have_finished_when_its_time_is_over_has_a_timeout(waiter: Waiter, seen: Any) -> None:
    waiter.looks = [seen]
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY)))
    assert event["kind"] == "deadline"


def test_timeout_of_something_else_is_an_error_and_not_the_deadline(waiter: Waiter) -> None:
    waiter.events = [TimeoutError("ETIMEDOUT")]
    (event,) = asyncio.run(events(trigger(deadline=TOMORROW)))
    assert event["kind"] == "error"
    assert "TimeoutError" in event["error"]["message"]


def test_failure_to_read_the_connection_is_got_over(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Exception] = [TimeoutError("ETIMEDOUT"), RuntimeError("the API is away")]

    async def aget_conn(_: UniqueK8sJobHook) -> object:
        if failures:
            raise failures.pop(0)
        return object()

    waiter.events = [OUTCOME]
    monkeypatch.setattr(UniqueK8sJobHook, "aget_conn", aget_conn)
    monkeypatch.setattr(trigger_connection, "PAUSE", 0.0)
    (event,) = asyncio.run(events(trigger(deadline=TOMORROW)))
    assert event["kind"] == "outcome"


@pytest.mark.parametrize("text", [None, "", "not a time"])
def test_deadline_that_is_none_never_comes(text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    assert seconds_until(text) is None
    assert bool(caplog.messages) is (text == "not a time"), "what cannot be read is said"


def cancelled(of: UniqueK8sJobTrigger, waiter: Waiter, *, user_action: bool) -> None:
    """As Airflow does it: cancel `run`, and from 3.3 on call `on_kill` after a user's action."""

    async def main() -> None:
        waiter.waits = asyncio.Event()
        task = asyncio.create_task(events(of))
        await waiter.waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if user_action and behaviour.airflow_calls_on_kill():
            await of.on_kill()
        await of.cleanup()

    asyncio.run(main())


@pytest.mark.parametrize("calls_on_kill", [True, False])
def test_user_stop_deletes_the_job_on_every_airflow(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, calls_on_kill: bool
) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: calls_on_kill)
    answered(monkeypatch, Answer("failed", "our-uid"))
    cancelled(trigger(), waiter, user_action=True)
    assert waiter.calls == ["store_positions", "close", "delete", "close"]


def test_job_that_outlives_a_stop_is_left_after_a_stop_and_at_the_deadline(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, Answer("failed", "our-uid"))
    kwargs = trigger(on_stop="leave").serialize()[1]
    assert kwargs["on_stop"] == "leave" and "on_stop" not in trigger().serialize()[1]
    cancelled(UniqueK8sJobTrigger(**kwargs), waiter, user_action=True)
    (event,) = asyncio.run(events(trigger(deadline=YESTERDAY, on_stop="leave")))
    assert event["kind"] == "deadline" and "delete" not in waiter.calls


@pytest.mark.parametrize("calls_on_kill", [True, False])
def test_reassignment_and_shutdown_leave_the_job_and_store_the_place(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, calls_on_kill: bool
) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: calls_on_kill)
    answered(monkeypatch, Answer("deferred", "our-uid"))
    cancelled(trigger(), waiter, user_action=True)
    assert waiter.calls == ["store_positions", "close"]


@pytest.mark.parametrize("answer", [Answer("queued", "our-uid"), None])
def test_job_whose_fate_cannot_be_told_is_left_and_that_is_said(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, answer: Answer | None
) -> None:
    said: list[str] = []
    monkeypatch.setattr(triggers.LogWriter, "message", lambda _, text, level: said.append(f"{level}: {text}"))
    monkeypatch.setattr(stop_in_trigger, "PAUSE", 0.0)
    monkeypatch.setattr(stop_in_trigger, "ARRIVES_WITHIN", 0.0)
    answered(monkeypatch, answer)
    cancelled(trigger(), waiter, user_action=True)
    assert waiter.calls == ["store_positions", "close"]
    assert said[0].startswith("warning: ")
    assert "it is not known whether the task goes on" in said[0]


def test_shutdown_of_a_triggerer_of_today_asks_nobody(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)

    async def ask(*_: Any) -> None:
        raise AssertionError("nobody answers any more")

    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    cancelled(trigger(), waiter, user_action=False)
    assert waiter.calls == ["store_positions", "close"]


@pytest.mark.parametrize("calls_on_kill", [True, False])
def test_end_of_the_triggerer_stores_the_place_asks_nobody_and_leaves_the_job(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, calls_on_kill: bool
) -> None:
    """Whatever the version: nobody answers any more, and the user's stop may be the last thing that Airflow told."""

    async def ask(*_: Any) -> None:
        raise AssertionError("nobody answers any more")

    said: list[str] = []
    monkeypatch.setattr(triggers.LogWriter, "message", lambda _, text, level: said.append(f"{level}: {text}"))
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: calls_on_kill)
    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    monkeypatch.setattr(triggerer, "ends", lambda *_: waiter.waits.is_set())
    cancelled(trigger(), waiter, user_action=True)
    assert waiter.calls == ["store_positions", "close"]
    (told,) = said
    assert told.startswith("info: The triggerer ends, and the next one goes on.")
    assert told.endswith("Its Job is left as it is")


def test_place_in_the_log_that_cannot_be_stored_is_said(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def store_positions() -> None:
        raise RuntimeError("refused")

    monkeypatch.setattr(waiter, "store_positions", store_positions)
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)
    cancelled(trigger(), waiter, user_action=False)
    assert [message for message in caplog.messages if message.endswith("RuntimeError")]


def test_cancellation_keeps_the_word_by_which_airflow_knows_a_users_stop(waiter: Waiter) -> None:
    """What is done on the way out must not replace it: without the word, `on_kill` is not called."""
    words: list[tuple[Any, ...]] = []

    async def followed() -> None:
        try:
            await events(trigger(deadline=TOMORROW))
        except asyncio.CancelledError as cancelled:
            words.append(cancelled.args)

    async def main() -> None:
        waiter.waits = asyncio.Event()
        task = asyncio.create_task(followed())
        await waiter.waits.wait()
        task.cancel("by the user")
        await task

    asyncio.run(main())
    assert words == [("by the user",)]


@pytest.mark.usefixtures("in_a_triggerer")
def test_trigger_that_is_cancelled_while_it_holds_its_event_stores_the_place_in_the_log(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event has told the outcome, so the next trigger follows the Job once more."""
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)
    monkeypatch.setattr(triggers, "HOLD_EVENT", 60.0)
    waiter.events = [OUTCOME]

    async def main() -> None:
        task = asyncio.create_task(events(trigger()))
        while "close" not in waiter.calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert waiter.calls == ["close", "store_positions"]


def test_end_of_the_loop_which_cancels_every_task_at_once_stores_the_place_in_the_log(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)

    async def main() -> asyncio.Task[Any]:
        waiter.waits = asyncio.Event()
        task = asyncio.create_task(events(trigger()))
        await waiter.waits.wait()
        return task

    assert asyncio.run(main()).cancelled()
    assert waiter.calls == ["store_positions", "close"]


def test_place_in_the_log_is_not_stored_where_the_process_that_writes_the_log_was_killed(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([4711])
    monkeypatch.setattr(triggers.os, "getppid", lambda: next(parents, 1))
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)
    cancelled(trigger(), waiter, user_action=False)
    assert waiter.calls == ["close"]


def test_kill_after_the_event_touches_nothing(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, Answer("failed", "our-uid"))
    waiter.events = [OUTCOME]
    of = trigger()

    async def main() -> None:
        run: AsyncIterator[Any] = of.run()
        await run.__anext__()
        await of.on_kill()

    asyncio.run(main())
    assert waiter.calls == ["close"]


@pytest.mark.parametrize("held", [60.0, 0.05])
def test_older_airflow_cancels_again_each_second_and_the_delete_goes_on(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, held: float
) -> None:
    """As long as the trigger holds on, what becomes of the Job is said in the task's log; the delete goes on in any case."""
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: False)
    monkeypatch.setattr(triggers, "HELD", held)
    answer = asyncio.Event()

    async def main() -> None:
        asked = asyncio.Event()

        async def ask(*_: Any) -> Answer:
            asked.set()
            await answer.wait()
            return Answer("failed", "our-uid")

        monkeypatch.setattr(stop_in_trigger, "ask", ask)
        waiter.waits = asyncio.Event()
        task = asyncio.create_task(events(trigger()))
        await waiter.waits.wait()
        task.cancel("by the user")
        await asked.wait()
        for _ in range(3):
            task.cancel("again")
            await asyncio.sleep(0)
        if held > 1:
            assert not task.done(), "its log is still open"
            answer.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ("delete" in waiter.calls) is (held > 1)
        answer.set()
        while triggerer._at_work:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert "delete" in waiter.calls
