"""What becomes of the Job when its task ends before the Job does. The decision is a pure table.

A user's stop and a timeout delete the Job. A worker's own end leaves it for the next try, if there is one. Airflow's
signal does not say which of the two it is, so the task's state is asked for: a task that still runs, with our Job in its
XCom, belongs to a process that is ending.
"""

from __future__ import annotations

import contextvars
import enum
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from unique_k8s_job._compat import Context
from unique_k8s_job.exceptions import JobStartupError, TakenOverError

#: Airflow 3 kills a task process 5 s after the signal: the answer has to leave room for the DELETE.
ANSWER_WITHIN = 1.5
RUNNING = "running"
_STOPPED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "restarting"})


class Cause(enum.Enum):
    """Why execute() ends without an outcome."""

    TIMEOUT = "a timeout, Ctrl-C, or a limit of ours"
    KILLED = "a signal from Airflow: a user's stop or the end of the process"
    TAKEN_OVER = "another try owns the Job"
    ERROR = "an error"


class Fate(enum.Enum):
    """What becomes of the Job."""

    DELETE = "deleted"
    LEAVE = "left as it is"
    UNTOUCHED = "not ours any more"


class Answer(NamedTuple):
    """What Airflow says of this task instance."""

    state: str | None
    #: XCom `job_uid` of the task instance.
    job_uid: str | None


def fate(
    cause: Cause,
    *,
    answer: Answer | None,
    job_uid: str | None,
    another_try: bool,
    on_process_end: str | None,
) -> Fate:
    """Decide what becomes of the Job.

    :param answer: what Airflow says of the task, None if it did not answer in time
    :param job_uid: the uid of our Job, None if none is known yet
    :param another_try: whether Airflow will try again if this process ends now
    :param on_process_end: `leave` or `delete` where the user chose, else None
    """
    if cause is Cause.TAKEN_OVER:
        return Fate.UNTOUCHED
    if cause is Cause.TIMEOUT:
        return Fate.DELETE
    if cause is Cause.KILLED and answer is not None:
        # Without a Job of ours yet, a newer try that has none yet looks the same: then ours, if any, has just begun.
        ending = answer.state == RUNNING and job_uid is not None and answer.job_uid == job_uid
        if not ending:
            return Fate.DELETE
    if on_process_end is not None:
        return Fate.DELETE if on_process_end == "delete" else Fate.LEAVE
    return Fate.LEAVE if another_try else Fate.DELETE


def cause_of(error: BaseException, *, killed: bool) -> Cause:
    """Tell from the error that ends execute(), and from whether `on_kill` was called, why it ends."""
    if isinstance(error, TakenOverError):
        return Cause.TAKEN_OVER
    # AirflowTaskTerminated: what Airflow 2 raises for a signal. By name, since the classes moved between versions.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, (KeyboardInterrupt, JobStartupError)) or "AirflowTaskTimeout" in kinds:
        return Cause.TIMEOUT
    if killed or "AirflowTaskTerminated" in kinds:
        return Cause.KILLED
    return Cause.ERROR


def another_try(context: Context) -> bool:
    """Return whether Airflow will try again if this try fails now."""
    ti: Any = context["ti"]
    max_tries = getattr(ti, "max_tries", None)
    return ti.try_number > 0 and max_tries is not None and ti.try_number <= max_tries


def stopped(context: Context) -> bool:
    """Whether a user has stopped the task, although its process may not have heard of it yet."""
    answer = _within(ANSWER_WITHIN, lambda: Answer(_state(context), None))
    # Not all that is not running: `dag.test()` of Airflow 2 runs tasks that have no state.
    return answer is not None and answer.state in _STOPPED


def ask(context: Context) -> Answer | None:
    """Ask Airflow for the task's state and Job; None if it does not answer within `ANSWER_WITHIN`.

    On a thread of its own, because the answer can take half a minute while Airflow's API is away.
    """
    return _within(ANSWER_WITHIN, lambda: Answer(_state(context), _job_uid(context)))


def _within(seconds: float, question: Callable[[], Answer]) -> Answer | None:
    found: list[Answer] = []

    def put() -> None:
        try:
            found.append(question())
        except Exception:  # noqa: BLE001  # no answer is an answer here, whatever the reason
            return

    thread = threading.Thread(target=contextvars.copy_context().run, args=(put,), daemon=True, name="ask-airflow")
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def _state(context: Context) -> str | None:
    ti: Any = context["ti"]
    if not hasattr(ti, "get_task_states"):  # Airflow 2
        return _plain(ti.current_state())
    states = ti.get_task_states(
        dag_id=ti.dag_id,
        task_ids=[ti.task_id],
        run_ids=[ti.run_id],
        map_index=ti.map_index if ti.map_index >= 0 else None,
    )
    return state_of(ti, states)


def state_of(ti: Any, states: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Pick one task instance out of what `get_task_states` answers: mapped ones are `<task_id>_<map_index>`."""
    of_run = states.get(ti.run_id, {})
    mapped = ti.map_index is not None and ti.map_index >= 0
    key = f"{ti.task_id}_{ti.map_index}" if mapped else ti.task_id
    return _plain(of_run.get(key, of_run.get(ti.task_id)))


def _job_uid(context: Context) -> str | None:
    ti: Any = context["ti"]
    value = ti.xcom_pull(task_ids=ti.task_id, key="job_uid", map_indexes=ti.map_index if ti.map_index >= 0 else None)
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return None if value is None else str(value)


def _plain(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))
