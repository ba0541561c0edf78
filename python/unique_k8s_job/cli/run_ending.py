"""Decides what is done with the Job of a `run` that ends, and the exit code: one table for all ways to end. Pure.

Promise: a Job that may have been made is deleted, or left and named. Exit code 1 never means an error of this program.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from unique_k8s_job.cli.exit_codes import INTERRUPTED, OUR_ERROR, TIMEOUT


class Cause(Enum):
    """The reason why a run ends before the outcome of its Job was reported."""

    #: Ctrl-C.
    KEYBOARD = auto()
    #: SIGTERM, SIGHUP, SIGQUIT: nobody is there to ask.
    SIGNAL = auto()
    #: stderr takes no more text, or stdout takes none although somebody wants it.
    STREAM_LOST = auto()
    #: `--timeout` has passed.
    TIMEOUT = auto()
    #: The Job cannot be made, or cannot start.
    ERROR = auto()
    #: The Job was made, and the API server refuses to report it or does not answer: that proves nothing about its work.
    LOST = auto()
    #: The API server does not answer.
    UNREACHABLE = auto()
    #: Somebody else owns the Job now.
    TAKEN_OVER = auto()
    #: A fault of this package.
    FAULT = auto()


class JobAction(Enum):
    """The action on the Job of a `run` that ends."""

    #: No request to make the Job was sent.
    NOT_MADE = auto()
    #: The user is asked.
    ASKED = auto()
    #: The Job goes on, and its name is printed.
    LEFT = auto()
    #: The Job is deleted, and the deletion is confirmed.
    DELETED = auto()
    #: The Job belongs to another owner.
    OF_ANOTHER = auto()


class Ending(NamedTuple):
    """How a run ends."""

    action: JobAction
    #: The exit code of the process.
    code: int
    #: Seconds to confirm a deletion.
    confirm_for: float = 60.0


_CODES = {Cause.KEYBOARD: INTERRUPTED, Cause.SIGNAL: INTERRUPTED, Cause.TIMEOUT: TIMEOUT}


def ending(cause: Cause, *, begun: bool, keep: bool, can_ask: bool) -> Ending:
    """Decide.

    :param begun: whether a request to make the Job may have been sent
    :param keep: whether the user wants the Job to be left, unless its time is over
    :param can_ask: whether a person sits at the terminal
    """
    code = _CODES.get(cause, OUR_ERROR)
    if not begun:
        return Ending(JobAction.NOT_MADE, code)
    if cause is Cause.TAKEN_OVER:
        return Ending(JobAction.OF_ANOTHER, code)
    if cause is Cause.LOST or (keep and cause is not Cause.TIMEOUT):
        return Ending(JobAction.LEFT, code)
    if cause is Cause.KEYBOARD and can_ask:
        return Ending(JobAction.ASKED, code)
    # The program does not wait twice for an API server that is away.
    return Ending(JobAction.DELETED, code, 5.0 if cause is Cause.UNREACHABLE else 60.0)
