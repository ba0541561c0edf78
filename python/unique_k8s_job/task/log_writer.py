"""Writes the task log: our own sentences, and the lines of the Job's containers.

Promise: records appear in Airflow's log view in the order in which they were written, none of them is dropped there as
a repetition, and the time of a record is the moment in which the container wrote its first line. Airflow 3 sorts
records by time, and drops a record that is equal to the one before in all fields. So the time of a line is that of its
container, but never before that of the last record, and never in the future (the clocks of nodes differ). Lines that
come slowly are a record each. Many lines that come fast are one record, because Airflow's cost is for a record, not for
a line: the native module says which lines are one record, and of which level. Airflow 2 sorts by everything that looks
like a time at the beginning of a line, even inside a record, and drops a line that is equal to the one before. So there
all lines of a record but the first begin with their number, as `2| `, and no two records have the same millisecond.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from unique_k8s_job.exceptions import InternalError
from unique_k8s_job.task.compat.behaviour import records_have_fields
from unique_k8s_job.task.compat.log_channel import room

if TYPE_CHECKING:
    from unique_k8s_job._core import LogEvent, MessageEvent, OutcomeEvent, SubmittedEvent, Waiter

#: Seconds of logging after which the other coroutines of the loop get their turn.
TURN = 0.02
#: The precision of the log view: Airflow 3 shows microseconds, Airflow 2 milliseconds.
_TICK = timedelta(microseconds=1)
_TICK_OF_AIRFLOW_2 = timedelta(milliseconds=1)
_SKEW = timedelta(seconds=1)
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


class LogWriter:
    """Writes the log of a try, on the thread that Airflow knows.

    :param log: the logger of the task: of `logging` up to Airflow 3.2, of `structlog` from 3.3 on
    :param structured: whether records may carry fields and a time of their own (Airflow 3)
    """

    def __init__(self, log: Any, *, structured: bool) -> None:
        self._log = log
        self._lines = _structured_logger(log) if structured else None
        self._last = _now()
        #: When the last line of a container was written, monotonic; 0 before the first.
        self.last_line = 0.0

    @classmethod
    def of_task(cls, log: Any) -> LogWriter:
        """Make a writer for the logger of a task, as this Airflow needs it."""
        return cls(log, structured=records_have_fields())

    def message(self, text: str, level: str = "info") -> None:
        """Write a sentence of our own."""
        if self._lines is None:
            self._record(logging.getLevelName(level.upper()), text, _now())
        else:
            self._log.log(logging.getLevelName(level.upper()), "%s", text)
            self._last = max(self._last, _now())

    def lines(self, event: Mapping[str, Any]) -> None:
        """Write an event of the kind `log`: one line or many, or a mark about the log."""
        self.last_line = time.monotonic()
        if event["mark"]:
            self.message(event["text"], "warning")
            return
        for text, level, stamp in records_of(event):
            if self._lines is None:
                written = (read_time(stamp) if stamp else None) or _now()
                self._record(logging.getLevelName(level.upper()), text, written)
                continue
            moment, fields = self._time(stamp)
            getattr(self._lines, level)(
                text,
                timestamp=moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                pod=event["pod"],
                container=event["container"],
                **fields,
            )

    def _record(self, level: int, text: str, written: datetime) -> None:
        """Write a record of which Airflow 2's log view shows every line in its place."""
        if not self._log.isEnabledFor(level):
            return
        moment = in_order(_whole(written), self._last, _whole(_now()), tick=_TICK_OF_AIRFLOW_2)
        self._last = moment = _whole(moment)
        file, line, function, _ = self._log.findCaller()
        record = self._log.makeRecord(self._log.name, level, file, line, "%s", (unmistakable(text),), None, function)
        record.created, record.msecs = moment.timestamp(), moment.microsecond // 1000
        self._log.handle(record)

    def _time(self, stamp: str | None) -> tuple[datetime, dict[str, str]]:
        now = _now()
        written = read_time(stamp) if stamp else None
        self._last = time = in_order(written or now, self._last, now)
        if written is not None and abs(time - written) > _SKEW:
            return time, {"written": str(stamp)}
        return time, {}


