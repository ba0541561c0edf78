"""What becomes of a deferred task's Job when its trigger is cancelled: the whole table, and what Airflow is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job.task import stop_in_trigger
from unique_k8s_job.task.compat import behaviour, task_state
from unique_k8s_job.task.compat.task_state import Answer, answer_in_triggerer, state_of
from unique_k8s_job.task.stop_in_trigger import Decision, action_of, decide
from unique_k8s_job.task.stop_in_worker import JobAction
from unique_k8s_job.task.triggerer import off_the_loop


@pytest.mark.parametrize(
    ("circumstance", "event_sent", "answer", "expected"),
    [
        ("marked failed", False, Answer("failed", "our-uid"), JobAction.DELETE),
        ("marked success", False, Answer("success", "our-uid"), JobAction.DELETE),
        ("skipped", False, Answer("skipped", "our-uid"), JobAction.DELETE),
        ("its row was deleted", False, Answer(None, None), JobAction.DELETE),
        ("cleared, next try not yet scheduled", False, Answer(None, "our-uid"), JobAction.DELETE),
        ("cleared, or another trigger's event was faster", False, Answer("scheduled", "our-uid"), None),
        ("cleared, or another trigger's event was faster", False, Answer("queued", "our-uid"), None),
        ("cleared again, the try that was cleared had a Job", False, Answer("queued", "its-uid"), JobAction.DELETE),
        ("cleared, and somebody deleted the XCom", False, Answer("scheduled", None), JobAction.DELETE),
        ("cleared, next try runs and has no Job yet", False, Answer("running", None), JobAction.DELETE),
        ("cleared, next try runs its Job", False, Answer("running", "its-uid"), JobAction.DELETE),
        ("cleared, next try has deferred already", False, Answer("deferred", "its-uid"), JobAction.DELETE),
        ("another triggerer took the trigger over", False, Answer("deferred", "our-uid"), JobAction.LEAVE),
        ("the triggerer shuts down", False, Answer("deferred", "our-uid"), JobAction.LEAVE),
        ("deferred, and somebody deleted the XCom", False, Answer("deferred", None), JobAction.LEAVE),
        ("the event of another triggerer was faster", False, Answer("running", "our-uid"), JobAction.LEAVE),
        ("the event is sent, and the task may judge", True, Answer("queued", "our-uid"), JobAction.LEAVE),
        ("the event is sent, and the user was faster", True, Answer("failed", "our-uid"), JobAction.LEAVE),
        ("no answer", False, None, None),
        ("the event is sent, and there is no answer", True, None, JobAction.LEAVE),
    ],
)
def test_fate_of_the_job_of_a_cancelled_trigger_is_this_table(
    circumstance: str, event_sent: bool, answer: Answer | None, expected: JobAction | None
) -> None:
    assert action_of(event_sent=event_sent, answer=answer, job_uid="our-uid") is expected, circumstance


def decided(monkeypatch: pytest.MonkeyPatch, *answers: Answer | None) -> tuple[Decision, float]:
    """Decide where Airflow gives these answers, the last one for ever; return the decision and the seconds it took."""
    left, now = list(answers), [0.0]

    async def ask(_: Any, within: float) -> Answer | None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        now[0] += within if answer is None else 0.0
        return answer

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    monkeypatch.setattr(stop_in_trigger.asyncio, "sleep", sleep)
    monkeypatch.setattr(stop_in_trigger.time, "monotonic", lambda: now[0])
    return asyncio.run(decide(object(), event_sent=False, job_uid="our-uid")), now[0]


@pytest.mark.parametrize(
    ("circumstance", "then", "expected"),
    [
        ("another trigger's event was faster", Answer("running", "our-uid"), JobAction.LEAVE),
        ("cleared, the next try has no Job yet", Answer("running", None), JobAction.DELETE),
        ("cleared, the next try has its Job", Answer("running", "its-uid"), JobAction.DELETE),
        ("cleared, and marked failed", Answer("failed", "our-uid"), JobAction.DELETE),
    ],
)
def test_task_on_its_way_is_asked_about_until_it_has_arrived(
    monkeypatch: pytest.MonkeyPatch, circumstance: str, then: Answer, expected: JobAction
) -> None:
    on_its_way = [Answer("scheduled", "our-uid"), Answer("queued", "our-uid"), Answer("queued", "our-uid")]
    assert decided(monkeypatch, *on_its_way, then) == (Decision(expected, then, known=True), 3.0), circumstance


def test_job_of_a_task_that_does_not_arrive_is_left_and_that_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    queued = Answer("queued", "our-uid")
    assert decided(monkeypatch, queued) == (Decision(JobAction.LEAVE, queued, known=False), 20.0)


def test_airflow_that_does_not_answer_is_asked_again_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Answer("failed", "our-uid")
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)
    decision, seconds = decided(monkeypatch, *[None] * 100, failed)
    assert decision == Decision(JobAction.DELETE, failed, known=True)
    assert 90 * 300 < seconds < 100 * (300 + 30)


def test_end_of_a_triggerer_that_waits_for_the_answer_waits_minutes_and_then_leaves_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: False)
    decision, seconds = decided(monkeypatch, None)
    assert decision == Decision(JobAction.LEAVE, None, known=False)
    assert 600 <= seconds < 600 + 300


def test_end_of_a_triggerer_does_not_wait_longer_where_many_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: False)
    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    monkeypatch.setattr(stop_in_trigger, "ASK_FOR", 0.01)
    decision = asyncio.run(decide(object(), event_sent=False, job_uid="our-uid"))
    assert decision == Decision(JobAction.LEAVE, None, known=False)


def test_triggerer_that_ends_asks_nobody_and_leaves_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: Any) -> None:
        raise AssertionError("nobody answers any more")

    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    monkeypatch.setattr(stop_in_trigger.triggerer, "ends", lambda: True)
    decision = asyncio.run(decide(object(), event_sent=False, job_uid="our-uid"))
    assert decision == Decision(JobAction.LEAVE, None, known=True, ending=True)


@pytest.mark.parametrize("calls_on_kill", [True, False])
def test_triggerer_that_ends_while_airflow_is_silent_asks_no_more(
    monkeypatch: pytest.MonkeyPatch, calls_on_kill: bool
) -> None:
    ends = iter([False, False])
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: calls_on_kill)
    monkeypatch.setattr(stop_in_trigger.triggerer, "ends", lambda: next(ends, True))
    decision, seconds = decided(monkeypatch, None)
    assert decision.ending
    assert seconds < 70, "two questions of 20 and 40 s"


def test_job_of_which_airflow_says_nothing_yet_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(behaviour, "airflow_calls_on_kill", lambda: True)
    decided(monkeypatch, None, None, Answer("failed", "our-uid"))
    (said,) = caplog.messages
    assert "our-uid" in said


def test_end_of_the_process_says_which_job_is_left_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(*_: Any) -> None:
        return None

    async def process() -> None:
        deciding = asyncio.create_task(decide(object(), event_sent=False, job_uid="our-uid"))
        await asyncio.sleep(0)
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding

    monkeypatch.setattr(stop_in_trigger, "ask", ask)
    asyncio.run(process())
    (said,) = caplog.messages
    assert "our-uid" in said and "may still run" in said


def test_mass_of_questions_is_asked_few_at_once_and_the_time_of_each_begins_with_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All together they take several times as long as one may."""
    under_way, most = 0, 0

    async def slow(*_: Any) -> Answer:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return Answer("failed", "our-uid")

    async def all_of_them() -> list[Answer | None]:
        return await asyncio.gather(*[stop_in_trigger.ask(object(), 0.1) for _ in range(100)])

    monkeypatch.setattr(stop_in_trigger, "off_the_loop", slow)
    assert asyncio.run(all_of_them()) == [Answer("failed", "our-uid")] * 100
    assert most == 4


