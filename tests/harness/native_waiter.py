"""The native module's `Waiter` by itself, in an asyncio loop: what a triggerer does with it, without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from native_run import Follower
from unique_k8s_job import _core

Event = dict[str, Any]


async def events_to_the_end(waiter: Any, seen: Callable[[Event], None] | None = None) -> list[Event]:
    """All events of a waiter, up to and including the outcome."""
    events: list[Event] = []
    while not events or events[-1]["kind"] != "outcome":
        batch = await waiter.next()
        if not batch:
            raise AssertionError(f"the waiter ended without an outcome, after {events[-3:]}")
        for event in batch:
            events.append(event)
            if seen:
                seen(event)
    return events


def started_and_handed_over(native: _core.Cluster, wanted: Any, *, after: str = "submitted") -> str:
    """Start a Job, follow it until the first event of this kind, and hand it over; what was handed over."""
    run = _core.Run(native, wanted)
    Follower.until(run, after)
    handed_over = run.hand_over()
    if handed_over is None:
        raise AssertionError("a run that has its Job handed nothing over")
    return handed_over


def log_of(events: Iterable[Mapping[str, object]]) -> str:
    """The text of all lines and marks, in order."""
    return "\n".join(str(event["text"]) for event in events if event["kind"] == "log")


def wait_for(native: _core.Cluster, handed_over: str) -> list[Event]:
    """Wait for a Job in a loop of its own; all events."""

    async def wait() -> list[Event]:
        return await events_to_the_end(_core.Waiter(native, handed_over))

    return asyncio.run(wait())
