"""Decides what is done with the Job when a worker's task ends before the Job does. The decision is a pure table.

A user's stop and a timeout delete the Job. A worker's own end leaves it for the next try, if there is one. Airflow's
signal does not say which of the two it is, so the task asks Airflow for its own state: if the task still runs, with our
Job in its XCom, only its process is ending.
"""

from __future__ import annotations

import contextvars
import enum
import logging
import shlex
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from unique_k8s_job.described import failure
from unique_k8s_job.exceptions import (
    AirflowUnreachableError,
    ApiRefusedError,
    ApiUnreachableError,
    JobStartupError,
    TakenOverError,
)
from unique_k8s_job.task.compat import Context
from unique_k8s_job.task.compat.task_state import Answer, answer_in_worker, state_in_worker

#: Airflow 3 kills a task process 5 s after the signal: the answer has to leave room for the DELETE.
ANSWER_WITHIN = 1.5
RUNNING = "running"
_log = logging.getLogger("unique_k8s_job.stop")
#: States of a task instance for which no other try comes, unless somebody clears it.
ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed"})
_STOPPED = ENDED | {"restarting"}
_PROVES_NOTHING = (ApiRefusedError, ApiUnreachableError, AirflowUnreachableError)


class Cause(enum.Enum):
    """Why execute() ends without an outcome."""

    #: `execution_timeout`, Ctrl-C, or a limit of ours.
    TIMEOUT = enum.auto()
    #: A signal from Airflow: a user's stop, or the end of the process.
    KILLED = enum.auto()
    TAKEN_OVER = enum.auto()
    LOST = enum.auto()
    ERROR = enum.auto()


class JobAction(enum.Enum):
    """The action on the Job of a task that stops; the value says what became of the Job."""

    DELETE = "deleted"
    LEAVE = "left as it is"
    UNTOUCHED = "not ours any more"


class Asked(NamedTuple):
    """The result of a question to Airflow."""

    answer: Answer | None
    #: Why there is no answer.
    why_not: str = ""

    def __str__(self) -> str:
        if self.answer:
            return f"Airflow says that the task is {self.answer.state}"
        return f"Airflow gave no answer: {self.why_not}"


def action_of(
    cause: Cause,
    *,
    answer: Answer | None,
    job_uid: str | None,
    another_try: bool,
    on_process_end: str | None,
    on_stop: JobAction = JobAction.DELETE,
) -> JobAction:
    """Decide what is done with the Job.

    :param answer: Airflow's answer about the task, None if it did not answer in time
    :param job_uid: the uid of our Job, None if none is known yet
    :param another_try: whether Airflow will try again if this process ends now
    :param on_process_end: `leave` or `delete` if the user chose one, else None
    :param on_stop: what the user wants for a stop, and for the end of the task's time
    """
    if cause is Cause.TAKEN_OVER:
        return JobAction.UNTOUCHED
    if cause is Cause.LOST:
        return JobAction.LEAVE
    if cause is Cause.TIMEOUT:
        return on_stop
    if cause is Cause.KILLED and answer is not None:
        # While no Job of ours is known, a newer try without a Job looks the same. A Job of ours, if there is one, has
        # just begun then.
        ending = answer.state == RUNNING and job_uid is not None and answer.job_uid == job_uid
        if not ending:
            return on_stop
    if on_process_end is not None:
        return JobAction.DELETE if on_process_end == "delete" else JobAction.LEAVE
    return JobAction.LEAVE if another_try else JobAction.DELETE


def cause_of(error: BaseException, *, killed: bool, made: bool = False) -> Cause:
    """Find out why execute() ends, from its error and from whether `on_kill` was called.

    :param made: whether the Job was seen
    """
    if isinstance(error, TakenOverError):
        return Cause.TAKEN_OVER
    # Airflow 2 raises AirflowTaskTerminated for a signal. The name is compared, because the classes moved between
    # versions.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, (KeyboardInterrupt, JobStartupError)) or "AirflowTaskTimeout" in kinds:
        return Cause.TIMEOUT
    if killed or "AirflowTaskTerminated" in kinds:
        return Cause.KILLED
    # What stands between us and the API server may say no in its place: a Job at work is not to end by that.
    return Cause.LOST if made and isinstance(error, _PROVES_NOTHING) else Cause.ERROR


