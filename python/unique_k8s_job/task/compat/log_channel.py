"""Waits for room in the socket on which a triggerer's process sends its log to the process that writes it.

Airflow writes to that socket in the thread of the event loop. At the other end it reads four kilobytes, then works in
its database, and reads again: lines that come faster stop the loop, and with it every trigger of the process. Promise:
a coroutine that waits for room first does not stop the loop, and gets room in the order of asking. If the log goes
elsewhere (Airflow 2), there is always room.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat
from weakref import WeakKeyDictionary

#: Seconds between two checks of a socket that is full.
PAUSE = 0.01
_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def room() -> None:
    """Wait until a record can be written at once. Linux says so once three quarters of the socket's buffer are free."""
    if (socket := _socket()) is None:
        return
    writable = select.poll()
    writable.register(socket, select.POLLOUT)
    async with _lines.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        while not writable.poll(0):
            await asyncio.sleep(PAUSE)


def _socket() -> int | None:
    """Return the socket that the root logger of this process writes to."""
    for handler in logging.getLogger().handlers:
        try:
            descriptor: int = handler.stream.fileno()  # type: ignore[attr-defined]
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except (AttributeError, OSError, ValueError):  # a handler without a file, or with one that is closed
            continue
    return None
