"""The one loop that takes the events of work under way in the core, on a thread that may wait.

A trigger must not wait: its loop is `write_down` in `task/log_writer.py`, which writes what it has taken before a
cancellation goes on. A generator could not promise that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

E = TypeVar("E")

#: Seconds of one wait in the core.
LONGEST_WAIT = 60.0
#: The kinds of events after which none comes.
_LAST = frozenset(("outcome", "ended", "removed"))


class Source(Protocol[E]):
    """Something under way: a `Run` or a `Work`."""

    def next(self, timeout: float) -> list[E]:
        """Wait for events, at most so many seconds."""


def events(
    source: Source[E],
    seconds: Callable[[], float] = lambda: math.inf,
    *,
    stopped: Callable[[], bool] = lambda: False,
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[E]:
    """Yield the events in order, up to the last one, or until there is no time left, or somebody has stopped it.

    :param seconds: how many seconds are left; asked before each wait
    :param stopped: asked before each wait
    :param waiting: surrounds each wait
    :raises UniqueK8sJobError: what ended the work instead of its last event
    """
    while not stopped() and (left := seconds()) > 0:
        with waiting():
            taken = source.next(min(left, LONGEST_WAIT))
        for event in taken:
            yield event
            kind: Any = event
            if kind["kind"] in _LAST:
                return