def reason(cause: Cause, error: BaseException, asked: Asked | None, limit: float | None) -> str:
    """Return a sentence that names what ended the try. Pure.

    :param asked: what Airflow answered, if it was asked
    :param limit: the seconds of `execution_timeout`, if the task has one
    """
    if cause is Cause.TIMEOUT:
        return _of_a_limit(error, limit)
    if cause is Cause.KILLED:
        return _of_a_signal(asked)
    return {
        Cause.TAKEN_OVER: "Another try owns the Job now",
        Cause.LOST: "The Job cannot be followed any more, which proves nothing about its work",
        Cause.ERROR: "This try ends with an error before its Job has ended",
    }[cause]


def _of_a_limit(error: BaseException, limit: float | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted (Ctrl-C)"
    if isinstance(error, JobStartupError):
        return "The Job has not started"
    return "execution_timeout is over" if limit is None else f"execution_timeout of {limit:g} s is over"


def _of_a_signal(asked: Asked | None) -> str:
    if asked is None or asked.answer is None:
        return f"The process of this task is being ended ({asked or 'Airflow was not asked'})"
    state = asked.answer.state
    if state == RUNNING:
        return "The process of this task is being ended, and no user has stopped the task"
    if state in ENDED:
        return f"Stopped by a user (the task is {state} now)"
    return "Stopped by a user (the task was cleared)"


def left(namespace: str, name: str, action: JobAction, *, another_try: bool) -> str:
    """Say of a Job that is not deleted what becomes of it."""
    if action is JobAction.UNTOUCHED:
        return f"Job `{namespace}/{name}` is not ours any more"
    goes_on = ": the next try goes on with it" if another_try else ", and may still run"
    return f"Job `{namespace}/{name}` is left as it is{goes_on}"


def lost(namespace: str, name: str, *, another_try: bool) -> str:
    """Say of a Job that is left because it cannot be followed any more what can be done."""
    left = f"Job `{namespace}/{name}` is left as it is, and may still run"
    if another_try:
        return f"{left}: the next try looks for it"
    job = f"-n {shlex.quote(namespace)} {{}} job {shlex.quote(name)}"
    return f"{left}: see `kubectl {job.format('describe')}`, and end it with `kubectl {job.format('delete')}`"


def another_try(context: Context) -> bool:
    """Return whether Airflow will try again if this try fails now."""
    ti: Any = context["ti"]
    max_tries = getattr(ti, "max_tries", None)
    return ti.try_number > 0 and max_tries is not None and ti.try_number <= max_tries


def stopped(context: Context) -> bool:
    """Whether a user has stopped the task, although its process may not have heard of it yet."""
    answer, why_not = _within(ANSWER_WITHIN, lambda: Answer(state_in_worker(context["ti"]), None))
    if answer is None:
        _log.warning("Airflow has not said whether the task was stopped: %s", why_not)
    # Not every state but "running" means a stop: `dag.test()` of Airflow 2 runs tasks that have no state.
    return answer is not None and answer.state in _STOPPED


def ask(context: Context) -> Asked:
    """Ask Airflow for the task's state and Job, for at most `ANSWER_WITHIN`.

    The question runs on a thread of its own, because the answer can take half a minute while Airflow's API is away.
    Nothing is logged here, because that can take as long.
    """
    return _within(ANSWER_WITHIN, lambda: answer_in_worker(context["ti"]))


def _within(seconds: float, question: Callable[[], Answer]) -> Asked:
    found: list[Asked] = []

    def put() -> None:
        try:
            found.append(Asked(question()))
        except Exception as error:  # noqa: BLE001  # no answer is an answer here, whatever the reason
            found.append(Asked(None, failure(error)))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(put,), daemon=True, name="ask-airflow")
    thread.start()
    thread.join(seconds)
    return found[0] if found else Asked(None, f"none within {seconds:.1f} s")
