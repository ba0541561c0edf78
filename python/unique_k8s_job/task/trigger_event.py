"""Makes and reads the one event that a trigger sends: how its Job ended, or why it stopped following. Pure.

Promise: an event is small, whatever the Job was (at most `LIMIT` bytes as JSON, the result of the Job, which the core
limits, and the data that the trigger passes back), and has no line of a log. An event of another version is read as far as possible. Airflow keeps events in its
database and shows them in the task log. The event has everything that the resumed task needs, because `dag.test()`
passes on nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job import exceptions
from unique_k8s_job.described import described
from unique_k8s_job.exceptions import InternalError, UniqueK8sJobError

VERSION = 1
#: Bytes of an event as JSON.
LIMIT = 16 * 1024


def of_outcome(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Make the event for an outcome: its result whole, and fewer containers if there are too many."""
    told: dict[str, Any] = json.loads(json.dumps(outcome, default=str))
    result = {key: told.pop(key) for key in ("result",) if key in told}
    return {"version": VERSION, "kind": "outcome", "outcome": {**shortened(told), **result}}


def of_error(error: UniqueK8sJobError) -> dict[str, Any]:
    """Make the event for an error."""
    facts = json.loads(json.dumps(error.facts, default=str))
    fields = {"class": type(error).__name__, "message": error.message, "seen": error.seen, "hint": error.hint}
    event = {"version": VERSION, "kind": "error", "error": {**fields, "facts": facts}}
    if _size(event) > LIMIT:
        fields = {**fields, "message": error.message[: LIMIT // 4], "seen": [text[:512] for text in error.seen[:8]]}
        event = {"version": VERSION, "kind": "error", "error": {**fields, "facts": {}}}
    return event


def of_deadline(seconds: float) -> dict[str, Any]:
    """Make the event for a task whose `execution_timeout` is over."""
    return {"version": VERSION, "kind": "deadline", "seconds": seconds}


def of_verdict(verdict: str, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the event of a sensor: its verdict, and as many of its Jobs as fit, the failed ones first."""
    plain: list[dict[str, Any]] = json.loads(json.dumps(list(jobs), default=str))
    plain.sort(key=lambda job: (job.get("outcome") or {}).get("state") != "failed")
    for job in plain:
        if job.get("outcome"):
            job["outcome"] = shortened(job["outcome"])
    kept = plain
    while len(kept) > 1 and _size(kept) > LIMIT:
        kept = kept[: len(kept) // 2]
    event = {"version": VERSION, "kind": "verdict", "verdict": verdict, "jobs": kept}
    return {**event, "jobs_left_out": len(plain) - len(kept)}


def error_in(event: Mapping[str, Any]) -> UniqueK8sJobError:
    """Rebuild the error of an event; one of an unknown class is a plain `UniqueK8sJobError`."""
    fields = event.get("error") or {}
    kind = getattr(exceptions, str(fields.get("class")), UniqueK8sJobError)
    if not (isinstance(kind, type) and issubclass(kind, UniqueK8sJobError)):
        kind = UniqueK8sJobError
    message = str(fields.get("message") or "The trigger ended with an error")
    return kind(message, seen=fields.get("seen") or (), hint=fields.get("hint"), **(fields.get("facts") or {}))


def unreadable(event: Any) -> InternalError:
    """Make the error for an event that cannot be read."""
    # The event may hold output of a container, so it is not quoted.
    seen = (
        f"a dict with the keys {', '.join(sorted(map(str, event)))}" if isinstance(event, Mapping) else described(event)
    )
    return InternalError("The trigger's event cannot be read", seen=[seen])


def shortened(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome that fits: without messages of containers, and if needed with fewer of these."""
    if _size(outcome) <= LIMIT // 2:
        return outcome
    containers = [{**end, "message": None} for end in outcome.get("containers") or ()]
    containers.sort(key=lambda end: end.get("exit_code") == 0)  # stable: the failed ones first
    # A Pod that is left out is in the summary, or is one of many with the same end.
    pods = [{**end, "message": None, "conditions": []} for end in outcome.get("pods") or ()]
    for kept in (max(len(containers), len(pods)), 32, 8, 0):
        outcome = {**outcome, "containers": containers[:kept], "containers_left_out": max(0, len(containers) - kept)}
        outcome = {**outcome, "pods": pods[:kept], "pods_left_out": max(0, len(pods) - kept)}
        if _size(outcome) <= LIMIT // 2:
            return outcome
    summary = str(outcome.get("summary", ""))
    cause = outcome.get("cause")
    outcome = {**outcome, "cause": None if cause is None else str(cause)[: LIMIT // 16]}
    return {**outcome, "message": None, "summary": summary[: LIMIT // 8]}


def _size(value: Any) -> int:
    return len(json.dumps(value).encode())
