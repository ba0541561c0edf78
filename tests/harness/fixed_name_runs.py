"""Tries of a task whose Job is always called the same, over the native module by itself."""

from __future__ import annotations

from typing import Any

from native_run import Follower, request

NAME = "nightly-report"


def wants(namespace: str, script: str, run_id: str, try_number: int = 1, **changes: Any) -> dict[str, Any]:
    """The request of a try of a task whose Job is always called the same."""
    wanted = request(namespace, script)
    wanted["attempt"] |= {"run_id": run_id, "try_number": try_number, "max_tries": 2, "retries": 2}
    return {**wanted, "fixed_name": NAME, **changes}


def finished(follower: Follower, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The outcome of an acknowledged run, and the codes of what it said."""
    run = follower.start(wanted)
    events = list(Follower.events(run))
    assert run.acknowledge() == []
    return events[-1], [event["code"] for event in events if event["kind"] == "message"]
