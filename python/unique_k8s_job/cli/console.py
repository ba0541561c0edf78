"""Shows a Job on the command line: only its log on stdout, and all that happens to it on stderr.

Promise: a sentence is one line, or a report whose other lines begin as our lines do, whatever texts of others are in
it. If stderr does not take a sentence, it goes to stdout.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from unique_k8s_job.cli.streams import Streams
from unique_k8s_job.visible import visible, visible_lines

if TYPE_CHECKING:
    from typing_extensions import Self

    from unique_k8s_job._core import LogEvent, MessageEvent, OutcomeEvent, SubmittedEvent

_STYLES = {"debug": "dim", "info": "dim", "warning": "yellow", "error": "red"}


class MessagePrinter:
    """Writes our own sentences to stderr.

    :param elsewhere: write to stdout what stderr does not take; not if programs read stdout
    """

    def __init__(self, streams: Streams | None = None, *, elsewhere: bool = True) -> None:
        self.streams = streams or Streams.of_process()
        self._elsewhere = elsewhere
        self._moved = False
        #: Asked at the beginning: the core brings the debug log's module with it, whether it is on or off.
        self._verbose = verbose()
        self._errors = Console(file=cast("TextIO", self.streams.err), highlight=False, soft_wrap=True)

    def message(self, text: str, level: str = "info") -> None:
        """Write one sentence, or one report; a warning or an error has a word for it, too, and not only a colour."""
        if level == "debug" and not self._verbose:
            return
        style = _STYLES[level]
        word = "" if level in ("debug", "info") else f"{level}: "
        shown = visible_lines(text)
        if self.streams.err.trouble is None:
            self._errors.print(f"[{style}]{word}{escape(shown)}[/{style}]")
        if self.streams.err.trouble is not None and self._elsewhere:
            if not self._moved:
                self._moved = True
                self.streams.out.write(
                    f"stderr takes no more text ({self.streams.err.why}), so messages are written here\n"
                )
            self.streams.out.write(f"{word}{shown}\n")


class Display(MessagePrinter):
    """The two streams of one `run`.

    :param raw: pass control characters of the log through to a terminal
    """

    def __init__(self, streams: Streams | None = None, *, raw: bool) -> None:
        super().__init__(streams)
        self._reader_reported = False
        self._job: tuple[str, str] | None = None
        self._made = False
        self._log = True
        self._escape = self.streams.out.isatty() and not raw
        # Lines of the debug log would break the spinner.
        spins = self._errors.is_terminal and not self._verbose
        self._status: Status | None = self._errors.status("submitting") if spins else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Remove the spinner, for a question or the end."""
        if self._status:
            self._status.stop()

    def submitting(self, namespace: str, name: str) -> None:
        """Name the Job, before anything can make it."""
        self._job = namespace, name
        self.message(f"Submitting Job {namespace}/{name}")
        self._spin(f"submitting {namespace}/{name}")

    def event(self, event: SubmittedEvent | MessageEvent | LogEvent | OutcomeEvent) -> None:
        """Show one event of a run."""
        if event["kind"] == "log" and not event["mark"]:
            self.pause()  # from here on the log itself shows that something happens
            self._write(visible_lines(event["text"]) if self._escape else event["text"])
        elif event["kind"] == "log":
            self.message(event["text"], "warning")
        elif event["kind"] == "message":
            self.message(event["text"], event["level"])
            if event["level"] != "debug":
                self._spin(event["text"].partition("\n")[0])
        elif event["kind"] == "submitted":
            self._job, self._made = (event["namespace"], event["name"]), True
            self.message(f"Job {event['namespace']}/{event['name']} (uid {event['uid']})")
            self._spin(f"{event['namespace']}/{event['name']}")
        else:
            self.message(event["timeline"])
            self.message(event["summary"], "info" if event["state"] == "succeeded" else "error")

    def without_log(self) -> None:
        """Note that nothing will be shown on stdout."""
        self._log = False

    def trouble(self) -> str | None:
        """Return why the run cannot show its texts any more. A reader of the log who has gone is no reason."""
        out, err = self.streams.out, self.streams.err
        if err.trouble is not None:
            return f"stderr takes no more text: {err.why}"
        if self._log and out.failed:
            return f"stdout takes no more text: {out.why}"
        return None

    def report_left(self, what: str = "is left as it is") -> None:
        """Say what becomes of the Job, which may go on, and how to delete it."""
        if self._job is None:
            self.message("No Job was made")
            return
        namespace, name = self._job
        maybe = "" if self._made else ", if it was made,"
        command = shlex.join(["kubectl", "-n", namespace, "delete", "job", name])
        self.message(
            f"Job {namespace}/{name}{maybe} {what}; to delete it: {command}", "info" if self._made else "warning"
        )

    def _write(self, text: str) -> None:
        self.streams.out.write(text + "\n")
        if self.streams.out.reader_gone and not self._reader_reported:
            # This happens in `... | head`. The Job goes on, and its outcome still counts.
            self._reader_reported = True
            self.message("Nobody reads stdout any more: the rest of the log is not shown", "warning")

    def _spin(self, text: str) -> None:
        if self._status:
            self._status.update(escape(visible(text)))


def verbose() -> bool:
    """Whether the debug log is on, by the command line or by the environment."""
    return "unique_k8s_job.debug_log" in sys.modules or "UNIQUE_K8S_JOB_LOG" in os.environ


def stdin_is_a_terminal() -> bool:
    """Whether a person at a terminal can answer."""
    return sys.stdin is not None and sys.stdin.isatty()
