"""What the command line shows: a Job's log on stdout and nothing else there, all that happens to it on stderr."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

if TYPE_CHECKING:
    from typing_extensions import Self

#: Control characters by which a log could move the cursor, recolour or retitle a terminal. Tab and newline are not.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLES = {"info": "dim", "warning": "yellow", "error": "red"}


def visible(text: str) -> str:
    """Replace terminal control characters by their escapes, as `\\x1b`."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


class Speaker:
    """Our own sentences, on stderr."""

    def __init__(self) -> None:
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str, level: str = "info") -> None:
        """One sentence on stderr; what is not ordinary says so without colours, too."""
        style = _STYLES[level]
        word = "" if level == "info" else f"{level}: "
        self._errors.print(f"[{style}]{word}{escape(visible(text))}[/{style}]")


class Display(Speaker):
    """The two streams of one `run`.

    :param raw: pass control characters of the log through to a terminal
    """

    def __init__(self, *, raw: bool) -> None:
        super().__init__()
        # A locale that cannot spell what a container wrote is no reason to stop following it.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._closed = False
        self._job: tuple[str, str] | None = None
        self._escape = sys.stdout.isatty() and not raw
        self._status: Status | None = self._errors.status("submitting") if self._errors.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Take the spinner away, for a question or the end."""
        if self._status:
            self._status.stop()

    def event(self, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        kind = event["kind"]
        if kind == "log" and not event["mark"]:
            self.pause()  # from here on the log itself shows that something happens
            self._write(visible(event["text"]) if self._escape else event["text"])
        elif kind == "log":
            self.say(event["text"], "warning")
        elif kind == "message":
            self.say(event["text"], event["level"])
            self._spin(event["text"])
        elif kind == "submitted":
            self._job = event["namespace"], event["name"]
            self.say(f"Job {event['namespace']}/{event['name']} (uid {event['uid']})")
            self._spin(f"{event['namespace']}/{event['name']}")
        else:
            self.say(event["timeline"])
            self.say(event["summary"], "info" if event["state"] == "succeeded" else "error")

    def say_left(self) -> None:
        """Say that the Job goes on, and how to be rid of it."""
        if self._job is None:
            self.say("If the Job was made, it is left as it is", "warning")
        else:
            namespace, name = self._job
            self.say(f"Job {namespace}/{name} is left as it is; to delete it: kubectl -n {namespace} delete job {name}")

    def _write(self, text: str) -> None:
        if self._closed:
            return
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # As in `... | head`. The Job goes on, and so does its outcome; Python must not try to flush at its end.
            self._closed = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.say("Nobody reads stdout any more: the rest of the log is not shown", "warning")

    def _spin(self, text: str) -> None:
        if self._status:
            self._status.update(escape(visible(text)))
