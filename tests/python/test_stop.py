"""What becomes of a Job when its task ends first: the whole table."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from unique_k8s_job import stop
from unique_k8s_job.stop import Answer, Cause, Fate, fate

RUNNING = Answer("running", "our-uid")


@pytest.mark.parametrize(
    ("circumstance", "cause", "answer", "another_try", "on_process_end", "expected"),
    [
        ("a timeout deletes, whatever else", Cause.TIMEOUT, RUNNING, True, "leave", Fate.DELETE),
        ("a newer owner is never touched", Cause.TAKEN_OVER, None, False, "delete", Fate.UNTOUCHED),
        ("marked failed by a user", Cause.KILLED, Answer("failed", "our-uid"), True, None, Fate.DELETE),
        ("marked success by a user", Cause.KILLED, Answer("success", "our-uid"), True, None, Fate.DELETE),
        ("cleared by a user", Cause.KILLED, Answer("restarting", "our-uid"), True, None, Fate.DELETE),
        ("cleared, next try not yet queued", Cause.KILLED, Answer(None, None), True, None, Fate.DELETE),
        ("cleared, next try runs already", Cause.KILLED, Answer("running", "its-uid"), True, None, Fate.DELETE),
        ("cleared, next try has no Job yet", Cause.KILLED, Answer("running", None), True, None, Fate.DELETE),
        ("a user's stop outweighs the option", Cause.KILLED, Answer("failed", "our-uid"), True, "leave", Fate.DELETE),
        ("the process ends, a try is left", Cause.KILLED, RUNNING, True, None, Fate.LEAVE),
        ("the process ends, no try is left", Cause.KILLED, RUNNING, False, None, Fate.DELETE),
        ("the process ends, delete chosen", Cause.KILLED, RUNNING, True, "delete", Fate.DELETE),
        ("the process ends, leave chosen", Cause.KILLED, RUNNING, False, "leave", Fate.LEAVE),
        ("no answer, a try is left", Cause.KILLED, None, True, None, Fate.LEAVE),
        ("no answer, no try is left", Cause.KILLED, None, False, None, Fate.DELETE),
        ("an error of ours, a try is left", Cause.ERROR, None, True, None, Fate.LEAVE),
        ("an error of ours, no try is left", Cause.ERROR, None, False, None, Fate.DELETE),
    ],
)
def test_fate_of_the_job_is_this_table(
    circumstance: str,
    cause: Cause,
    answer: Answer | None,
    another_try: bool,
    on_process_end: str | None,
    expected: Fate,
) -> None:
    decided = fate(cause, answer=answer, job_uid="our-uid", another_try=another_try, on_process_end=on_process_end)
    assert decided is expected, circumstance


def test_process_that_is_stopped_before_it_knows_its_job_deletes_whatever_it_may_have_made() -> None:
    answer = Answer("running", None)
    assert fate(Cause.KILLED, answer=answer, job_uid=None, another_try=True, on_process_end=None) is Fate.DELETE


def test_answer_that_takes_too_long_or_fails_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "ANSWER_WITHIN", 0.05)
    asked, release = threading.Event(), threading.Event()

    class Silent:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", -1

        def get_task_states(self, **_: Any) -> None:
            asked.set()
            release.wait()
            raise RuntimeError("too late")

    assert stop.ask({"ti": Silent()}) is None
    assert asked.is_set()
    release.set()


def test_answer_is_the_state_and_the_uid_of_the_newest_try() -> None:
    class Task:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", 3

        def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
            return {"r": {"train_3": "running"}}

        def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int | None) -> str:
            assert (task_ids, key, map_indexes) == ("train", "job_uid", 3)
            return "its-uid"

    assert stop.ask({"ti": Task()}) == Answer("running", "its-uid")


@pytest.mark.parametrize(
    ("state", "expected"),
    [("running", False), (None, False), ("queued", False), ("failed", True), ("success", True), ("restarting", True)],
)
def test_task_that_is_about_to_defer_is_stopped_only_by_what_a_user_does(state: str | None, expected: bool) -> None:
    class Task:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", -1

        def get_task_states(self, **_: Any) -> dict[str, dict[str, str | None]]:
            return {"r": {"train": state}}

    assert stop.stopped({"ti": Task()}) is expected
