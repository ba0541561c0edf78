"""Shows the report of `unique-k8s-job doctor` to people: a table or paragraphs, a plan, a table of rights.

Promise: the most severe of the first hundred findings is shown first, later ones as they are found, up to a number of
each code. A command is a line of its own, and is never broken at the width of the terminal, so that it can be pasted.
Only a screen that is renewed in place, as by `--watch`, breaks lines that are longer than the terminal.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TextIO, cast

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from unique_k8s_job.cli.job_text import report_lines
from unique_k8s_job.cli.streams import Streams
from unique_k8s_job.cli.units import count, moment, since
from unique_k8s_job.visible import visible, visible_lines

#: How many rows of one code are shown; of the others only the number is.
MOST_ALIKE = 50
#: From so many Jobs on of which the same is true, they share a row.
TOGETHER = 4
#: So many of them are named in it.
NAMED = 3
#: Findings are held back until there are so many, and shown with the most severe first; later ones as they come.
HELD_BACK = 100
#: The number of columns if no terminal says how many it has.
_WIDTH = 160
_INDENT = "    "
#: Breaks lines; writes nothing.
_PLAIN = Console(no_color=True)
_SEVERITIES = {"blocking": 0, "warning": 1, "info": 2}
_STYLES = {"blocking": "bold red", "warning": "yellow", "info": "dim"}


class _Line(Text):
    """A line that is not broken, because the text after a break could look like a line of ours."""


class _Command(_Line):
    """A line with a command to paste."""


class _Rendered:
    """A line that has its width already."""

    def __init__(self, segments: list[Segment]) -> None:
        self._segments = segments

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        yield from self._segments
        yield Segment.line()


class DoctorText:
    """Writes the findings.

    :param stderr: write to stderr, and leave stdout to the output for programs
    """

    def __init__(self, *, stderr: bool = False) -> None:
        streams = Streams.of_process()
        file = cast("TextIO", streams.err if stderr else streams.out)
        self.console = Console(file=file, highlight=False)
        if not self.console.is_terminal:
            self.console = Console(file=file, highlight=False, width=_WIDTH)

    def show(self, report: dict[str, Any], *, whole: bool) -> None:
        """Print a complete report: as a table, or with `whole` as a paragraph for each finding."""
        under_way = self.begin(whole=whole)
        under_way.add(report["diagnoses"], report["time"])
        self.finish(under_way, report)

    def begin(self, *, whole: bool) -> UnderWay:
        """Begin a report that is printed while the Jobs are examined."""
        return UnderWay(self._print, self.console.width if self.console.is_terminal else None, whole=whole)

    def finish(self, under_way: UnderWay, totals: dict[str, Any]) -> None:
        """End such a report."""
        under_way.end(totals)
        self._print(under_way.summary(totals))

    def page(self, pieces: Iterable[dict[str, Any]], *, whole: bool) -> RenderableType:
        """Return a report as one renderable, which fits into the terminal: the clock and the totals, then the findings.

        :param pieces: each with `diagnoses`, `time` or both; the last with the totals
        """
        parts: list[RenderableType] = []
        head: Text = Text("")
        under_way = UnderWay(parts.append, self.console.width, whole=whole)
        for piece in pieces:
            if "report" in piece:
                under_way.report(piece["report"], piece["time"])
            under_way.add(piece.get("diagnoses", []), piece["time"])
            if "jobs" in piece:
                under_way.end(piece)
                head = Text(f"{moment(piece['time']):%H:%M:%S} UTC  ", style="bold").append(under_way.summary(piece))
        lines = [line for part in parts for line in self.console.render_lines(part, pad=False)]
        room = self.console.height - 3  # the head, the last line, and the cursor
        if len(lines) > room:
            left = count(len(lines) - room + 1, "line")
            lines = lines[: room - 1]
            tail = Text(f"... {left} more: make the window taller, or run doctor without --watch", style="dim")
            return Group(head, *(_Rendered(line) for line in lines), tail)
        return Group(head, *(_Rendered(line) for line in lines))

    def _print(self, part: RenderableType) -> None:
        self.console.print(part, soft_wrap=isinstance(part, _Line))

    def line(self, text: str, style: str = "") -> None:
        """Print one line that is not broken at the width of the terminal."""
        self._print(_Line(text, style=style))

    def trouble(self, text: str) -> RenderableType:
        """Return an error as a renderable."""
        return Text(visible_lines(text), style="red")

    def plan(self, steps: list[str]) -> None:
        """Print the steps that will be done."""
        self.console.print(Text("Plan:"))
        for number, step in enumerate(steps, 1):
            self._print(_Line(f"  {number}. {visible(step)}"))

    def rights(self, rights: dict[str, Any]) -> None:
        """Print our identity and its rights."""
        user = rights["user"] or "unknown (this API server does not say)"
        self.console.print(Text(f"identity: {visible(user)}, groups: {visible(', '.join(rights['groups']) or 'none')}"))
        table = Table(
            "RIGHT", "ON", "HERE", "WITHOUT IT", title=f"namespace {visible(rights['namespace'])}", expand=False
        )
        for right in rights["rights"]:
            resource = f"{right['resource']}.{right['group']}" if right["group"] else right["resource"]
            needed = right["need"] == "required"
            here = "yes" if right["allowed"] else "MISSING" if needed else "no (optional)"
            style = "" if right["allowed"] else "bold red" if needed else "dim"
            table.add_row(Text(right["verb"]), Text(resource), Text(here, style=style), Text(right["without"]))
        self.console.print(table)


class UnderWay:
    """A report that is printed while the Jobs are examined, and sums up equal findings.

    :param show: takes each part
    :param width: columns; None where no line is broken, because no person reads at a terminal
    :param whole: a paragraph for each finding, rather than a row
    """

    def __init__(self, show: Callable[[RenderableType], None], width: int | None, *, whole: bool) -> None:
        self._show = show
        self._width = width
        self._whole = whole
        #: How many rows of a code are shown, and how many findings are in none of them.
        self._shown: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        #: What the shared rows are about.
        self._shared: set[tuple[str, str, str]] = set()
        self._jobs = 0
        self._severities: set[str] = set()
        self._rows = 0
        self._reported: str | None = None
        #: The first diagnoses with findings, None once they were shown; and the time of the last of them.
        self._held: list[dict[str, Any]] | None = []
        self._last = ""
        #: Each command, with the rows that it is for.
        self._commands: dict[str, list[str]] = {}

    def add(self, diagnoses: list[dict[str, Any]], time: str) -> None:
        """Take the new diagnoses, and show them once it is their turn."""
        self._jobs += sum(bool(diagnosis["findings"]) for diagnosis in diagnoses)
        self._severities |= {finding["severity"] for diagnosis in diagnoses for finding in diagnosis["findings"]}
        if self._held is not None:
            # A cluster may have any number of Jobs of which nothing was found.
            self._held += [diagnosis for diagnosis in diagnoses if diagnosis["findings"]]
            if sum(len(diagnosis["findings"]) for diagnosis in self._held) < HELD_BACK:
                self._last = time
                return
            diagnoses, self._held = self._held, None
        self._show_findings(diagnoses, time)

    def _show_findings(self, diagnoses: list[dict[str, Any]], time: str) -> None:
        if self._whole:
            for job, finding in rows_of(diagnoses):
                if self._is_shown(finding):
                    for part in _paragraph(job, finding):
                        self._show(part)
            return
        for row in grouped(diagnoses):
            shared = len(row.jobs) > 1
            if shared and row.kind in self._shared:
                self._left_out[row.finding["code"]] += len(row.jobs)
            elif self._is_shown(row.finding, len(row.jobs)):
                self._row(row, time)
                if shared:
                    self._shared.add(row.kind)

    def report(self, report: dict[str, Any], time: str) -> None:
        """Show what became of one Job."""
        self._reported = report["state"]
        for begin, text, style in report_lines(report, time):
            self._lines(begin, text, len(begin), style)
        self._show(Text(""))

    def end(self, totals: dict[str, Any]) -> None:
        """Show what was held back, the totals and the commands."""
        if self._held:
            held, self._held = self._held, None
            self._show_findings(held, self._last)
        for code, number in self._left_out.items():
            self._show(Text(f"and {number} more: {code}", style="dim"))
        if self._commands:
            self._show(Text(""))
            self._show(Text("WHAT TO DO", style="bold"))
            for command, findings in self._commands.items():
                self._show(Text(f"# {', '.join(findings)}", style="dim"))
                self._show(_Command(visible(command)))
            self._show(Text(""))
        for why in totals["unknown"]:
            self._show(_Line(visible(why), style="dim"))

    def summary(self, totals: dict[str, Any]) -> Text:
        """Return the last line: how many Jobs there are, and how many are stuck."""
        if self._reported:
            if totals["stuck"]:
                return _Line("This Job is stuck: it does not go on by itself")
            if "warning" in self._severities:
                return _Line("This Job has a problem: see above")
            if self._severities:
                return _Line("See above what to know about this Job")
            return _Line(
                "This Job has ended"
                if self._reported in ("succeeded", "failed")
                else "Kubernetes sees no problem so far. Whether a program works or hangs, it cannot tell: only its log can"
            )
        if self._whole and not totals["jobs"] and self._jobs:
            return _Line("This Job does not exist any more: see above what is left of it")
        return _summary(totals, self._jobs)

    def _is_shown(self, finding: dict[str, Any], jobs: int = 1) -> bool:
        code = finding["code"]
        if self._shown[code] < MOST_ALIKE:
            self._shown[code] += 1
            return True
        self._left_out[code] += jobs
        return False

    def _row(self, row: Row, time: str) -> None:
        """Show which Jobs, how severe, since when, and under that the cause."""
        if not self._rows:
            self._show(Text("  # SEVERITY   SINCE JOB", style="bold"))
        self._rows += 1
        finding = row.finding
        example = "" if len(row.jobs) == 1 else ", the first of them"
        self._commands.setdefault(finding["next_step"], []).append(f"{self._rows} {finding['code']}{example}")
        began = f"{self._rows:>3} {finding['severity']:<8} {since(row.since, time):>7} "
        style = _STYLES[finding["severity"]]
        self._lines(began, row.names(), len(began), style)
        self._lines("    ", f"{finding['code']}: {finding['cause']}", len(_INDENT), "")

    def _lines(self, begin: str, text: str, indent: int, style: str) -> None:
        """Show a text of others, broken so that no later line begins as one of ours does."""
        for number, line in enumerate(wrapped(visible(text), self._width and self._width - indent)):
            self._show(_Line((begin if number == 0 else " " * indent) + line, style=style))


class Row(NamedTuple):
    """One finding, and the Jobs of which it is true."""

    finding: dict[str, Any]
    jobs: list[dict[str, Any]]
    since: str | None
    kind: tuple[str, str, str]

    def names(self) -> str:
        """Return the names of the Jobs, of many the number and the first few."""
        names = [_name(job) for job in self.jobs[:NAMED]]
        if len(self.jobs) == 1:
            return names[0]
        more = f" and {len(self.jobs) - NAMED} more" if len(self.jobs) > NAMED else ""
        return f"{count(len(self.jobs), 'Job')}: {', '.join(names)}{more}"


def rows_of(diagnoses: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each Job with each finding about it, the most severe first."""
    rows = [(diagnosis["job"], finding) for diagnosis in diagnoses for finding in diagnosis["findings"]]
    rows.sort(key=lambda row: _SEVERITIES[row[1]["severity"]])
    return rows


