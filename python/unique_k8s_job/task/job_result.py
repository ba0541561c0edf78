"""What a task makes of an outcome: the value it returns, or the error it raises. Pure; the same in every mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job.exceptions import JobFailedError, JobVanishedError


def summary(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return what becomes of an outcome as XCom."""
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
