"""What becomes of a deferred task's Job when its trigger is cancelled. The decision is a pure table.

Airflow cancels a trigger in the same way whether a user marked or cleared the task, the triggerer shuts down, or another
triggerer has taken the trigger over; only Airflow 3.3 calls `on_kill`, and it does so for the last of these, too. What
tells them apart is what Airflow says of the task now, and whose Job its XCom names; where that does not tell yet, Airflow
is asked again, also after it has given the trigger up: however many are stopped at once and however slow Airflow is, a Job
is left without an answer only where the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from unique_k8s_job._compat import airflow_version, off_the_loop
from unique_k8s_job.stop import RUNNING, Answer, Fate, state_of

DEFERRED = "deferred"
#: A task on its way to a worker: from its trigger's event, or to its next try after a user cleared it.
_ON_ITS_WAY = frozenset({"scheduled", "queued"})
#: Questions under way at once: a thousand triggers may be cancelled in one moment, and share one way to Airflow.
AT_ONCE = 4
#: Seconds for Airflow's answer, once it is asked. The first in a fresh triggerer takes six, or more on a busy machine.
ANSWER_WITHIN = 20.0
#: Each time that it does not answer, it has twice as long for the next, up to this: a slow answer must not come too late
#: for ever.
LONGEST_ANSWER = 300.0
#: Seconds after which a question without an answer is not asked again before Airflow 3.3: there a triggerer that ends
#: waits for it, and is not to hang for hours.
ASK_FOR = 600.0
#: Seconds between two questions; twice as long after each without an answer, up to the longest.
PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: Seconds for a task on its way to arrive: Airflow closes the log of a cancelled trigger after thirty.
ARRIVES_WITHIN = 20.0
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_asked: set[asyncio.Task[Answer | None]] = set()
_ready = False
_log = logging.getLogger(__name__)


class Decision(NamedTuple):
    """What becomes of the Job, and why."""

    fate: Fate
    #: What Airflow said last of the task, None without an answer.
    answer: Answer | None
    #: Whether that tells the fate; a Job of which it does not is left.
    told: bool


def fate(*, event_sent: bool, answer: Answer | None, job_uid: str) -> Fate | None:
    """Decide what becomes of the Job; None if that is not to be told yet.

    :param event_sent: whether the trigger has told its task the end, which is the task's to judge
    :param answer: what Airflow says of the task, None if it did not answer in time
    :param job_uid: the uid of our Job
    """
    if event_sent:
        return Fate.LEAVE
    if answer is None:
        return None
    if answer.state == DEFERRED and answer.job_uid in (job_uid, None):
        # Another trigger waits for it, or will. Without the XCom: a newer try would have deleted our Job itself.
        return Fate.LEAVE
    if answer.state == RUNNING and answer.job_uid == job_uid:
        # Another trigger's event was faster, and the task has gone on: it judges the Job.
        return Fate.LEAVE
    if answer.state in _ON_ITS_WAY and answer.job_uid == job_uid:
        # The same, a moment earlier; or the user cleared it. A next try takes our Job out of the XCom when it starts.
        return None
    return Fate.DELETE


async def decide(ti: Any, *, event_sent: bool, job_uid: str) -> Decision:
    """Ask Airflow what has become of the task, again while that does not tell what is to become of its Job.

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
        answer = await _asked_in_time(ti, within, began)
        decided = fate(event_sent=event_sent, answer=answer, job_uid=job_uid)
        if decided is not None:
            return Decision(decided, answer, told=True)
        now = time.monotonic()
        if answer is None:
            over = ti is None or (not airflow_calls_on_kill() and now + pause > began + ASK_FOR)
        else:
            pause, arrives_until = PAUSE, arrives_until or now + ARRIVES_WITHIN
            over = now + pause > arrives_until
        if over:
            return Decision(Fate.LEAVE, answer, told=False)
        await asyncio.sleep(pause)
        if answer is None:
            if pause == PAUSE:
                _log.warning("Airflow has not said what has become of a task: its Job (uid %s) may still run", job_uid)
            within, pause = min(2 * within, LONGEST_ANSWER), min(2 * pause, LONGEST_PAUSE)


async def _asked_in_time(ti: Any, within: float, began: float) -> Answer | None:
    if airflow_calls_on_kill():
        return await ask(ti, within)
    # Many who wait for their turn do not make it later.
    with contextlib.suppress(asyncio.TimeoutError):
        return await asyncio.wait_for(ask(ti, within), max(0.0, began + ASK_FOR - time.monotonic()))
    return None


def airflow_calls_on_kill() -> bool:
    """Whether this Airflow tells a trigger of a user's stop; where it does not, each end may be one."""
    return airflow_version() >= (3, 3)


async def ask(ti: Any, within: float = ANSWER_WITHIN) -> Answer | None:
    """Ask Airflow for the state and the Job of a trigger's task instance; None if it does not answer in time.

    :param ti: the `task_instance` of the trigger; None in `dag.test()`
    :param within: seconds for the answer, from this question's turn on
    """
    if ti is None:
        return None
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
        try:
            return await asyncio.wait_for(off_the_loop(_answer, ti), within)
        except Exception:  # noqa: BLE001  # no answer is an answer here, whatever the reason
            return None


def get_ready(ti: Any) -> None:
    """Ask once a process, ahead of need: Airflow 3 builds its API in the triggerer at the first question."""
    global _ready
    if _ready or ti is None or airflow_version() < (3, 0):
        return
    _ready = True
    task = asyncio.create_task(ask(ti))
    _asked.add(task)
    task.add_done_callback(_asked.discard)


def _answer(ti: Any) -> Answer:
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        return _answer_of_airflow_2(ti)
    from airflow.sdk.execution_time.xcom import XCom

    map_index = ti.map_index if ti.map_index is not None and ti.map_index >= 0 else None
    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index
    )
    uid = XCom.get_one(
        key="job_uid",
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=-1 if map_index is None else map_index,
    )
    return Answer(state_of(ti, states), None if uid is None else str(uid))


def _answer_of_airflow_2(ti: Any) -> Answer:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    with create_session() as session:
        found = (
            session.query(TaskInstance.state)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .one_or_none()
        )
        query = XCom.get_many(
            key="job_uid",
            dag_ids=ti.dag_id,
            task_ids=ti.task_id,
            run_id=ti.run_id,
            map_indexes=ti.map_index,
            session=session,
        )
        stored = query.first()
        uid = None if stored is None else XCom.deserialize_value(stored)
    return Answer(None if found is None or found.state is None else str(found.state), None if uid is None else str(uid))
