"""Finds Jobs that a stop has left behind: their task was stopped after it had deferred and while it had no trigger.

Airflow drops a trigger that has not begun yet, or whose triggerer is dead, without a word to anybody. So as long as our
triggers wait in a namespace, and some minutes longer, our Jobs there are searched for those that nobody waits for in
this process. Promise: a Job is deleted only if Airflow itself says that its task instance has ended, and that exactly
this Job (its uid, in an XCom) was left to the triggerer; and only by uid and owner. A Job is left alone if another
triggerer or a worker follows it, if a next try will take it over, or if another Airflow has made it. The search costs
the cluster nothing but the watch that all triggers share, and costs Airflow one question for up to `AT_ONCE` Jobs of a
DAG.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from unique_k8s_job import native
from unique_k8s_job.described import failure
from unique_k8s_job.task import stop_in_trigger, triggerer
from unique_k8s_job.task.compat.task_state import Answer, state_of
from unique_k8s_job.task.stop_in_worker import ENDED

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, Unattended

#: The XCom of a task that has deferred, with the uid of the Job that it left to the triggerer.
DEFERRED_UID = "job_deferred"
#: Seconds between two searches, which cost no request.
CHECK_EVERY = 15.0
#: Seconds that nobody has waited for a Job before Airflow is asked about its task: a trigger begins within seconds.
LEFT_FOR = 60.0
#: Seconds until Airflow is asked about it again; twice as long after each answer, up to the longest.
PAUSE, LONGEST_PAUSE = 60.0, 600.0
#: Airflow is asked about at most this many Jobs in one search.
AT_ONCE = 50
#: Seconds that the search goes on after the last trigger of the namespace has ended.
LINGER = 300.0
#: Seconds to confirm a deletion.
CONFIRM_DELETION = 60.0
_searches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Search]] = WeakKeyDictionary()
_log = logging.getLogger("unique_k8s_job.left_behind")


class _Task(NamedTuple):
    """A task instance, as Airflow is asked about one."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> _Task:
        return cls(*(job[name] for name in cls._fields))


def is_left_behind(answer: Answer | None, job_uid: str) -> bool:
    """Whether no try will ever follow a Job at work that nobody waits for here. Pure.

    The table of a cancelled trigger does not fit here: a task that waits for its next try, or is on its way to it,
    finds the Job by itself.

    :param answer: the state of its task instance, and the uid in its XCom `job_deferred`
    """
    return answer is not None and answer.state in ENDED and answer.job_uid == job_uid


@contextlib.contextmanager
def searching(cluster: Cluster, connection: Mapping[str, Any], namespace: str) -> Iterator[None]:
    """Look for Jobs that were left behind, as long as a trigger waits in this namespace."""
    of_loop = _searches.setdefault(asyncio.get_running_loop(), {})
    key = (json.dumps(connection, sort_keys=True), namespace)
    if key not in of_loop:
        of_loop[key] = _Search(cluster, namespace, lambda: of_loop.pop(key, None))
    search = of_loop[key]
    search.waiting += 1
    try:
        yield
    finally:
        search.waiting -= 1


class _Search:
    """Looks through one namespace, for all triggers of a loop that wait in it."""

    def __init__(self, cluster: Cluster, namespace: str, forget: Any) -> None:
        #: The triggers that wait now.
        self.waiting = 0
        self._cluster = cluster
        self._unattended: Unattended = native.Unattended(cluster, namespace)
        self._forget = forget
        self._since: dict[str, float] = {}
        self._asked: dict[str, tuple[float, float]] = {}
        # The task runs without the context of the first trigger, because messages about other tasks do not belong into
        # its log.
        self._task = contextvars.Context().run(asyncio.create_task, self._check_forever())

    async def _check_forever(self) -> None:
        idle = 0.0
        try:
            while idle < LINGER and not triggerer.ends():
                await asyncio.sleep(CHECK_EVERY)
                idle = 0.0 if self.waiting else idle + CHECK_EVERY
                try:
                    await self._check(time.monotonic())
                except Exception as error:  # noqa: BLE001  # the next look may go better
                    _log.warning("The search for Jobs that were left behind failed: %s", failure(error))
        finally:
            self._forget()

    async def _check(self, now: float) -> None:
        """Ask about the Jobs that are due; delete those that were left behind."""
        found = {job["job"]["uid"]: job for job in self._unattended.jobs() if job["try_number"] > 0}
        self._since = {uid: self._since.get(uid, now) for uid in found}
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in found}
        due = [uid for uid, since in self._since.items() if now - since >= LEFT_FOR and self._is_due(uid, now)]
        of_dag: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for uid in sorted(due, key=lambda uid: self._asked.get(uid, (0.0, 0.0)))[:AT_ONCE]:
            of_dag[found[uid]["dag_id"]].append(found[uid])
            self._asked[uid] = (now, min(2 * self._asked.get(uid, (0.0, PAUSE / 2))[1], LONGEST_PAUSE))
        for dag_id, jobs in of_dag.items():
            tasks = [_Task.of(job) for job in jobs]
            states = await stop_in_trigger.ask_for_states(
                dag_id, sorted({task.task_id for task in tasks}), sorted({task.run_id for task in tasks})
            )
            for task, job in zip(tasks, jobs, strict=True):
                if states is not None and state_of(task, states) in ENDED:
                    await self._settle(task, job)

    def _is_due(self, uid: str, now: float) -> bool:
        last, pause = self._asked.get(uid, (now, 0.0))
        return now >= last + pause

    async def _settle(self, task: _Task, job: Mapping[str, Any]) -> None:
        """Ask once more, for this task alone and for its Job; delete the Job if it was left behind."""
        answer = await stop_in_trigger.ask(task, key=DEFERRED_UID)
        if answer is None or not is_left_behind(answer, job["job"]["uid"]):
            return
        try:
            result = await triggerer.to_its_end(self._delete(job))
        except Exception as error:  # noqa: BLE001  # it is looked at again
            result = f"The deletion failed, and the Job may still run: {failure(error)}"
        name = f"{job['job']['namespace']}/{job['job']['name']}"
        _log.warning(
            "Job `%s` was left behind: Airflow says that its task %s is %s, and it was stopped while no trigger waited for "
            "it. %s",
            name,
            "/".join(map(str, task)),
            answer.state,
            result,
        )

    async def _delete(self, job: Mapping[str, Any]) -> str:
        waiter = native.Waiter(self._cluster, json.dumps({"job": job["job"], "owner": job["owner"]}))
        try:
            result: str = await waiter.delete(CONFIRM_DELETION)
            return result
        finally:
            waiter.close()
