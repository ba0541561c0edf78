"""`unique-k8s-job doctor` as tests ask it: one call, its JSON, and the findings of one Job or object in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from typing import Any

from command_line import CommandLine, Ended
from waiting import until

Finding = dict[str, Any]


def look(call: CommandLine, *options: str) -> dict[str, Any]:
    """One look, which has to succeed."""
    ended = call.call("doctor", "--json", *options)
    assert ended.code in (0, 1), ended
    report: dict[str, Any] = json.loads(ended.stdout)
    assert ended.code == (1 if report["stuck"] else 0), ended
    return report


def findings(report: dict[str, Any], job: str) -> list[Finding]:
    """The findings about the Jobs of this name; about the namespace for an empty one."""
    return [
        found for diagnosis in report["diagnoses"] if diagnosis["job"]["name"] == job for found in diagnosis["findings"]
    ]


def find(report: dict[str, Any], job: str, code: str) -> Finding | None:
    return next((finding for finding in findings(report, job) if finding["code"] == code), None)


def wait_for(
    call: CommandLine,
    wanted: AbstractSet[tuple[str, str]],
    *,
    seconds: float,
    lacks: Callable[[str, Finding], Collection[str]] = lambda job, finding: (),
) -> dict[tuple[str, str], Finding]:
    """Look until each pair of Job and code was found and lacks nothing; what was found of each.

    A finding grows with what happens: what a test wants of it may come later than its code.
    """
    found: dict[tuple[str, str], Finding] = {}
    last: dict[str, Any] = {}

    def all_found() -> bool:
        last.update(look(call))
        for job, code in wanted - set(found):
            finding = find(last, job, code)
            if finding and not lacks(job, finding):
                found[job, code] = finding
        return wanted <= set(found)

    def missing(job: str, code: str) -> str:
        finding = find(last, job, code)
        if finding is None:
            return f"{job}: no {code} in {findings(last, job)}"
        return f"{job}: {code} lacks {lacks(job, finding)} in {finding}"

    until(
        f"findings {sorted(wanted)}",
        all_found,
        seconds=seconds,
        every=1,
        seen=lambda: "\n".join(missing(*pair) for pair in sorted(wanted - set(found))),
    )
    return found


def fix(call: CommandLine, job: str) -> Ended:
    """Put right what can be put right about one Job, without being asked."""
    return call.call("doctor", "--job", job, "--fix", "--yes")
