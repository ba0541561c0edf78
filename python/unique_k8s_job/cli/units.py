"""Words numbers for people: counts with the right plural, and how long ago something was."""

from __future__ import annotations

from datetime import datetime


def count(number: int, noun: str) -> str:
    """Return `1 Job`, `34 Jobs`, `no Job`."""
    if number == 0:
        return f"no {noun}"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def since(time: str | None, now: str) -> str:
    """Return how long ago something was, in its largest unit."""
    if time is None:
        return "?"
    return duration((moment(now) - moment(time)).total_seconds())


def duration(seconds: float) -> str:
    """Return so many seconds in their largest unit: `3 h`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def moment(time: str) -> datetime:
    """Return the moment of an RFC 3339 text."""
    return datetime.fromisoformat(time.replace("Z", "+00:00"))
