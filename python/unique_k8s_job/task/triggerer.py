"""Keeps our coroutines from harming the triggerer that runs them, together with all other triggers.

Promise: a request to Airflow that has begun goes on to its end, even if its caller is cancelled or has waited long
enough. Airflow 3.0 and 3.1 read answers from one channel in the order of the requests: the answer to an abandoned
request would be taken for the answer to the next one, and Airflow then ends the triggerer for all its tasks. No request
begins once the triggerer ends: from 3.2 on nobody would answer it, and Airflow would wait for it until it kills the
process. This relies on a private detail of Airflow that is the same from 2.11 to 3.3: the triggerer's loop runs the
coroutine `TriggerRunner.arun`, which is over, or whose runner says `stop`, once the triggerer ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from unique_k8s_job.described import failure
from unique_k8s_job.exceptions import AirflowUnreachableError

Found = TypeVar("Found")

#: Keeps tasks from being garbage-collected that go on after their caller was cancelled.
_at_work: set[asyncio.Task[Any]] = set()
_log = logging.getLogger("unique_k8s_job.triggerer")


class _Triggerer(NamedTuple):
    """The coroutine that runs all triggers of a process, and its runner."""

    main: asyncio.Task[Any]
    runner: Any


_triggerers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Triggerer] = WeakKeyDictionary()


async def off_the_loop(function: Callable[..., Found], *arguments: Any) -> Found:
    """Call a function that may block or ask Airflow, from within the event loop of a triggerer. It goes on to its end.

    It runs on a thread of asgiref, because Airflow 3.0 to 3.2 can return to the loop only from such a thread. It is not
    the one thread that asgiref shares by default, where the slow first question to Airflow would hold up the
    connections of all triggers.

    :raises AirflowUnreachableError: if the triggerer ends
    """
    from asgiref.sync import sync_to_async

    loop = asyncio.get_running_loop()

    def begun() -> Found:
        _refuse_at_the_end(loop)  # there may have been a queue for a thread
        return function(*arguments)

    notice()
    _refuse_at_the_end(loop)
    call: Callable[[], Coroutine[Any, Any, Found]] = sync_to_async(begun, thread_sensitive=False)
    return await to_its_end(call())


async def on_the_loop(function: Callable[..., Awaitable[Found]], *arguments: Any) -> Found:
    """Await a coroutine of Airflow's that asks Airflow. It goes on to its end.

    :raises AirflowUnreachableError: if the triggerer ends
    """

    async def begun() -> Found:
        return await function(*arguments)

    notice()
    _refuse_at_the_end(asyncio.get_running_loop())
    return await to_its_end(begun())


async def to_its_end(work: Coroutine[Any, Any, Found]) -> Found:
    """Await work that goes on to its end even if the caller is cancelled; only the end of the loop cancels it.

    A result that comes too late is dropped; a failure that comes too late is logged.
    """
    return await shared(_kept(work))


async def shared(task: asyncio.Task[Found]) -> Found:
    """Await a task for which others may wait, too: it goes on even if one of them is cancelled."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.remove_done_callback(_say_what_failed)  # once is enough
        task.add_done_callback(_say_what_failed)
        raise


async def held(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Await the last work of a cancelled trigger, however often it is cancelled again, but at most this long.

    As long as this waits, Airflow keeps the log of the task open, so that messages until then are in it. Work that
    takes longer goes on to its end without the log.
    """
    task = _kept(work)
    until = time.monotonic() + seconds
    while not task.done() and time.monotonic() < until and not ends():
        # Before 3.3 Airflow cancels again each second; the end of the loop cancels the work, too.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=until - time.monotonic())
    if not task.done():
        task.add_done_callback(_say_what_failed)
    elif not task.cancelled():
        task.result()


def _kept(work: Coroutine[Any, Any, Found]) -> asyncio.Task[Found]:
    task = asyncio.create_task(work)
    _at_work.add(task)
    task.add_done_callback(_at_work.discard)
    return task


def _say_what_failed(late: asyncio.Task[Any]) -> None:
    if not late.cancelled() and (error := late.exception()):
        _log.warning("Work that nobody waits for any more has failed: %s", failure(error))


def notice() -> None:
    """Remember the triggerer that runs this loop, if there is one: at its end it cannot be found any more."""
    loop = asyncio.get_running_loop()
    if loop in _triggerers:
        return
    for task in asyncio.all_tasks(loop):
        coroutine: Any = task.get_coro()
        if getattr(coroutine, "__qualname__", None) == "TriggerRunner.arun" and coroutine.cr_frame is not None:
            _triggerers[loop] = _Triggerer(task, coroutine.cr_frame.f_locals["self"])


def ends(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Whether the triggerer that runs this loop ends; never if there is none, as in `dag.test()`."""
    if (triggerer := _triggerers.get(loop or asyncio.get_running_loop())) is None:
        return False
    # Airflow 3.2 stops reading answers a moment before the rest.
    reader = getattr(getattr(triggerer.runner, "comms_decoder", None), "_reader_task", None)
    return bool(triggerer.main.done() or triggerer.runner.stop or (reader is not None and reader.done()))


def _refuse_at_the_end(loop: asyncio.AbstractEventLoop) -> None:
    if ends(loop):
        raise AirflowUnreachableError("The triggerer ends, and asks Airflow nothing any more")