@overload
async def write_down(waiter: Waiter, log: LogWriter) -> dict[str, Any]: ...
@overload
async def write_down(waiter: Waiter, log: LogWriter, timeout: float | None) -> dict[str, Any] | None: ...
async def write_down(waiter: Waiter, log: LogWriter, timeout: float | None = None) -> dict[str, Any] | None:
    """Write the events of a Waiter into the task log, and return the outcome. Airflow knows this coroutine's context.

    :param timeout: seconds after which None is returned instead, once everything that has come is written; None waits
        for ever
    :raises InternalError: if the waiter ends without an outcome

    Events that were taken from the Waiter are written before a cancellation goes on, because the position in the log is
    already behind them.
    """
    over = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if over is None else over - time.monotonic()
        if left is not None and left <= 0:
            return None
        events = deque(await waiter.next(left))
        if not events and (over is None or time.monotonic() < over):
            raise InternalError("The native waiter ended without an outcome")
        if outcome := await _write_all(events, log):
            return outcome
        del events  # a thousand triggers wait above


async def _write_all(
    events: deque[SubmittedEvent | MessageEvent | LogEvent | OutcomeEvent], log: LogWriter
) -> dict[str, Any] | None:
    """Write events that came together; return the outcome if it is one of them."""
    turn = time.monotonic()
    try:
        while events:
            first = events[0]
            if first["kind"] == "outcome":
                return dict(first)
            if first["kind"] == "log":
                await room()
            _write(events.popleft(), log)
            if time.monotonic() - turn > TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
    except asyncio.CancelledError:
        for taken in events:
            _write(taken, log)
        raise
    return None


def _write(event: SubmittedEvent | MessageEvent | LogEvent | OutcomeEvent, log: LogWriter) -> None:
    if event["kind"] == "log":
        log.lines(event)
    elif event["kind"] == "message":
        log.message(event["text"], event["level"])


def records_of(event: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Return the records of an event of the kind `log`: each one's text, level, and the time of its first line. Pure."""
    parts = event["parts"]
    if len(parts) == 1:
        _, level, stamp = parts[0]
        yield event["text"], level, stamp
        return
    lines = iter(event["text"].split("\n"))
    for count, level, stamp in parts:
        yield "\n".join(islice(lines, count)), level, stamp


def in_order(written: datetime, last: datetime, now: datetime, *, tick: timedelta = _TICK) -> datetime:
    """Return the time of a record: when it was written, but after the last record and not in the future. Pure."""
    return max(min(written, now), last + tick)


def _whole(time: datetime) -> datetime:
    """Return a time cut to its millisecond."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def unmistakable(text: str) -> str:
    """Return the text of a record as Airflow 2 can show it: each line but the first begins with its number. Pure.

    A line ends where the log view ends it: at a line feed, a carriage return, or a line separator of Unicode.
    """
    first, *more = text.splitlines() or [""]
    return "\n".join([first, *(f"{number}| {line}" for number, line in enumerate(more, 2))])


def read_time(stamp: str) -> datetime | None:
    """Read `2026-01-01T06:00:00.123456789Z` in the microseconds that Python keeps; None if it is no time."""
    if not (match := _STAMP.fullmatch(stamp)):
        return None
    second, fraction, zone = match.groups()
    try:
        time = datetime.fromisoformat(second + zone.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (time + timedelta(microseconds=int((fraction or "")[:6].ljust(6, "0")))).astimezone(timezone.utc)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _structured_logger(log: Any) -> Any:
    return _logger(log.name)


@functools.cache
def _logger(name: str) -> Any:
    import structlog

    return structlog.get_logger(name)
