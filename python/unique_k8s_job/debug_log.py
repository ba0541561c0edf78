"""Passes the debug log of the Rust core to the logger `unique_k8s_job.core`.

Promise: it is off by default, and then costs one question to `logging` at each use of the core. It is on if that logger
is enabled for DEBUG, or if the variable `UNIQUE_K8S_JOB_LOG` is `debug` or `trace`; `trace` adds the events of watches.
A record has the time at which the core wrote it, and the lowest level from DEBUG on that some handler accepts: those of
Airflow 3 accept INFO. Lines come from a thread of the core, a moment later, and nobody waits for them. Only the end of
the process waits for the last ones. `docs/debug-log.md` is for users.
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
#: The name of the variable.
VARIABLE = "UNIQUE_K8S_JOB_LOG"
#: The values of the variable, each with the logger level that it stands for.
LEVELS = {"trace": 5, "debug": logging.DEBUG}
#: The most seconds that the end of a process waits for the last lines.
LAST_WORDS = 2.0

logger = logging.getLogger(NAME)
#: The level that the core was told last.
_core_level = "off"
#: Values of the variable for which a warning was written.
_refused: set[str] = set()


def begin(core: ModuleType) -> None:
    """Tell the core how much to write now. It is cheap, because it runs before each use of the core."""
    global _core_level
    level = _level()
    if level != _core_level:
        if _core_level == "off":
            import atexit

            atexit.register(flush)
        _core_level = level
        core.begin_debug_log(level, _write)


def turn_on(level: str) -> None:
    """Enable the logger for a level of `LEVELS`, and give it stderr if it has no handler.

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
    if _core_level != "off" and (core := sys.modules.get("unique_k8s_job._core")):
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
    """Write the lines of the core into the logger."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    level = max(logging.DEBUG, _lowest_handled())
    for created, text in lines:
        record = logger.makeRecord(NAME, level, "(core)", 0, text, (), None)
        record.created, record.msecs = created, created % 1 * 1000
        logger.handle(record)


def _lowest_handled() -> int:
    """Return the lowest level that some handler accepts; 0 if there is no handler."""
    levels = []
    at: logging.Logger | None = logger
    while at:
        levels += [handler.level for handler in at.handlers]
        at = at.parent if at.propagate else None
    return min(levels, default=0)