def test_mass_of_questions_that_find_no_answer_leaves_the_turns_to_those_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(*_: Any) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    async def at_once(*_: Any) -> Answer:
        return Answer("failed", None)

    async def all_of_them() -> list[Answer | None]:
        answers = await asyncio.gather(*[stop_in_trigger.ask(object(), 0.02) for _ in range(20)])
        monkeypatch.setattr(stop_in_trigger, "off_the_loop", at_once)
        return [*answers, await stop_in_trigger.ask(object())]

    monkeypatch.setattr(stop_in_trigger, "off_the_loop", silent)
    assert asyncio.run(all_of_them()) == [*[None] * 20, Answer("failed", None)]


def test_trigger_without_a_task_instance_has_no_answer() -> None:
    assert asyncio.run(stop_in_trigger.ask(None)) is None


def test_answer_that_fails_or_takes_too_long_is_none_and_that_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    ti: Any = SimpleNamespace(dag_id="etl", run_id="r", task_id="train", map_index=-1)

    def silent(*_: Any) -> Answer:
        release.wait(30)
        return Answer("failed", None)

    def broken(*_: Any) -> Answer:
        raise RuntimeError("the database is away")

    async def ask(within: float) -> Answer | None:
        answer = await stop_in_trigger.ask(ti, within)
        release.set()
        return answer

    monkeypatch.setattr(stop_in_trigger, "answer_in_triggerer", broken)
    assert asyncio.run(ask(30)) is None
    release.clear()
    monkeypatch.setattr(stop_in_trigger, "answer_in_triggerer", silent)
    assert asyncio.run(ask(0.05)) is None
    failed, late = caplog.messages
    assert "etl/r/train/-1" in failed and failed.endswith("RuntimeError")
    assert "etl/r/train/-1" in late and "has not said within" in late


