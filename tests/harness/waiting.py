"""Waiting for something observed, instead of sleeping for a guessed time.

Promise: `until` returns what the probe saw, or raises `TimedOut` that says what was awaited and what was seen last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


class TimedOut(AssertionError):
    """What was awaited did not come. The message names it, the time given, and the last thing seen."""


def until(
    what: str,
    probe: Callable[[], Seen | None],
    *,
    seconds: float,
    every: float = 0.2,
    seen: Callable[[], object] | None = None,
) -> Seen:
    """Call `probe` every `every` seconds until it returns something true, for at most `seconds` seconds.

    `seen` describes the present state for the error; without it the last value of the probe is shown.
    An exception of the probe ends the wait: a probe says "not yet" by returning None.
    """
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= end:
            last = seen() if seen is not None else value
            raise TimedOut(f"{what}: not within {seconds:g} s\n  seen: {last}")
        time.sleep(every)
