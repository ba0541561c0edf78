"""Writes the logs of Jobs that have ended into a sensor's task log, in the process of the task."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unique_k8s_job import native
from unique_k8s_job.task.log_writer import LogWriter, write_down

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster


def write_logs(cluster: Cluster, found: Sequence[Mapping[str, Any]], log: Any) -> None:
    """Write what the containers of these Jobs printed, one Job after the other."""
    writer = LogWriter.of_task(log)
    for job in found:
        asyncio.run(_read(cluster, job["job"], writer))


async def _read(cluster: Cluster, job: Mapping[str, Any], writer: LogWriter) -> None:
    from unique_k8s_job.request.job import foreign_job

    waiter = native.Waiter(cluster, foreign_job(job, until="finished", get_logs=True))
    try:
        await write_down(waiter, writer)
    finally:
        waiter.close()
