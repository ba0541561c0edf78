"""The signals that end the program `unique-k8s-job`, from its first moment to its last.

Promise: none of them ends it in the middle of something. Until `listen` is called, one ends the process at once, with a
sentence and the exit code of an interruption: nothing has begun that would have to be undone. From then on it is raised as
`Interrupted`, but only inside `waiting`, around what may take long; one that comes elsewhere is raised as the next wait
begins. A signal that the caller ignores (`nohup`, a shell's `&`) stays ignored.
"""

from __future__ import annotations

import os
import signal

from unique_k8s_job.cli.exit_codes import INTERRUPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

#: Those that end a program; SIGPIPE is ignored by Python itself.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(BaseException):
    """One of the signals that end the program has arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def from_the_keyboard(self) -> bool:
        """Whether somebody pressed Ctrl-C, who can be asked."""
        return self.signal is signal.SIGINT


class _State:
    """What the handlers know; they run on the main thread only."""

    waits = False
    pending: list[int] = []  # noqa: RUF012 one process has one


class waiting:
    """Around what may take long: here, and nowhere else, a signal is raised. On other threads it does nothing."""

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
    """From now on, and until `listen`, the process ends where a signal finds it."""
    _install(_end_at_once)


def listen() -> None:
    """From now on signals are raised inside `waiting`."""
    _State.waits, _State.pending = False, []
    _install(_handle)


def forget() -> None:
    """Pass over the signals that no wait has met: what they ask for is being done."""
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
