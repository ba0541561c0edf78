"""When a sensor is satisfied: the whole table."""

from __future__ import annotations

from typing import Any

import pytest

from unique_k8s_job.task.sensor_condition import Verdict, verdict


def jobs(*states: str | None) -> list[dict[str, Any]]:
    return [{"job": {"uid": str(n)}, "outcome": state and {"state": state}} for n, state in enumerate(states)]


@pytest.mark.parametrize(
    ("until", "found", "by_uid", "expected"),
    [
        ("succeeded", [], False, Verdict.WAIT),
        ("succeeded", [], True, Verdict.VANISHED),
        ("succeeded", jobs(None), False, Verdict.WAIT),
        ("succeeded", jobs("succeeded"), False, Verdict.SATISFIED),
        ("succeeded", jobs("succeeded", None), False, Verdict.WAIT),
        ("succeeded", jobs("failed"), False, Verdict.FAILED),
        ("succeeded", jobs(None, "failed"), False, Verdict.FAILED),
        ("finished", [], False, Verdict.WAIT),
        ("finished", [], True, Verdict.VANISHED),
        ("finished", jobs("failed"), False, Verdict.SATISFIED),
        ("finished", jobs("failed", None), False, Verdict.WAIT),
        ("finished", jobs("failed", "succeeded"), True, Verdict.SATISFIED),
        ("exists", [], False, Verdict.WAIT),
        ("exists", [], True, Verdict.VANISHED),
        ("exists", jobs(None), False, Verdict.SATISFIED),
        ("exists", jobs("failed"), False, Verdict.SATISFIED),
        ("gone", [], False, Verdict.SATISFIED),
        ("gone", [], True, Verdict.SATISFIED),
        ("gone", jobs("failed"), False, Verdict.WAIT),
        ("gone", jobs(None), True, Verdict.WAIT),
    ],
)
def test_verdict_of_a_sensor_is_this_table(
    until: str, found: list[dict[str, Any]], by_uid: bool, expected: Verdict
) -> None:
    assert verdict(until, found, by_uid=by_uid) is expected
