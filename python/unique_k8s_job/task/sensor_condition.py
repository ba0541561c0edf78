"""Decides whether a sensor is satisfied by the Jobs that were found, or never will be. A pure table."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

#: The states that a sensor can wait for.
UNTIL = ("succeeded", "finished", "gone", "exists")


class Verdict(enum.Enum):
    """The meaning of the Jobs that were found."""

    WAIT = "wait"
    SATISFIED = "satisfied"
    #: One of the Jobs failed, and success was awaited.
    FAILED = "failed"
    #: A Job that can never come back is gone, and its end was not seen.
    VANISHED = "vanished"


def verdict(until: str, jobs: Sequence[Mapping[str, Any]], *, by_uid: bool) -> Verdict:
    """Judge the Jobs that were found.

    :param until: one of `UNTIL`
    :param jobs: each `{"job": {...}, "outcome": {...} or None, ...}`: all that fit the sensor's target
    :param by_uid: whether the target names a uid, which never comes back once it is gone
    """
    if until == "gone":
        return Verdict.WAIT if jobs else Verdict.SATISFIED
    if not jobs:
        return Verdict.VANISHED if by_uid else Verdict.WAIT
    if until == "exists":
        return Verdict.SATISFIED
    states = [(job.get("outcome") or {}).get("state") for job in jobs]
    if until == "succeeded" and "failed" in states:
        return Verdict.FAILED
    return Verdict.SATISFIED if all(states) else Verdict.WAIT


def failed(jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the outcomes of the Jobs that failed."""
    outcomes = [dict(job.get("outcome") or {}) for job in jobs]
    return [outcome for outcome in outcomes if outcome.get("state") == "failed"]
