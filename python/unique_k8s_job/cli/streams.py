"""Holds the two streams of the program, its only writers to stdout and stderr.

Promise: a write never raises for an error of the system, whether the stream is full, closed or without a reader. The
error is kept as `trouble`, and nothing more is written to that stream. A write that blocks, because nobody reads on,
ends with a signal.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

from unique_k8s_job.cli.signals import waiting

if TYPE_CHECKING:
    from typing_extensions import Self

#: Errors of a write if the other end of a pipe, socket or terminal is gone.
_NO_READER = (errno.EPIPE, errno.ECONNRESET)


class Stream(io.TextIOBase):
    """One of the two streams.

    :param name: the name that users know
    :param text: Python's own object for it; None if it was closed before the program began
    """

    def __init__(self, name: str, text: TextIO | None) -> None:
        super().__init__()
        self.name = name
        self._text = text
        self._descriptor = _descriptor(text)
        #: The reason why it takes no more text.
        self.trouble: OSError | None = None
        if text is None:
            self.trouble = OSError(errno.EBADF, "it is closed")
        #: Whether text was lost that somebody wanted.
        self.lost_text = False

    @property
    def reader_gone(self) -> bool:
        """Whether there was a reader, who has gone: as in `... | head`."""
        return self.trouble is not None and self.trouble.errno in _NO_READER

    @property
    def failed(self) -> bool:
        """Whether it takes no text although somebody may want it."""
        return self.trouble is not None and not self.reader_gone

    @property
    def why(self) -> str:
        """The trouble in words."""
        return self.trouble.strerror or str(self.trouble) if self.trouble else "no trouble"

    def write(self, text: str) -> int:
        """Write all of it, or note the trouble."""
        if not isinstance(text, str):
            raise TypeError(f"text is written to {self.name}, not {type(text).__name__}")
        if self.trouble is None and text:
            try:
                self._write(text)
            except (OSError, ValueError) as error:
                # A ValueError is Python's own word for a file that was closed.
                self.trouble = error if isinstance(error, OSError) else OSError(errno.EBADF, str(error))
                self._give_up()
        self.lost_text = self.lost_text or (self.failed and bool(text))
        return len(text)

    def _write(self, text: str) -> None:
        if self._text is None:
            return
        if self._descriptor is None:
            self._text.write(text)
            self._text.flush()
            return
        left = memoryview(text.encode(self.encoding, "backslashreplace"))
        with waiting():
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:
                    select.select([], [self._descriptor], [])

    def _give_up(self) -> None:
        """Drop what Python itself still holds, so that it cannot fail at its end."""
        if self._descriptor is not None:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)
            except OSError:
                self._descriptor = None

    def flush(self) -> None:
        """Do nothing: no text is held back."""

    def isatty(self) -> bool:
        """Whether it is a terminal that still shows what is written."""
        return self.trouble is None and self._text is not None and self._text.isatty()

    def fileno(self) -> int:
        """Its descriptor."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def writable(self) -> bool:
        """Return True: the stream is for writing."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the locale; characters that it does not have are written as escapes."""
        return getattr(self._text, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """Return how such characters are written."""
        return "backslashreplace"


class Streams:
    """Both streams."""

    def __init__(self, out: Stream, err: Stream) -> None:
        self.out = out
        self.err = err

    @classmethod
    def of_process(cls) -> Self:
        """Return the streams of this process."""
        out, err = sys.stdout, sys.stderr
        return cls(
            out if isinstance(out, Stream) else Stream("stdout", out),
            err if isinstance(err, Stream) else Stream("stderr", err),
        )

    def install(self) -> None:
        """Make them the streams of all other code in this process."""
        sys.stdout, sys.stderr = self.out, self.err


def _descriptor(text: TextIO | None) -> int | None:
    try:
        return None if text is None else text.fileno()
    except (OSError, ValueError, AttributeError):
        return None
