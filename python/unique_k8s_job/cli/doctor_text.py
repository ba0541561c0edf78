"""Shows the report of `unique-k8s-job doctor` to people: a table or paragraphs, a plan, a table of rights.

Promise: findings are shown as they are found, up to a number of each code. A command is a line of its own, and is never
broken at the width of the terminal, so that it can be pasted. Only a screen that is renewed in place, as by `--watch`,
breaks lines that are longer than the terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from unique_k8s_job.cli.streams import Streams
from unique_k8s_job.visible import visible, visible_lines

#: How many findings of one code are shown; of the others only the number is.
MOST_ALIKE = 50
#: The number of columns if no terminal says how many it has.
_WIDTH = 160
_STYLES = {"blocking": "bold red", "warning": "yellow", "info": "dim"}


class _Line(Text):
    """A line that is not broken, because the text after a break could look like a line of ours."""


class _Command(_Line):
    """A line with a command to paste."""


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
        under_way.end(report)

    def begin(self, *, whole: bool) -> UnderWay:
        """Begin a report that is printed while the Jobs are examined."""
        return UnderWay(self._print, self.console.width, whole=whole)

    def page(self, pieces: Iterable[dict[str, Any]], *, whole: bool) -> RenderableType:
        """Return a report as one renderable, which fits into the terminal.

        :param pieces: each with `diagnoses`, `time` or both; the last with the totals
        """
        parts: list[RenderableType] = []
        under_way = UnderWay(parts.append, self.console.width, whole=whole)
        for piece in pieces:
            under_way.add(piece.get("diagnoses", []), piece["time"])
            if "jobs" in piece:
                under_way.end(piece)
        return Group(*parts)

    def _print(self, part: RenderableType) -> None:
        self.console.print(part, soft_wrap=isinstance(part, _Line))

    def trouble(self, text: str) -> RenderableType:
        """Return an error as a renderable."""
        return Text(visible_lines(text), style="red")

    def plan(self, steps: list[str]) -> None:
        """Print the steps that will be done."""
        self.console.print(Text("Plan:"))
        for number, step in enumerate(steps, 1):
            self._print(_Line(f"  {number}. {visible(step)}"))

    def deployment(self, words: str | None) -> None:
        """Print the deployment id of this Airflow, if there is one."""
        if words:
            self._print(_Line(f"deployment id of this Airflow: {visible(words)}", style="dim"))

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
    :param width: columns
    :param whole: a paragraph for each finding, rather than a row
    """

    def __init__(self, show: Callable[[RenderableType], None], width: int, *, whole: bool) -> None:
        self._show = show
        self._width = width
        self._whole = whole
        self._counts: Counter[str] = Counter()
        self._jobs = 0
        self._rows = 0
        self._columns: tuple[int, int] | None = None
        #: Each command, with the rows that it is for.
        self._commands: dict[str, list[str]] = {}

    def add(self, diagnoses: list[dict[str, Any]], time: str) -> None:
        """Show the new diagnoses."""
        self._jobs += sum(bool(diagnosis["findings"]) for diagnosis in diagnoses)
        rows = [(diagnosis["job"], finding) for diagnosis in diagnoses for finding in diagnosis["findings"]]
        order = {"blocking": 0, "warning": 1, "info": 2}
        rows.sort(key=lambda row: order[row[1]["severity"]])
        shown = [row for row in rows if self._is_shown(row[1])]
        if not shown:
            return
        if self._whole:
            for job, finding in shown:
                for part in _paragraph(job, finding):
                    self._show(part)
        else:
            self._show(self._table(shown, time))

    def end(self, totals: dict[str, Any]) -> None:
        """Show the totals and the commands."""
        for code, count in self._counts.items():
            if count > MOST_ALIKE:
                self._show(Text(f"and {count - MOST_ALIKE} more: {code}", style="dim"))
        if self._commands:
            self._show(Text(""))
            self._show(Text("WHAT TO DO", style="bold"))
            for command, findings in self._commands.items():
                self._show(Text(f"# {', '.join(findings)}", style="dim"))
                self._show(_Command(visible(command)))
            self._show(Text(""))
        for why in totals["unknown"]:
            self._show(_Line(visible(why), style="dim"))
        self._show(_summary(totals, self._jobs))

    def _is_shown(self, finding: dict[str, Any]) -> bool:
        self._counts[finding["code"]] += 1
        return self._counts[finding["code"]] <= MOST_ALIKE

    def _table(self, rows: list[tuple[dict[str, Any], dict[str, Any]]], time: str) -> RenderableType:
        """Return a row for each finding, in columns as wide as those of the first rows."""
        first = self._columns is None
        if self._columns is None:
            code = max(len(finding["code"]) for _, finding in rows)
            name = max(cell_len(visible(_name(job))) for job, _ in rows)
            self._columns = max(20, min(name, self._width - code - 5 - 6 - 6)), max(code, len("FINDING"))
        name, code = self._columns
        table = Table(box=None, pad_edge=False, show_edge=False, show_header=first)
        table.add_column("#", justify="right", no_wrap=True, min_width=5)
        table.add_column("JOB", overflow="fold", width=name)
        table.add_column("FINDING", no_wrap=True, min_width=code)
        table.add_column("SINCE", no_wrap=True, min_width=5)
        for job, finding in rows:
            self._rows += 1
            self._commands.setdefault(finding["next_step"], []).append(f"{self._rows} {finding['code']}")
            table.add_row(
                str(self._rows),
                Text(visible(_name(job))),
                Text(visible(finding["code"]), style=_STYLES[finding["severity"]]),
                Text(_since(finding["since"], time)),
            )
        return table


def _name(job: dict[str, Any]) -> str:
    return f"{job['namespace']}/{job['name']}" if job["name"] else f"namespace {job['namespace']}"


def _paragraph(job: dict[str, Any], finding: dict[str, Any]) -> list[RenderableType]:
    since = f", since {finding['since']}" if finding["since"] else ""
    style = _STYLES[finding["severity"]]
    head = f"{finding['code']} ({finding['severity']}{since})  {_name(job)}"
    return [
        _Line(visible(head), style=style),
        _hanging("  ", finding["cause"]),
        *(_hanging("  seen: ", evidence) for evidence in finding["seen"]),
        _Command(f"  next: {visible(finding['next_step'])}"),
        Text(""),
    ]


def _hanging(begin: str, text: str) -> RenderableType:
    """Return a line that, if it is broken, cannot be taken for several lines of ours."""
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True, width=max(len(begin), 4))
    grid.add_column(overflow="fold")
    grid.add_row(Text(begin), Text(visible(text)))
    return grid


def _summary(totals: dict[str, Any], with_findings: int) -> RenderableType:
    place = f"namespace {totals['namespace']}" if totals["namespace"] else "all namespaces"
    stuck = totals["stuck"]
    words = f"{totals['jobs']} Jobs in {place}: {stuck or 'none'} stuck, {with_findings - stuck} more with findings"
    return _Line(visible(words), style="bold red" if stuck else "green")


def _since(since: str | None, now: str) -> str:
    """Return how long ago something began, in its largest unit."""
    if since is None:
        return "?"
    seconds = (_moment(now) - _moment(since)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time.replace("Z", "+00:00"))
