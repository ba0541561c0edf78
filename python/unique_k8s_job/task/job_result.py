"""Turns an outcome into the value that a task returns, or the error that it raises. Pure; the same in every mode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job import native
from unique_k8s_job.exceptions import JobFailedError, JobResultError, JobVanishedError

#: The XCom that has the summary of the outcome where the task returns the result of the Job.
JOB_OUTCOME = "job_outcome"
#: Characters of a text that is no JSON, which its error shows.
SHOWN = 1000


def summary(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an outcome that is stored as XCom."""
    return {key: value for key, value in outcome.items() if key not in ("kind", "timeline", "result")}


def result(outcome: Mapping[str, Any]) -> Any:
    """Return the value that the Job has left as its result: None where it wrote nothing.

    Of an Indexed Job it is a dict by index, with text keys, as Airflow stores them; of a Job with several completions a
    list.

    :raises JobResultError: if it cannot be used
    """
    found = outcome.get("result") or {}
    if "unusable" in found:
        why = found["unusable"]
        raise _unusable(outcome, why["message"], seen=why["seen"], hint=why["hint"])
    if "text_by_index" in found:
        texts = found["text_by_index"]
        return {index: _read(outcome, text, f" of index {index}") for index, text in texts.items()}
    if "texts" in found:
        texts = found["texts"]
        return [_read(outcome, text, f" ({number} of {len(texts)})") for number, text in enumerate(texts, 1)]
    if "text" in found:
        return _read(outcome, found["text"], "")
    raise _unusable(
        outcome,
        f"The result of {_named(outcome)} was not read",
        seen=["whoever followed the Job did not know that its result is wanted"],
        hint="the task was deferred before it had `xcom`, or the triggerer has an older version of this package: clear "
        "the task",
    )


def _read(outcome: Mapping[str, Any], text: str | None, whose: str) -> Any:
    """Read a text as `cncf.kubernetes` reads it: Python's own reader also takes NaN and long numbers."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= SHOWN else text[:SHOWN] + "..."
        raise _unusable(
            outcome,
            f"The result of {_named(outcome)}{whose} is no JSON: {error}",
            seen=[f"{native.RESULT_FILE} has: {shown}"],
            hint="write JSON, as `json.dumps` does: a text needs double quotes around it",
        ) from error


def _unusable(outcome: Mapping[str, Any], message: str, *, seen: Sequence[str], hint: str | None) -> JobResultError:
    return JobResultError(message, seen=seen, hint=hint, outcome=summary(outcome), **(outcome.get("job") or {}))


def _named(outcome: Mapping[str, Any]) -> str:
    job = outcome.get("job") or {}
    return f"Job `{job.get('namespace')}/{job.get('name')}`"


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