def grouped(diagnoses: list[dict[str, Any]]) -> list[Row]:
    """Return a row for each finding; one for many Jobs of which the same is true, whatever they are called."""
    alike: dict[tuple[str, str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for job, finding in rows_of(diagnoses):
        alike.setdefault(_kind(job, finding), []).append((job, finding))
    rows: list[Row] = []
    for kind, some in alike.items():
        if len({job["uid"] or job["name"] for job, _ in some}) < TOGETHER:
            rows += [Row(finding, [job], finding["since"], kind) for job, finding in some]
            continue
        jobs = list({job["uid"]: job for job, _ in some}.values())
        times = [finding["since"] for _, finding in some if finding["since"]]
        rows.append(Row(some[0][1], jobs, min(times) if times else None, kind))
    return rows


def _kind(job: dict[str, Any], finding: dict[str, Any]) -> tuple[str, str, str]:
    """What two findings have in common that say the same of two Jobs: names and numbers apart."""
    cause = finding["cause"]
    for name in sorted({finding.get("object", {}).get("name", ""), job["name"]} - {""}, key=len, reverse=True):
        cause = cause.replace(name, "")
    return finding["severity"], finding["code"], re.sub(r"[0-9]+", "", cause)


def wrapped(text: str, width: int | None) -> list[str]:
    """Break a text at spaces into lines of so many columns; a longer word is broken, too."""
    if width is None:
        return [text]
    lines = Text(text).wrap(_PLAIN, max(width, 20), overflow="fold")
    return [line.plain.rstrip() for line in lines] or [""]


def _name(job: dict[str, Any]) -> str:
    return f"{job['namespace']}/{job['name']}" if job["name"] else f"namespace {job['namespace']}"


def _paragraph(job: dict[str, Any], finding: dict[str, Any]) -> list[RenderableType]:
    began = f", since {finding['since']}" if finding["since"] else ""
    style = _STYLES[finding["severity"]]
    head = f"{finding['code']} ({finding['severity']}{began})  {_name(job)}"
    return [
        _Line(visible(head), style=style),
        _hanging("  ", finding["cause"]),
        *(_hanging("  seen: ", evidence) for evidence in finding["seen"]),
        _Command(f"  next: {visible(finding['next_step'])}"),
        *([_Command(f"  if that does not help: {visible(force)}")] if (force := finding.get("last_resort")) else []),
        _Line(f"  more: docs/stuck.md#{visible(finding['code'])}", style="dim"),
        Text(""),
    ]


def _hanging(begin: str, text: str) -> RenderableType:
    """Return a line that, if it is broken, cannot be taken for several lines of ours."""
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True, width=max(len(begin), 4))
    grid.add_column(overflow="fold")
    grid.add_row(Text(begin), Text(visible(text)))
    return grid


def _summary(totals: dict[str, Any], with_findings: int) -> Text:
    place = f"namespace {totals['namespace']}" if totals["namespace"] else "all namespaces"
    jobs, stuck = totals["jobs"], totals["stuck"]
    others = max(with_findings - stuck, 0)
    where = f"-n {shlex.quote(totals['namespace'])}" if totals["namespace"] else "-A"
    failed = f"{totals['failed']} failed (see `unique-k8s-job list {where} --state failed`)" if totals["failed"] else ""
    if not jobs and not with_findings:
        words = f"No Job in {place}"
    elif not jobs:
        words = f"No Job is left in {place}: {stuck or 'nothing'} stuck of what Jobs have left behind"
    elif not with_findings and not failed:
        words = f"{count(jobs, 'Job')} in {place}, {'all fine' if jobs > 1 else 'fine'}"
    else:
        more = f"{others} {'more ' if stuck else ''}with findings" if others else ""
        parts = (f"{stuck or 'none'} stuck", more, failed)
        words = f"{count(jobs, 'Job')} in {place}: {', '.join(part for part in parts if part)}"
    return _Line(visible(words), style="bold red" if stuck else "green")