def test_airflow_2_gives_an_xcom_whose_value_is_read_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for its database; what it has is copied from 2.11, where a second reading of the value fails."""

    class XCom:
        value = "our-uid"

        @classmethod
        def get_many(cls, **_: Any) -> Any:
            return SimpleNamespace(first=cls)

        @staticmethod
        def deserialize_value(result: Any) -> Any:
            return json.loads(result.value.decode("UTF-8"))

    class TaskInstance:
        """The columns; what they are compared with is not looked at."""

        dag_id = run_id = task_id = map_index = state = SimpleNamespace(in_=lambda _: True)

    rows = [("r", "train", -1, "failed"), ("r", "train", 3, "deferred")]
    session = SimpleNamespace(query=lambda *_: SimpleNamespace(filter=lambda *_: rows))
    for name, content in {
        "airflow.models.taskinstance": {"TaskInstance": TaskInstance},
        "airflow.models.xcom": {"XCom": XCom},
        "airflow.utils.session": {"create_session": lambda: contextlib.nullcontext(session)},
    }.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))  # type: ignore[arg-type]
    monkeypatch.setattr(task_state, "airflow_version", lambda: (2, 11))
    for map_index, state in [(-1, "failed"), (3, "deferred")]:
        ti = SimpleNamespace(dag_id="etl", run_id="r", task_id="train", map_index=map_index)
        assert answer_in_triggerer(ti, "job_uid") == Answer(state, "our-uid")


@pytest.mark.parametrize(
    ("map_index", "states", "expected"),
    [
        (-1, {"r": {"train": "deferred"}}, "deferred"),
        (None, {"r": {"train": "deferred"}}, "deferred"),
        (3, {"r": {"train_3": "failed", "train_4": "deferred"}}, "failed"),
        (-1, {"other": {"train": "failed"}}, None),
        (-1, {}, None),
    ],
)
def test_state_of_a_task_instance_is_found_in_what_airflow_answers(
    map_index: int | None, states: dict[str, dict[str, str]], expected: str | None
) -> None:
    assert state_of(SimpleNamespace(run_id="r", task_id="train", map_index=map_index), states) == expected


def test_slow_question_to_airflow_holds_up_nobody_elses() -> None:
    release = threading.Event()

    async def both() -> bool:
        slow = asyncio.create_task(off_the_loop(release.wait, 10.0))
        await off_the_loop(release.set)
        return await slow

    assert asyncio.run(both()), "the second had to wait for the first"
