"""`UniqueK8sJobSensorTrigger`: waits in the triggerer for Jobs that somebody else made.

Promise: it only reads, may start again and run twice at once, and sends exactly one small event. Jobs that are found
are watched, so their end is known at once. The search is repeated only for what such a watch does not show: a Job that
is not there yet, and more Jobs with the same labels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TriggerEvent

from unique_k8s_job import native
from unique_k8s_job.described import fault
from unique_k8s_job.exceptions import UniqueK8sJobError
from unique_k8s_job.request.job import foreign_job
from unique_k8s_job.task import trigger_event
from unique_k8s_job.task.log_writer import LogWriter, write_down
from unique_k8s_job.task.sensor_condition import Verdict, verdict
from unique_k8s_job.triggers.connection import connect
from unique_k8s_job.triggers.job import HOLD_EVENT, LOG_SETTLES, in_dag_test, seconds_until

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobSelector

VERSION = 1
Found = list[dict[str, Any]]


class UniqueK8sJobSensorTrigger(BaseTrigger):
    """Wait until Jobs are as a sensor wants them.

    :param target: which Jobs: `namespace`, `name`, `uid`, `label_selector`
    :param until: `succeeded`, `finished`, `gone` or `exists`
    :param logs: write the containers' logs into the task log
    :param poke_interval: seconds between two searches for Jobs that are not there yet
    :param connection: the arguments of `UniqueK8sJobHook`; the connection itself is read in the triggerer
    :param deadline: when the sensor's time is over, in ISO 8601; None for never
    :param passed: data that the event gives back to the task
    :param version: of these arguments
    """

    #: Airflow stores the trigger by this path, for workers and triggerers of every version, so it never changes.
    __module__ = "unique_k8s_job.sensor_trigger"

    def __init__(
        self,
        target: Mapping[str, Any] | None = None,
        until: str = "succeeded",
        logs: bool = False,
        poke_interval: float = 60.0,
        connection: Mapping[str, Any] | None = None,
        deadline: str | None = None,
        passed: Mapping[str, Any] | None = None,
        version: int = VERSION,
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.target = cast("JobSelector", dict(target or {}))
        self.until = until
        self.logs = logs
        self.poke_interval = poke_interval
        self.connection = dict(connection or {})
        self.deadline = deadline
        self.passed = dict(passed or {})
        self.version = version
        self._ended: dict[str, dict[str, Any]] = {}
        self._read: set[str] = set()
        self._following: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._found: Found = []

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        names = ("target", "until", "logs", "poke_interval", "connection", "deadline", "passed", "version")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; send one event: the Jobs that were found and the verdict, or an error."""
        began = time.monotonic()
        event = await self._event()
        if not in_dag_test(self):
            await asyncio.sleep(max(HOLD_EVENT - (time.monotonic() - began), LOG_SETTLES if self.logs else 0.0))
        yield TriggerEvent({**event, "passed": self.passed})  # type: ignore[no-untyped-call]

    async def _event(self) -> dict[str, Any]:
        left = seconds_until(self.deadline)
        # Not by `wait_for`: since Python 3.11 a socket raises the same TimeoutError.
        waiting = asyncio.create_task(self._wait())
        try:
            await asyncio.wait({waiting}, timeout=None if left is None else max(0.0, left))
            judged = waiting.result() if waiting.done() else Verdict.WAIT
        except UniqueK8sJobError as error:
            return trigger_event.of_error(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, an event has to go out
            failed = fault(error, "The trigger failed")
            self.log.error("%s", failed)
            return trigger_event.of_error(failed)
        finally:
            for task in (waiting, *self._following.values()):
                task.cancel()
        return trigger_event.of_verdict(judged.value, self._found)

    async def _wait(self) -> Verdict:
        cluster = await connect(self.connection, self._log_writer())
        while True:
            self._found = await self._poke(cluster)
            judged = verdict(self.until, self._found, by_uid=bool(self.target.get("uid")))
            if judged is not Verdict.WAIT and not any(self._unread(job) for job in self._found):
                return judged
            await self._change(cluster)

    async def _poke(self, cluster: Cluster) -> Found:
        """Read the Jobs, and add those that were seen to end before they were gone."""
        found: Found = [dict(job) for job in await native.find_jobs_async(cluster, self.target)]
        if self.until == "gone":
            return found
        for job in found:
            job["outcome"] = self._ended.get(job["job"]["uid"]) or job["outcome"]
        there = {job["job"]["uid"] for job in found}
        gone = [{"job": end["job"], "outcome": end} for uid, end in self._ended.items() if uid not in there]
        return [*found, *gone]

    def _unread(self, job: Mapping[str, Any]) -> bool:
        """Whether a Job has ended whose log is wanted and was not written yet."""
        wanted = self.logs and self.until in ("succeeded", "finished")
        return wanted and bool(job["outcome"]) and job["job"]["uid"] not in self._read

    async def _change(self, cluster: Cluster) -> None:
        """Return once one of the Jobs has ended or is gone, or it is time for another search."""
        for job in self._found:
            uid = job["job"]["uid"]
            awaited = self.until == "gone" or not job["outcome"] or self._unread(job)
            if uid not in self._following and awaited:
                self._following[uid] = asyncio.create_task(self._follow(cluster, job["job"]))
        more_may_come = not self._following or self.target.get("label_selector")
        if not self._following:
            await asyncio.sleep(self.poke_interval)
            return
        done, _ = await asyncio.wait(
            self._following.values(),
            timeout=self.poke_interval if more_may_come else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for uid, task in list(self._following.items()):
            if task in done:
                del self._following[uid]
                self._read.add(uid)
                outcome = task.result()
                if outcome["state"] != "vanished":
                    self._ended[uid] = outcome

    async def _follow(self, cluster: Cluster, job: Mapping[str, Any]) -> dict[str, Any]:
        until = "gone" if self.until == "gone" else "finished"
        waiter = native.Waiter(cluster, foreign_job(job, until=until, get_logs=self.logs))
        try:
            return await write_down(waiter, self._log_writer())
        finally:
            waiter.close()

    def _log_writer(self) -> LogWriter:
        return LogWriter.of_task(self.log)
