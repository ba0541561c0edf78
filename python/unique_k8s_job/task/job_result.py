"""Turns an outcome into the value that a task returns, or the error that it raises. Pure; the same in every mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job.exceptions import JobFailedError, JobVanishedError


def summary(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an outcome that is stored as XCom."""
    return {key: value for key, value in outcome.items() if key not in ("kind", "timeline")}


def failure(outcome: Mapping[str, Any], *, seen: Sequence[str] = ()) -> JobFailedError | JobVanishedError:
    """Make the error for a Job that did not succeed."""
    kind = JobFailedError if outcome.get("state") == "failed" else JobVanishedError
    return kind(
        str(outcome.get("summary")),
        seen=seen,
        outcome=summary(outcome),
        reason=outcome.get("reason"),
        exit_code=outcome.get("exit_code"),
        **(outcome.get("job") or {}),
    )
