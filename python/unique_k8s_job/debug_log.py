"""The debug log of the Rust core, as the logger `unique_k8s_job.core`.

Promise: off by default, and then one question to `logging` at each use of the core. On where that logger is enabled for
DEBUG, or the variable `UNIQUE_K8S_JOB_LOG` is `debug` or `trace`; `trace` adds the events of watches. A record has the
time at which the core wrote it, and the lowest level from DEBUG on that some handler takes: those of Airflow 3 take INFO.
Lines come from a thread of the core, a moment later: nobody waits for them. At the end of the process the last ones are
waited for. `docs/debug-log.md` is for users.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

#: The logger's name.
NAME = "unique_k8s_job.core"
#: What the variable is called.
VARIABLE = "UNIQUE_K8S_JOB_LOG"
#: What it can be; each logger level from which on it is meant.
LEVELS = {"trace": 5, "debug": logging.DEBUG}
#: Seconds at most that the end of a process waits for the last lines.
LAST_WORDS = 2.0

logger = logging.getLogger(NAME)
#: What the core was told last.
_told = "off"
#: Values of the variable that were complained about.
_refused: set[str] = set()


def begin(core: ModuleType) -> None:
    """Tell the core what it has to write, as it is configured now. Cheap: called before each use of the core."""
    global _told
    level = _level()
    if level != _told:
        if _told == "off":
            import atexit

            atexit.register(flush)
        _told = level
        core.begin_debug_log(level, _write)


def turn_on(level: str) -> None:
    """Enable the logger for a level of `LEVELS`, and give it a place where it has none: stderr.

    :raises ValueError: if there is no such level
    """
    if level not in LEVELS:
        raise ValueError(f"`{level}` is no level of the debug log: {' or '.join(sorted(LEVELS))}")
    if not logger.isEnabledFor(LEVELS[level]):
        logger.setLevel(LEVELS[level])
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logger.addHandler(handler)


def flush() -> None:
    """Wait for the lines that were written so far, 2 s at most."""
    if _told != "off" and (core := sys.modules.get("unique_k8s_job._core")):
        core.flush_debug_log(LAST_WORDS)


def _level() -> str:
    wanted = os.environ.get(VARIABLE)
    if wanted:
        try:
            turn_on(wanted.lower())
        except ValueError as error:
            if wanted not in _refused:
                _refused.add(wanted)
                logging.getLogger(__name__).warning("%s: %s", VARIABLE, error)
    if not logger.isEnabledFor(logging.DEBUG):
        return "off"
    return "trace" if logger.isEnabledFor(LEVELS["trace"]) else "debug"


def _write(lines: list[tuple[float, str]]) -> None:
    """Take what the core has written."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    level = max(logging.DEBUG, _lowest_handled())
    for created, text in lines:
        record = logger.makeRecord(NAME, level, "(core)", 0, text, (), None)
        record.created, record.msecs = created, created % 1 * 1000
        logger.handle(record)


def _lowest_handled() -> int:
    """The lowest level that some handler takes; 0 where there is none."""
    levels = []
    at: logging.Logger | None = logger
    while at:
        levels += [handler.level for handler in at.handlers]
        at = at.parent if at.propagate else None
    return min(levels, default=0)
