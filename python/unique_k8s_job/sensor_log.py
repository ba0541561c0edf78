"""The logs of Jobs that a sensor found ended, written into its task log at once, in the process of the task."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job.log_writer import LogWriter, write_down


def write_logs(cluster: Any, found: Sequence[Mapping[str, Any]], log: Any) -> None:
    """Write what the containers of these Jobs printed, one Job after the other."""
    writer = LogWriter.of_task(log)
    for job in found:
        asyncio.run(_read(cluster, job["job"], writer))


async def _read(cluster: Any, job: Mapping[str, Any], writer: LogWriter) -> None:
    from unique_k8s_job.native import core
    from unique_k8s_job.request import foreign_job

    waiter = core().Waiter(cluster, foreign_job(job, until="finished", get_logs=True))
    try:
        await write_down(waiter, writer)
    finally:
        waiter.close()
