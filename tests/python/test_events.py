"""The one loop that takes events: in order, up to the last one, and never longer than there is time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from unique_k8s_job.events import LONGEST_WAIT, events
from unique_k8s_job.exceptions import JobFailedError


class Scripted:
    """Work that gives these answers one after the other."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers, self.waits = list(answers), list[float]()

    def next(self, timeout: float) -> list[dict[str, Any]]:
        self.waits.append(timeout)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [{"kind": kind} for kind in answer]


def kinds(taken: Iterator[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in taken]


@pytest.mark.parametrize("last", ["outcome", "ended", "removed"])
def test_events_come_in_order_and_nothing_is_asked_for_after_the_last_one(last: str) -> None:
    work = Scripted(["submitted", "message"], [], ["log", last], ["log"])
    assert kinds(events(work)) == ["submitted", "message", "log", last]
    assert work.waits == [LONGEST_WAIT] * 3


def test_each_wait_is_as_long_as_there_is_time_and_the_last_events_are_given_before_it_is_over() -> None:
    work, left = Scripted(["log"], [], ["message"]), iter([90.0, 2.5, 0.1, 0.0])
    assert kinds(events(work, lambda: next(left))) == ["log", "message"]
    assert work.waits == [LONGEST_WAIT, 2.5, 0.1]


def test_one_who_is_stopped_waits_no_more_and_keeps_what_has_come() -> None:
    work, taken = Scripted(["log", "log"], ["log"]), list[str]()
    for event in events(work, stopped=lambda: bool(taken)):
        taken.append(event["kind"])
    assert (taken, len(work.waits)) == (["log", "log"], 1)


def test_only_the_waits_are_surrounded_and_an_error_comes_after_all_events() -> None:
    inside, taken = [False], list[str]()

    @contextmanager
    def waiting() -> Iterator[None]:
        inside[0] = True
        try:
            yield
        finally:
            inside[0] = False

    with pytest.raises(JobFailedError):
        for event in events(Scripted(["message"], JobFailedError("no")), waiting=waiting):
            taken.append(event["kind"])
            assert not inside[0]
    assert taken == ["message"] and not inside[0]
