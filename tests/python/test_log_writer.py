"""What gets into the task log, and with which time: Airflow's log view sorts by it, and drops repetitions."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import log_writer
from unique_k8s_job.log_writer import LogWriter, in_order, read_time, write_down

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    return SIX + timedelta(seconds=seconds)


def test_line_keeps_the_time_of_its_container() -> None:
    assert in_order(at(5), last=at(4), now=at(6)) == at(5)


def test_line_of_before_the_last_record_comes_right_after_it() -> None:
    assert in_order(at(1), last=at(4), now=at(6)) == at(4.000001)


def test_line_from_a_node_whose_clock_is_ahead_is_of_now() -> None:
    assert in_order(at(99), last=at(4), now=at(6)) == at(6)


def test_equal_lines_of_one_moment_differ_so_that_none_is_dropped() -> None:
    first = in_order(at(5), last=at(4), now=at(6))
    assert in_order(at(5), last=first, now=at(6)) > first


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-01-01T06:00:00.123456789Z", at(0.123456)),
        ("2026-01-01T06:00:00.5Z", at(0.5)),
        ("2026-01-01T06:00:00Z", at(0)),
        ("2026-01-01T08:00:00.250000000+02:00", at(0.25)),
        ("2026-13-01T06:00:00Z", None),
        ("not a time", None),
    ],
)
def test_stamp_of_the_kubelet_is_read_to_the_microsecond(stamp: str, expected: datetime | None) -> None:
    assert read_time(stamp) == expected


def test_lines_that_were_taken_are_written_before_a_cancellation_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line = {"kind": "log", "mark": False, "timestamp": None, "pod": "p", "container": "c"}
    message = {"kind": "message", "level": "warning", "text": "by the way"}
    batch: list[Any] = [{**line, "text": "one"}, {**line, "text": "two"}, message, {**line, "text": "three"}]

    async def tell(_: float | None) -> list[Any]:
        return [*batch, {"kind": "outcome"}]

    async def main() -> None:
        writer = LogWriter(logging.getLogger("task"), structured=False)
        writing = asyncio.create_task(write_down(SimpleNamespace(next=tell), writer))
        await asyncio.sleep(0)  # it has written one line, and lets others have their turn
        assert caplog.messages == ["one"]
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    monkeypatch.setattr(log_writer, "TURN", -1.0)
    caplog.set_level(logging.INFO, "task")
    asyncio.run(main())
    assert caplog.messages == ["one", "two", "by the way", "three"]
