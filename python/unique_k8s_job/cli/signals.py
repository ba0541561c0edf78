"""Handles the signals that end the program `unique-k8s-job`, from its first moment to its last.

Promise: no signal ends the program in the middle of a step. Until `listen` is called, a signal ends the process at
once, with a sentence and the exit code of an interruption, because nothing has begun that must be undone. From then on
it is raised as `Interrupted`, but only inside `waiting`, which surrounds steps that may take long. A signal that comes
elsewhere is raised when the next wait begins. A signal that the caller ignores (`nohup`, a shell's `&`) stays ignored.
"""

from __future__ import annotations

import os
import signal

from unique_k8s_job.cli.exit_codes import INTERRUPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

#: The signals that end a program; Python itself ignores SIGPIPE.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(BaseException):
    """One of the signals that end the program has arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def from_the_keyboard(self) -> bool:
        """Whether a person pressed Ctrl-C, who can be asked."""
        return self.signal is signal.SIGINT


class _State:
    """The state of the handlers, which run on the main thread only."""

    waits = False
    pending: list[int] = []  # noqa: RUF012 one process has one


class waiting:
    """Surround a step that may take long: only here a signal is raised. On other threads this does nothing."""

    def __enter__(self) -> None:
        import threading

        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._outer = _State.waits
            _State.waits = True
            if _State.pending:
                _interrupt(_State.pending.pop(0))

    def __exit__(self, *_: object) -> None:
        if self._main:
            _State.waits = self._outer


def end_at_once() -> None:
    """From now on, and until `listen`, a signal ends the process at once."""
    _install(_end_at_once)


def listen() -> None:
    """From now on signals are raised inside `waiting`."""
    _State.waits, _State.pending = False, []
    _install(_handle)


def forget() -> None:
    """Forget the signals that no wait has raised: the program is already doing what they ask for."""
    _State.pending.clear()


def _install(handler: object) -> None:
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    for descriptor in (2, 1):
        try:
            os.write(descriptor, b"Interrupted before anything was begun\n")
        except OSError:
            continue
        break
    os._exit(INTERRUPTED)


def _handle(number: int, _frame: FrameType | None) -> None:
    if _State.waits:
        _interrupt(number)
    _State.pending.append(number)


def _interrupt(number: int) -> None:
    _State.waits = False
    raise Interrupted(number)
