"""Decides what is done with a deferred task's Job when its trigger is cancelled. The decision is a pure table.

Airflow cancels a trigger in the same way whether a user marked or cleared the task, the triggerer shuts down, or
another triggerer has taken the trigger over; only Airflow 3.3 calls `on_kill`, and it does so for the last of these,
too. The state of the task in Airflow now, and the Job that its XCom names, distinguish these cases. If they do not
decide yet, Airflow is asked again, even after it has given the trigger up. So however many triggers are stopped at once
and however slow Airflow is, a Job is left without an answer only if the triggerer ends, because then no request is sent
any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from unique_k8s_job.described import failure
from unique_k8s_job.task import triggerer
from unique_k8s_job.task.compat import behaviour
from unique_k8s_job.task.compat.task_state import Answer, States, answer_in_triggerer, states_in_triggerer
from unique_k8s_job.task.stop_in_worker import ENDED, RUNNING, JobAction
from unique_k8s_job.task.triggerer import off_the_loop

Found = TypeVar("Found")

DEFERRED = "deferred"
#: The XCom that names the Job of the newest try.
JOB_UID = "job_uid"
#: A task on its way to a worker: from its trigger's event, or to its next try after a user cleared it.
_WILL_RUN = frozenset({"scheduled", "queued"})
#: Questions under way at once: a thousand triggers may be cancelled in one moment, and share one channel to Airflow.
AT_ONCE = 4
#: Seconds for Airflow's answer, once it is asked. The first in a fresh triggerer takes six, or more on a busy machine.
ANSWER_WITHIN = 20.0
#: After each question without an answer Airflow has twice as long for the next, up to this: otherwise slow answers
#: would always come too late.
LONGEST_ANSWER = 300.0
#: Seconds after which a question without an answer is not asked again before Airflow 3.3: there a triggerer that ends
#: waits for it, and must not hang for hours.
ASK_FOR = 600.0
#: Seconds between two questions; twice as long after each without an answer, up to the longest.
PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: Seconds for a task on its way to arrive: Airflow closes the log of a cancelled trigger after thirty.
ARRIVES_WITHIN = 20.0
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_log = logging.getLogger("unique_k8s_job.cancellation")


class Decision(NamedTuple):
    """The decision about the Job, and the reason."""

    action: JobAction
    #: Airflow's last answer about the task; None without an answer.
    answer: Answer | None
    #: Whether the answer decides; if not, the Job is left.
    known: bool
    #: Whether Airflow was not asked, because the triggerer ends: the next one follows the Job.
    ending: bool = False


def action_of(*, event_sent: bool, answer: Answer | None, job_uid: str) -> JobAction | None:
    """Decide what is done with the Job; None if that cannot be decided yet.

    :param event_sent: whether the trigger has sent its event: then the task judges the Job
    :param answer: what Airflow says of the task, None if it did not answer in time
    :param job_uid: the uid of our Job
    """
    if event_sent:
        return JobAction.LEAVE
    if answer is None:
        return None
    if answer.state == DEFERRED and answer.job_uid in (job_uid, None):
        # Another trigger waits for it, or will. Without the XCom: a newer try would have deleted our Job itself.
        return JobAction.LEAVE
    if answer.state == RUNNING and answer.job_uid == job_uid:
        # Another trigger's event was faster, and the task has gone on: it judges the Job.
        return JobAction.LEAVE
    if answer.state in _WILL_RUN and answer.job_uid == job_uid:
        # This is the same case a moment earlier, or the user cleared the task. A next try removes our Job from the XCom
        # when it starts.
        return None
    return JobAction.DELETE


def reason(decision: Decision) -> str:
    """Return a sentence that names what has ended the trigger. Pure."""
    answer = decision.answer
    if decision.ending:
        return "The triggerer ends, and the next one goes on"
    if answer is None:
        return "The trigger of this task is cancelled, and Airflow gave no answer"
    if answer.state in ENDED:
        return f"Stopped by a user (the task is {answer.state} now)"
    if decision.action is JobAction.DELETE:
        return "Stopped by a user (the task was cleared)"
    return f"The trigger of this task is cancelled (Airflow says that the task is {answer.state})"


async def decide(ti: Any, *, event_sent: bool, job_uid: str) -> Decision:
    """Ask Airflow what has become of the task, and ask again while the answer does not decide about the Job.

    :param ti: the `task_instance` of the trigger; None in `dag.test()`
    """
    try:
        return await _decided(ti, event_sent=event_sent, job_uid=job_uid)
    except asyncio.CancelledError:
        _log.warning(
            "The Job with the uid %s is left as it is, and may still run: the triggerer ends, and Airflow has not said "
            "what has become of its task",
            job_uid,
        )
        raise


async def _decided(ti: Any, *, event_sent: bool, job_uid: str) -> Decision:
    began, arrives_until = time.monotonic(), None
    within, pause = ANSWER_WITHIN, PAUSE
    while True:
        if triggerer.ends():
            return Decision(JobAction.LEAVE, None, known=True, ending=True)
        answer = await _asked_in_time(ti, within, began)
        decided = action_of(event_sent=event_sent, answer=answer, job_uid=job_uid)
        if decided is not None:
            return Decision(decided, answer, known=True)
        now = time.monotonic()
        if answer is None:
            over = ti is None or (not behaviour.airflow_calls_on_kill() and now + pause > began + ASK_FOR)
        else:
            pause, arrives_until = PAUSE, arrives_until or now + ARRIVES_WITHIN
            over = now + pause > arrives_until
        if over:
            return Decision(JobAction.LEAVE, answer, known=False)
        await asyncio.sleep(pause)
        if answer is None:
            if pause == PAUSE:
                _log.warning("Airflow has not said what has become of a task: its Job (uid %s) may still run", job_uid)
            within, pause = min(2 * within, LONGEST_ANSWER), min(2 * pause, LONGEST_PAUSE)


async def _asked_in_time(ti: Any, within: float, began: float) -> Answer | None:
    if behaviour.airflow_calls_on_kill():
        return await ask(ti, within)
    # The time limit holds even if many triggers wait for their turn.
    return await _in_time(ask(ti, within), max(0.0, began + ASK_FOR - time.monotonic()))


async def _in_time(asking: Coroutine[Any, Any, Found], seconds: float) -> Found | None:
    """Wait this long for an answer. Not by `wait_for`: since Python 3.11 a socket raises the same TimeoutError."""
    task = asyncio.ensure_future(asking)
    try:
        await asyncio.wait({task}, timeout=seconds)
        return task.result() if task.done() else None
    finally:
        task.cancel()  # it waits for its turn or its answer: a question that has begun goes on to its end


async def ask(ti: Any, within: float = ANSWER_WITHIN, *, key: str = JOB_UID) -> Answer | None:
    """Ask Airflow for the state and the Job of a task instance; None if it does not answer in time.

    :param ti: the `task_instance` of a trigger, None in `dag.test()`; or any object with the same ids
    :param within: seconds for the answer, counted from the turn of this question
    :param key: of the XCom that names the Job
    """
    return None if ti is None else await _answered(_name(ti), within, answer_in_triggerer, ti, key)


async def ask_for_states(dag_id: str, task_ids: list[str], run_ids: list[str]) -> States | None:
    """Ask Airflow for the states of these tasks in these runs, for `state_of`; None if it does not answer in time."""
    return await _answered(dag_id, ANSWER_WITHIN, states_in_triggerer, dag_id, task_ids, run_ids)


async def _answered(name: str, within: float, question: Callable[..., Found], *about: Any) -> Found | None:
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
        try:
            answer = await _in_time(off_the_loop(question, *about), within)
        except Exception as error:  # noqa: BLE001  # no answer is an answer here, whatever the reason
            _log.warning("Airflow cannot say what has become of task %s: %s", name, failure(error))
            return None
    if answer is None:
        _log.warning("Airflow has not said within %.0f s what has become of task %s", within, name)
    return answer


def _name(ti: Any) -> str:
    return "/".join(str(getattr(ti, part, "?")) for part in ("dag_id", "run_id", "task_id", "map_index"))
