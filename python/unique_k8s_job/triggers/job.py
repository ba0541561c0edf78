"""`UniqueK8sJobTrigger`: follows the Job of a deferred task, in the triggerer.

Promise: `run` may start again at any time, may run twice at once, and sends exactly one small event. It only reads,
with two exceptions: the core stores the log position on our own Job, and at the end of the task's time the Job is
deleted. While it waits, the log of the Job is live in the task's log. The arguments that Airflow stores of a trigger
are a wire format: a newer version resumes tasks that an older one deferred, so unknown and missing arguments are
accepted. No secret and no manifest is among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from unique_k8s_job import native
from unique_k8s_job.described import failure, fault
from unique_k8s_job.exceptions import DeletionUnconfirmedError, UniqueK8sJobError
from unique_k8s_job.task import stop_in_trigger, trigger_event, triggerer
from unique_k8s_job.task.compat import behaviour
from unique_k8s_job.task.log_writer import LogWriter, write_down
from unique_k8s_job.task.stop_in_worker import JobAction
from unique_k8s_job.task.triggerer import held, to_its_end
from unique_k8s_job.triggers import left_behind
from unique_k8s_job.triggers.connection import connect

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobSelector, Waiter

VERSION = 1
#: Seconds since `run` began before the event is sent. Airflow can fail a task that is resumed within about five seconds
#: of its deferral: the executor's late report of the first process is then taken for the end of the second.
HOLD_EVENT = 8.0
#: Seconds between the last line of the log and the event. The process that writes the log closes it when the trigger
#: has ended, and later lines go into the triggerer's own log.
LOG_SETTLES = 2.0
#: Seconds that a trigger follows in any case, and seconds for a last read of the Job when the time is over: a Job that
#: ended in time, or while no triggerer lived, has an outcome and no timeout. Both together are less than
#: `BEFORE_AIRFLOW_2`.
FOLLOW_AT_LEAST = 5.0
LAST_GET = 10.0
#: Seconds for the rest of the log of such a Job: the core gives it ten minutes, and then reports the outcome.
LAST_LINES = 660.0
#: Seconds to store the log position when the trigger is cancelled, or its time is over.
STORE_WITHIN = 1.5
#: Seconds to confirm a deletion: Airflow closes the log of a cancelled trigger after thirty.
CONFIRM_DELETION = 20.0
#: Seconds that a cancelled trigger keeps the task's log open for the message about its Job, before Airflow 3.3.
HELD = 25.0
#: Seconds between two looks at what a deletion says.
PASS_ON_EVERY = 0.5
#: Seconds to confirm a deletion at the end of the task's time; the task confirms it again, and must not wait for
#: longer.
CONFIRM_IN_TIME = 5.0
_log = logging.getLogger("unique_k8s_job.triggers")


class UniqueK8sJobTrigger(BaseTrigger):
    """Follow a Job to its end.

    :param job: what `Run.hand_over` gave: the Job, its owner, limits, and how far its log was delivered; JSON
    :param connection: the arguments of `UniqueK8sJobHook`; the connection itself is read in the triggerer
    :param deadline: when the task's `execution_timeout` is over, in ISO 8601; None for never
    :param on_stop: `delete` the Job if a user stops the task or its time is over, or `leave` it
    :param version: of these arguments
    """

    #: Airflow stores the trigger by this path, for workers and triggerers of every version, so it never changes.
    __module__ = "unique_k8s_job.triggers"

    def __init__(
        self,
        job: str = "{}",
        connection: Mapping[str, Any] | None = None,
        deadline: str | None = None,
        on_stop: str = "delete",
        version: int = VERSION,
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job = job
        self.connection = dict(connection or {})
        self.deadline = deadline
        self.on_stop = on_stop
        self.version = version
        self._cluster: Cluster | None = None
        self._event_sent = False
        self._parent = 0
        self._writer: LogWriter | None = None
        self._finished_waiter: Waiter | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        kwargs = {"job": self.job, "connection": self.connection, "deadline": self.deadline, "version": self.version}
        if self.on_stop != "delete":  # so that an older triggerer still reads all others
            kwargs["on_stop"] = self.on_stop
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the Job; send one event: its outcome, an error, or that the time is over."""
        began = time.monotonic()
        self._parent = os.getppid()
        triggerer.notice()
        try:
            event = await self._event()
            if not in_dag_test(self):
                last_line = self._writer.last_line if self._writer else 0.0
                await asyncio.sleep(max(began + HOLD_EVENT, last_line + LOG_SETTLES) - time.monotonic())
        except asyncio.CancelledError:
            if self._finished_waiter:  # no event has told the outcome yet: the next trigger follows the Job once more
                await self._store_positions(self._finished_waiter)
            if not behaviour.airflow_calls_on_kill():  # a user's stop looks like everything else
                await held(self._stop(), HELD)
            raise
        self._event_sent = True
        yield TriggerEvent({**event, "job": without_positions(self.job)})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Delete the Job if a user stopped the task. Airflow 3.3 also calls this if another triggerer took over."""
        await to_its_end(self._stop())  # for which Airflow waits thirty seconds

    # --- following --------------------------------------------------------------------------------------------------

    async def _event(self) -> dict[str, Any]:
        try:
            return await self._follow()
        except UniqueK8sJobError as error:
            return trigger_event.of_error(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, an event has to go out
            # Without an event the task would fail without a word about its Job, and nobody would follow the Job.
            failed = fault(error, "The trigger failed")
            self.log.error("%s", failed)
            return trigger_event.of_error(failed)

    async def _follow(self) -> dict[str, Any]:
        """Follow the Job; return the event of its outcome, or of the deadline."""
        cluster = await self._connect()
        with self._searching_left_behind(cluster):
            return await self._followed(cluster)

    def _searching_left_behind(self, cluster: Cluster) -> contextlib.AbstractContextManager[None]:
        """Look for Jobs that a stop has left behind in this Job's namespace; not in `dag.test()`, which ends soon."""
        namespace = (json.loads(self.job).get("job") or {}).get("namespace")
        if in_dag_test(self) or not namespace:
            return contextlib.nullcontext()
        return left_behind.searching(cluster, self.connection, namespace)

    async def _followed(self, cluster: Cluster) -> dict[str, Any]:
        waiter = native.Waiter(cluster, self.job)
        self._writer = writer = self._log_writer()
        left = seconds_until(self.deadline)
        try:
            outcome = await write_down(waiter, writer, None if left is None else max(FOLLOW_AT_LEAST, left))
            if outcome is None and await self._has_finished(cluster):
                outcome = await write_down(waiter, writer, LAST_LINES)
            if outcome is not None:
                self._finished_waiter = waiter
                return trigger_event.of_outcome(outcome)
            await self._store_positions(waiter)
            await self._delete_in_time()
            return trigger_event.of_deadline(left or 0.0)
        except asyncio.CancelledError:
            await self._store_positions(waiter)
            raise
        finally:
            waiter.close()

    async def _delete_in_time(self) -> None:
        """Delete the Job after the task's time, and write into the log what became of it.

        The trigger does it because a worker may take the task up much later, and Airflow 2 fails the task without
        calling its code.
        """
        if self.on_stop == "leave":
            self._log_writer().message(
                f"execution_timeout is over. {self._named()} is left as it is (`on_stop`)", "warning"
            )
            return
        # It goes on to its end: Airflow may cancel this trigger as the task's time ends.
        await to_its_end(self._delete("execution_timeout is over", "warning", CONFIRM_IN_TIME))

    async def _has_finished(self, cluster: Cluster) -> bool:
        """Read once whether exactly this Job has ended; a Job that cannot be read counts as not ended."""
        job = json.loads(self.job).get("job") or {}
        target: JobSelector = {"namespace": job.get("namespace"), "name": job.get("name"), "uid": job.get("uid")}
        try:
            found = await asyncio.wait_for(native.find_jobs_async(cluster, target), LAST_GET)
        except Exception as error:  # noqa: BLE001  # whatever it is, the time is over
            text = f"The time is over, and it is not known whether the Job has finished: {failure(error)}"
            self._log_writer().message(text, "warning")
            return False
        return any(seen["outcome"] for seen in found)

    async def _store_positions(self, waiter: Waiter) -> None:
        """Store the log position, at which the next follower of the Job goes on."""
        # If the process that writes the log was killed, it is not known which of the last lines it wrote.
        if os.getppid() == self._parent:
            try:
                await asyncio.wait_for(_stored(waiter), STORE_WITHIN)
            except Exception as error:  # noqa: BLE001  # what was not stored is told again, and marked
                text = "How far the log was written could not be stored, so its last lines may come again: %s"
                _log.warning(text, failure(error))

    async def _connect(self) -> Cluster:
        if self._cluster is None:
            self._cluster = await connect(self.connection, self._log_writer())
        return self._cluster

    def _log_writer(self) -> LogWriter:
        return LogWriter.of_task(self.log)

    # --- stopping ---------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        if self._event_sent:
            return
        job = json.loads(self.job).get("job") or {}
        decision = await stop_in_trigger.decide(
            self.task_instance, event_sent=self._event_sent, job_uid=str(job.get("uid"))
        )
        why = stop_in_trigger.reason(decision)
        if decision.action is JobAction.DELETE and self.on_stop == "leave":
            self._log_writer().message(f"{why}. {self._named()} is left as it is, and may still run (`on_stop`)")
            return
        if decision.action is JobAction.DELETE:
            await self._delete(why, "info", CONFIRM_DELETION)
            return
        result, level = f"Its Job is {decision.action.value}", "info"
        if not decision.known:
            result, level = f"{result}: it is not known whether the task goes on with it", "warning"
        self._log_writer().message(f"{why}. {result}", level)

    def _named(self) -> str:
        job = json.loads(self.job).get("job") or {}
        return f"Job `{job.get('namespace')}/{job.get('name')}`"

    async def _delete(self, why: str, level: str, confirm_for: float) -> None:
        """Delete the Job, and write into the log what the core says meanwhile and at the end; nothing is raised.

        :param why: what the first message begins with
        :param level: the level of that message
        """
        log, said = self._log_writer(), False

        def write(text: str, level_of_text: str) -> None:
            nonlocal said
            if not said:
                text, level_of_text = f"{why}. {text}", level if level_of_text == "info" else level_of_text
            log.message(text, level_of_text)
            said = True

        try:
            waiter = native.Waiter(await self._connect(), self.job)
            with contextlib.closing(waiter):
                deleting = asyncio.ensure_future(waiter.delete(confirm_for))
                while not deleting.done():
                    await asyncio.wait({deleting}, timeout=PASS_ON_EVERY)
                    for message in waiter.said():
                        write(message["text"], message["level"])
                result, level_of_result = deleting.result(), "info"
        except DeletionUnconfirmedError as error:
            # In so short a time the end of the Pods is not expected, and the messages have said how long they may take.
            if said and confirm_for < CONFIRM_DELETION:
                return
            result, level_of_result = str(error), "warning"
        except Exception as error:  # noqa: BLE001  # a trigger that is cancelled has nobody to raise to
            result = f"The deletion of its Job failed, and the Job may still run: {failure(error)}"
            level_of_result = "warning"
        write(result, level_of_result)


def in_dag_test(trigger: BaseTrigger) -> bool:
    """Return whether `dag.test()` runs the trigger, in the process of the task: it has no executor, and no other process
    that writes the log. Only a triggerer tells a trigger its task."""
    return trigger.task_instance is None


def without_positions(job: str) -> str:
    """Return the hand-off without the log positions: the log is complete when the task resumes."""
    handed_over: dict[str, Any] = json.loads(job)
    return json.dumps({key: value for key, value in handed_over.items() if key != "positions"})


async def _stored(waiter: Waiter) -> None:
    await waiter.store_positions()


def seconds_until(deadline: str | None) -> float | None:
    """Return the seconds left, negative if it is over; None without a deadline or with one that cannot be read."""
    if not deadline:
        return None
    try:
        moment = datetime.fromisoformat(deadline.replace("Z", "+00:00"))
    except ValueError:
        _log.warning("The deadline is no time, and is ignored: %r", deadline)
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime.now(timezone.utc)).total_seconds()
