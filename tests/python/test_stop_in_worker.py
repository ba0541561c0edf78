"""What becomes of a Job when its task ends first: the whole table."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from unique_k8s_job.exceptions import JobStartupError, StoppedError, TakenOverError
from unique_k8s_job.task import stop_in_worker
from unique_k8s_job.task.compat.task_state import Answer
from unique_k8s_job.task.stop_in_worker import Asked, Cause, JobAction, action_of

RUNNING = Answer("running", "our-uid")


@pytest.mark.parametrize(
    ("circumstance", "cause", "answer", "another_try", "on_process_end", "expected"),
    [
        ("a timeout deletes, whatever else", Cause.TIMEOUT, RUNNING, True, "leave", JobAction.DELETE),
        ("a newer owner is never touched", Cause.TAKEN_OVER, None, False, "delete", JobAction.UNTOUCHED),
        ("marked failed by a user", Cause.KILLED, Answer("failed", "our-uid"), True, None, JobAction.DELETE),
        ("marked success by a user", Cause.KILLED, Answer("success", "our-uid"), True, None, JobAction.DELETE),
        ("cleared by a user", Cause.KILLED, Answer("restarting", "our-uid"), True, None, JobAction.DELETE),
        ("cleared, next try not yet queued", Cause.KILLED, Answer(None, None), True, None, JobAction.DELETE),
        ("cleared, next try runs already", Cause.KILLED, Answer("running", "its-uid"), True, None, JobAction.DELETE),
        ("cleared, next try has no Job yet", Cause.KILLED, Answer("running", None), True, None, JobAction.DELETE),
        (
            "a user's stop outweighs the option",
            Cause.KILLED,
            Answer("failed", "our-uid"),
            True,
            "leave",
            JobAction.DELETE,
        ),
        ("the process ends, a try is left", Cause.KILLED, RUNNING, True, None, JobAction.LEAVE),
        ("the process ends, no try is left", Cause.KILLED, RUNNING, False, None, JobAction.DELETE),
        ("the process ends, delete chosen", Cause.KILLED, RUNNING, True, "delete", JobAction.DELETE),
        ("the process ends, leave chosen", Cause.KILLED, RUNNING, False, "leave", JobAction.LEAVE),
        ("no answer, a try is left", Cause.KILLED, None, True, None, JobAction.LEAVE),
        ("no answer, no try is left", Cause.KILLED, None, False, None, JobAction.DELETE),
        ("an error of ours, a try is left", Cause.ERROR, None, True, None, JobAction.LEAVE),
        ("an error of ours, no try is left", Cause.ERROR, None, False, None, JobAction.DELETE),
        ("the API server tells nothing of it any more", Cause.LOST, None, False, None, JobAction.LEAVE),
        ("the same, and the process is not what ends", Cause.LOST, None, False, "delete", JobAction.LEAVE),
    ],
)
def test_fate_of_the_job_is_this_table(
    circumstance: str,
    cause: Cause,
    answer: Answer | None,
    another_try: bool,
    on_process_end: str | None,
    expected: JobAction,
) -> None:
    decided = action_of(cause, answer=answer, job_uid="our-uid", another_try=another_try, on_process_end=on_process_end)
    assert decided is expected, circumstance


@pytest.mark.parametrize(
    ("cause", "answer", "expected"),
    [
        (Cause.TIMEOUT, None, JobAction.LEAVE),
        (Cause.KILLED, Answer("failed", "our-uid"), JobAction.LEAVE),
        (Cause.ERROR, None, JobAction.DELETE),
    ],
)
def test_job_that_outlives_a_stop_is_left_by_a_stop_alone(
    cause: Cause, answer: Answer | None, expected: JobAction
) -> None:
    decided = action_of(
        cause,
        answer=answer,
        job_uid="our-uid",
        another_try=False,
        on_process_end=None,
        on_stop=JobAction.LEAVE,
    )
    assert decided is expected


def test_job_that_is_lost_is_named_with_what_to_do() -> None:
    assert "`etl/train`" in stop_in_worker.lost("etl", "train", another_try=True)
    said = stop_in_worker.lost("etl", "train", another_try=False)
    assert "`kubectl -n etl describe job train`" in said and "`kubectl -n etl delete job train`" in said


@pytest.mark.parametrize(
    ("cause", "error", "asked", "limit", "expected"),
    [
        (Cause.TIMEOUT, TimeoutError(), None, 12.0, "execution_timeout of 12 s is over"),
        (Cause.TIMEOUT, TimeoutError(), None, None, "execution_timeout is over"),
        (Cause.TIMEOUT, KeyboardInterrupt(), None, 12.0, "Interrupted (Ctrl-C)"),
        (Cause.TIMEOUT, JobStartupError("no"), None, 12.0, "The Job has not started"),
        (
            Cause.KILLED,
            StoppedError("no"),
            Asked(Answer("failed", "u")),
            None,
            "Stopped by a user (the task is failed now)",
        ),
        (Cause.KILLED, StoppedError("no"), Asked(Answer(None, None)), None, "Stopped by a user (the task was cleared)"),
        (
            Cause.KILLED,
            StoppedError("no"),
            Asked(RUNNING),
            None,
            "The process of this task is being ended, and no user has stopped the task",
        ),
        (
            Cause.KILLED,
            StoppedError("no"),
            Asked(None, "none within 1.5 s"),
            None,
            "The process of this task is being ended (Airflow gave no answer: none within 1.5 s)",
        ),
        (Cause.TAKEN_OVER, TakenOverError("no"), None, None, "Another try owns the Job now"),
    ],
)
def test_what_ended_the_try_is_named(
    cause: Cause, error: BaseException, asked: Asked | None, limit: float | None, expected: str
) -> None:
    assert stop_in_worker.reason(cause, error, asked, limit) == expected


def test_process_that_is_stopped_before_it_knows_its_job_deletes_whatever_it_may_have_made() -> None:
    answer = Answer("running", None)
    assert (
        action_of(Cause.KILLED, answer=answer, job_uid=None, another_try=True, on_process_end=None) is JobAction.DELETE
    )


def test_answer_that_takes_too_long_is_none_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_in_worker, "ANSWER_WITHIN", 0.1)
    asked, release = threading.Event(), threading.Event()

    class Silent:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", -1

        def get_task_states(self, **_: Any) -> None:
            asked.set()
            release.wait()
            raise RuntimeError("too late")

    assert stop_in_worker.ask({"ti": Silent()}) == stop_in_worker.Asked(None, "none within 0.1 s")
    assert asked.is_set()
    release.set()


def test_question_that_fails_is_no_answer_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", -1

        def get_task_states(self, **_: Any) -> None:
            raise RuntimeError("the database is away")

    asked = stop_in_worker.ask({"ti": Broken()})
    assert asked.answer is None
    assert str(asked) == "Airflow gave no answer: RuntimeError"
    assert caplog.messages == [], "a word in the log may take longer than there is"
    assert not stop_in_worker.stopped({"ti": Broken()})
    assert caplog.messages[0].endswith("RuntimeError"), "its text may quote the address of the database"


def test_answer_is_the_state_and_the_uid_of_the_newest_try() -> None:
    class Task:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", 3

        def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
            return {"r": {"train_3": "running"}}

        def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int | None) -> str:
            assert (task_ids, key, map_indexes) == ("train", "job_uid", 3)
            return "its-uid"

    assert stop_in_worker.ask({"ti": Task()}) == stop_in_worker.Asked(Answer("running", "its-uid"))


@pytest.mark.parametrize(
    ("state", "expected"),
    [("running", False), (None, False), ("queued", False), ("failed", True), ("success", True), ("restarting", True)],
)
def test_task_that_is_about_to_defer_is_stopped_only_by_what_a_user_does(state: str | None, expected: bool) -> None:
    class Task:
        dag_id, run_id, task_id, map_index = "etl", "r", "train", -1

        def get_task_states(self, **_: Any) -> dict[str, dict[str, str | None]]:
            return {"r": {"train": state}}

    assert stop_in_worker.stopped({"ti": Task()}) is expected
