"""What gets into the task log, and with which time: Airflow's log view sorts by it, and drops repetitions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from unique_k8s_job.task import log_writer
from unique_k8s_job.task.compat import airflow_version
from unique_k8s_job.task.log_writer import LogWriter, in_order, read_time, records_of, unmistakable, write_down

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
    line = {"kind": "log", "mark": False, "parts": [(1, "info", None)], "pod": "p", "container": "c"}
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


def shown_by_airflow_2(*files: str) -> list[str]:
    """What the log page of Airflow 2.11 shows of log files: its own functions where it runs us, else a copy of them."""
    if airflow_version() < (3, 0):
        from airflow.utils.log.file_task_handler import _interleave_logs  # type: ignore[attr-defined]

        return list(_interleave_logs(*files))
    records: list[tuple[Any, int, str]] = []
    for file in files:
        moment: Any = None
        for index, line in enumerate(file.splitlines()):
            if line:
                with contextlib.suppress(Exception):
                    moment = pendulum.parse(line.split(" ", 1)[0].strip("[]")) if " " in line else moment
                records.append((moment or pendulum.datetime(2000, 1, 1), index, line))
    ordered = [line for _, _, line in sorted(records)]
    return [line for line, before in zip(ordered, [None, *ordered[:-1]], strict=True) if line != before]


class File(logging.Handler):
    """A log file as Airflow 2 writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"))
        assert self.formatter
        self.formatter.default_time_format, self.formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03d+0000"
        self.formatter.converter = time.gmtime
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@pytest.fixture
def file() -> Iterator[tuple[LogWriter, File]]:
    """A writer of Airflow 2, and its file."""
    handler, logger = File(), logging.getLogger("task of Airflow 2")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield LogWriter(logger, structured=False), handler
    logger.removeHandler(handler)


def burst(*lines: str, times: bool = True) -> dict[str, Any]:
    """An event of many lines that came fast, each with its time."""
    text = "\n".join(
        f"09:49:57.{number // 10 % 1000:03} {line}" if times else line for number, line in enumerate(lines)
    )
    parts = [(len(lines), "info", None)]
    return {"kind": "log", "mark": False, "parts": parts, "pod": "p", "container": "c", "text": text}


def test_equal_lines_of_a_burst_are_all_shown_by_airflow_2(file: tuple[LogWriter, File]) -> None:
    writer, written = file
    for _ in range(6):
        writer.lines(burst(*["same"] * 50))
    assert sum(line.endswith(" same") for line in shown_by_airflow_2(written.text)) == 300


def test_lines_that_begin_with_a_date_stay_where_they_were_in_airflow_2(file: tuple[LogWriter, File]) -> None:
    writer, written = file
    dates = [f"{1999 + number}-01-01T00:00:00 line {number}" for number in range(50)]
    others = ["P1D is a duration", "2026 is a year", "10:00 is a time", "[2001-01-01] is one in brackets"]
    writer.message("Before")
    writer.lines(burst(*dates, *others, times=False))
    writer.lines(burst(*dates, *others))
    writer.message("After\n1999-01-01 comes\n1999-01-01 comes")
    shown = shown_by_airflow_2(written.text)
    assert shown == written.text.splitlines()
    assert [line.endswith(f" line {number % 50}") for number, line in enumerate(shown[1:51])] == [True] * 50


def test_equal_records_of_one_moment_are_all_shown_by_airflow_2(file: tuple[LogWriter, File]) -> None:
    writer, written = file
    line = {
        "kind": "log",
        "mark": False,
        "parts": [(1, "info", "2026-01-01T06:00:00.5Z")],
        "pod": "p",
        "container": "c",
    }
    for _ in range(20):
        writer.lines({**line, "text": "same"})
        writer.message("our own words")
    assert shown_by_airflow_2(written.text) == written.text.splitlines()
    assert written.text.count("same") == 20


def test_single_line_keeps_the_time_of_its_container_in_airflow_2(
    file: tuple[LogWriter, File], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_now", lambda: at(9))
    writer, written = file
    writer._last = at(0)
    parts = [(1, "info", "2026-01-01T06:00:07.057999Z")]
    line = {"kind": "log", "mark": False, "parts": parts, "pod": "p", "container": "c"}
    writer.lines({**line, "text": "tick"})
    assert written.text.startswith("[2026-01-01T06:00:07.057+0000] {log_writer.py:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", "one"),
        ("", ""),
        ("one\ntwo\nthree", "one\n2| two\n3| three"),
        ("10 %\r2026 %\u202820 %\x0b30 %", "10 %\n2| 2026 %\n3| 20 %\n4| 30 %"),
    ],
)
def test_lines_of_a_record_of_airflow_2_begin_with_their_number(text: str, expected: str) -> None:
    assert unmistakable(text) == expected


def test_parts_of_an_event_are_records_with_their_own_level_and_time() -> None:
    event = {
        "text": "one\n\nERROR three\nfour",
        "parts": [(2, "info", "2026-01-01T06:00:01Z"), (1, "error", "2026-01-01T06:00:02Z"), (1, "warning", None)],
    }
    assert list(records_of(event)) == [
        ("one\n", "info", "2026-01-01T06:00:01Z"),
        ("ERROR three", "error", "2026-01-01T06:00:02Z"),
        ("four", "warning", None),
    ]
    assert list(records_of({"text": "a\nb", "parts": [(2, "info", None)]})) == [("a\nb", "info", None)]


def test_level_and_time_of_a_line_are_those_of_its_record_in_airflow_2(
    file: tuple[LogWriter, File], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_now", lambda: at(9))
    writer, written = file
    writer._last = at(0)
    parts = [(1, "info", "2026-01-01T06:00:07Z"), (1, "error", "2026-01-01T06:00:08Z")]
    line = {"kind": "log", "mark": False, "parts": parts, "pod": "p", "container": "c"}
    writer.lines({**line, "text": "a\nERROR b"})
    first, second = written.text.splitlines()
    assert first.startswith("[2026-01-01T06:00:07.000+0000]") and first.endswith(" INFO - a")
    assert second.startswith("[2026-01-01T06:00:08.000+0000]") and second.endswith(" ERROR - ERROR b")


@pytest.mark.skipif(airflow_version() < (3, 0), reason="records have fields from Airflow 3 on")
def test_record_of_airflow_3_has_the_level_the_time_and_the_source_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[tuple[str, str, dict[str, Any]]] = []

    class Structured:
        def __getattr__(self, level: str) -> Any:
            return lambda text, **fields: records.append((level, text, fields))

    monkeypatch.setattr(log_writer, "_logger", lambda _: Structured())
    writer = LogWriter(logging.getLogger("task"), structured=True)
    writer._last = at(0)
    parts = [(1, "info", "2026-01-01T06:00:07.5Z"), (1, "error", "2026-01-01T06:00:08Z")]
    writer.lines({"kind": "log", "mark": False, "parts": parts, "pod": "p", "container": "c", "text": "a\nERROR b"})
    source = {"pod": "p", "container": "c"}
    assert records == [
        ("info", "a", {"timestamp": "2026-01-01T06:00:07.500000Z", **source}),
        ("error", "ERROR b", {"timestamp": "2026-01-01T06:00:08.000000Z", **source}),
    ]
