"""What `unique-k8s-job doctor` shows people: a table, a paragraph for each finding, a plan, a table of rights.

Promise: a command is a line of its own, never cut to the width of the terminal, so that it can be pasted. A screen that is
renewed in place, as that of `--watch`, has no longer lines than the terminal: there it is broken.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from unique_k8s_job.console import visible

#: Findings that say why waiting is meant: so many rows of them, then their number.
MOST_INFO = 50
#: Columns where no terminal says how many it has.
_WIDTH = 160
_STYLES = {"blocking": "bold red", "warning": "yellow", "info": "dim"}


class _Command(Text):
    """A line with a command to be pasted."""


class DoctorText:
    """Writes reports as `look` returns them.

    :param stderr: write there, and leave stdout to what programs read
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(stderr=stderr, highlight=False)
        if not self.console.is_terminal:
            self.console = Console(stderr=stderr, highlight=False, width=_WIDTH)

    def show(self, report: dict[str, Any], *, whole: bool) -> None:
        """Print a report: as a table, or `whole`, a paragraph for each finding."""
        for part in self._parts(report, whole=whole):
            self.console.print(part, soft_wrap=isinstance(part, _Command))

    def page(self, report: dict[str, Any], *, whole: bool) -> RenderableType:
        """Return a report as one renderable, which fits into the terminal."""
        return Group(*self._parts(report, whole=whole))

    def _parts(self, report: dict[str, Any], *, whole: bool) -> list[RenderableType]:
        parts: list[RenderableType] = []
        found = any(diagnosis["findings"] for diagnosis in report["diagnoses"])
        if found:
            parts += _paragraphs(report) if whole else _table(report)
        parts += [Text(f"{visible(why)}", style="dim") for why in report["unknown"]]
        parts.append(_summary(report))
        return parts

    def trouble(self, text: str) -> RenderableType:
        """Return an error as a renderable."""
        return Text(visible_lines(text), style="red")

    def plan(self, steps: list[str]) -> None:
        """Print what is going to be done."""
        self.console.print(Text("Plan:"))
        for number, step in enumerate(steps, 1):
            self.console.print(Text(f"  {number}. {visible(step)}"))

    def deployment(self, words: str | None) -> None:
        """Print the deployment id of this Airflow, if there is one."""
        if words:
            self.console.print(Text(f"deployment id of this Airflow: {visible(words)}", style="dim"))

    def rights(self, rights: dict[str, Any]) -> None:
        """Print who we are and what we may."""
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


def visible_lines(text: str) -> str:
    """Replace control characters, line by line."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _rows(report: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    rows = [(diagnosis["job"], finding) for diagnosis in report["diagnoses"] for finding in diagnosis["findings"]]
    order = {"blocking": 0, "warning": 1, "info": 2}
    return sorted(rows, key=lambda row: order[row[1]["severity"]])


def _table(report: dict[str, Any]) -> list[RenderableType]:
    """Return a row for each finding, and under them, by their numbers, what to do."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("JOB", overflow="fold", min_width=20)
    table.add_column("FINDING", no_wrap=True)
    table.add_column("SINCE", no_wrap=True)
    rows = _rows(report)
    more = sum(finding["severity"] == "info" for _, finding in rows) - MOST_INFO
    shown = rows[:-more] if more > 0 else rows
    commands: dict[str, list[str]] = {}
    for number, (job, finding) in enumerate(shown, 1):
        commands.setdefault(finding["next_step"], []).append(f"{number} {finding['code']}")
        table.add_row(
            str(number),
            Text(visible(_name(job))),
            Text(finding["code"], style=_STYLES[finding["severity"]]),
            Text(_since(finding["since"], report["time"])),
        )
    parts: list[RenderableType] = [table]
    if more > 0:
        parts.append(Text(f"and {more} more that wait as is meant", style="dim"))
    parts += [Text(""), Text("WHAT TO DO", style="bold")]
    for command, findings in commands.items():
        parts += [Text(f"# {', '.join(findings)}", style="dim"), _Command(visible(command))]
    return [*parts, Text("")]


def _name(job: dict[str, Any]) -> str:
    return f"{job['namespace']}/{job['name']}" if job["name"] else f"namespace {job['namespace']}"


def _paragraphs(report: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for job, finding in _rows(report):
        since = f", since {finding['since']}" if finding["since"] else ""
        style = _STYLES[finding["severity"]]
        parts.append(Text(f"{finding['code']} ({finding['severity']}{since})  {visible(_name(job))}", style=style))
        parts.append(Text(f"  {visible(finding['cause'])}"))
        parts += [Text(f"  seen: {visible(evidence)}") for evidence in finding["seen"]]
        parts += [_Command(f"  next: {visible(finding['next_step'])}"), Text("")]
    return parts


def _summary(report: dict[str, Any]) -> RenderableType:
    with_findings = sum(bool(diagnosis["findings"]) for diagnosis in report["diagnoses"])
    place = f"namespace {report['namespace']}" if report["namespace"] else "all namespaces"
    stuck = report["stuck"]
    words = f"{report['jobs']} Jobs in {place}: {stuck or 'none'} stuck, {with_findings - stuck} more with findings"
    return Text(visible(words), style="bold red" if stuck else "green")


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
