"""Writes what a Job does into the task log: container lines with the container's own time, sentences as they come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("unique_k8s_job")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def write_lines(event: dict[str, Any]) -> None:
    """Write a `log` event: one record, of one line or of many.

    A single line keeps the container's timestamp where Airflow's log can (3.x), so that the log view sorts by it.
    """
    if event["mark"]:
        log.warning("%s", event["text"])
        return
    writer = _structured()
    if writer is None:
        log.info("%s", event["text"])
    elif event["timestamp"]:
        writer(event["text"], timestamp=event["timestamp"], pod=event["pod"], container=event["container"])
    else:
        writer(event["text"], pod=event["pod"], container=event["container"])


def say(event: dict[str, Any]) -> None:
    """Write a `message` event."""
    log.log(_LEVELS[event["level"]], "%s", event["text"])


def _structured() -> Callable[..., Any] | None:
    global _writer, _looked
    if not _looked:
        _looked = True
        try:
            import airflow.sdk  # noqa: F401  # Airflow 3 logs by structlog, Airflow 2 does not
            import structlog
        except ImportError:
            return None
        _writer = structlog.get_logger("unique_k8s_job.container").info
    return _writer


_writer: Callable[..., Any] | None = None
_looked = False
