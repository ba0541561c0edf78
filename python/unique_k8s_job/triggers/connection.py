"""Makes the cluster of a trigger: reads the connection in the triggerer, and again if that fails.

A trigger that fails makes its task fail, and a task that fails in its last try deletes its Job. A healthy Job must not
end because Airflow's API or its database was away for a moment.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from unique_k8s_job.described import failure
from unique_k8s_job.exceptions import AirflowUnreachableError, UniqueK8sJobError
from unique_k8s_job.request.arguments import CONNECTION
from unique_k8s_job.task.triggerer import shared

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster
    from unique_k8s_job.task.log_writer import LogWriter

_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[Cluster]]] = WeakKeyDictionary()
#: Seconds for one attempt; triggers that ask at the same time share it.
READ_ONCE_WITHIN = 60.0
#: Seconds to go on trying to read the connection.
READ_WITHIN = 300.0
#: Seconds before the second attempt; each pause is twice the one before, up to the longest.
PAUSE, LONGEST_PAUSE = 1.0, 30.0


async def connect(connection: Mapping[str, Any], log: LogWriter) -> Cluster:
    """Read the connection and make its cluster, which connects at its first use.

    :param connection: the arguments of `UniqueK8sJobHook`; unknown ones are ignored
    :raises AirflowUnreachableError: once `READ_WITHIN` is over; it names the kind of what Airflow raised last
    :raises UniqueK8sJobError: at once, if it cannot be used
    """
    which = f"The connection `{connection.get('kubernetes_conn_id')}`"
    give_up, pause, told = time.monotonic() + READ_WITHIN, PAUSE, False
    while True:
        try:
            return await _read_together(known(connection))
        except Exception as error:
            if is_for_good(error):
                raise
            problem = failure(error)
        # Outside of the `except`: the error of a secrets backend may quote its address and its token.
        if time.monotonic() + pause > give_up:
            raise AirflowUnreachableError(f"{which} cannot be read", seen=[problem])
        if not told:
            log.message(f"{which} cannot be read; this is tried again for {READ_WITHIN:.0f} s: {problem}", "warning")
            told = True
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _read_together(connection: dict[str, Any]) -> Cluster:
    """Read the connection, once for all triggers of the loop that ask for the same at the same time."""
    reads = _reads.setdefault(asyncio.get_running_loop(), {})
    key = json.dumps(connection, sort_keys=True)
    read = reads.get(key)
    if read is None:
        read = reads[key] = asyncio.create_task(_read(connection))
        read.add_done_callback(lambda _: reads.pop(key))
    return await shared(read)


async def _read(connection: dict[str, Any]) -> Cluster:
    from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

    cluster: Cluster = await asyncio.wait_for(UniqueK8sJobHook(**connection).aget_conn(), READ_ONCE_WITHIN)
    return cluster


def is_for_good(error: Exception) -> bool:
    """Whether reading the connection again would not help, because it cannot be used. Pure.

    "Not found" is no such error: Airflow 3 also says it while its own API is away, and the worker has just read the
    connection.
    """
    return isinstance(error, UniqueK8sJobError) and not isinstance(error, AirflowUnreachableError)


def known(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the arguments of a connection that this version has."""
    return {name: connection[name] for name in CONNECTION if name in connection}
