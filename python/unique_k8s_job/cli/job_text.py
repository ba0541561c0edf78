"""Shows people what became of one Job: the first part of `unique-k8s-job doctor --job`.

Promise: texts of others, such as lines of a log, stand behind a mark of ours, so none can be taken for a line of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unique_k8s_job.cli.units import count, since

#: A line: what it begins with, a text of others, and its style.
Line = tuple[str, str, str]

#: The style of each state of a Job.
STATE_STYLES = {
    "failed": "bold red",
    "succeeded": "green",
    "running": "cyan",
    "deleting": "yellow",
    "suspended": "yellow",
}


def report_lines(report: dict[str, Any], now: str) -> Iterator[Line]:
    """Yield the lines of a report, as `docs/doctor.md` has it."""
    began = f"for {since(report['since'], now)}, " if report["since"] else ""
    yield (
        f"{report['state']} ",
        f"({began}made {since(report['created'], now)} ago)",
        STATE_STYLES.get(report["state"], ""),
    )
    yield "  ", report["summary"], ""
    if made := report["made_by"]:
        yield "  task: ", _task(made), ""
    for pod in report["pods"]:
        yield from _pod(pod, now)
    if report["more_pods"]:
        yield "  ", f"and {count(report['more_pods'], 'more Pod')}", "dim"
    if report["hint"]:
        yield "  hint: ", report["hint"], ""
    if log := report["log"]:
        before = " before its restart" if log["previous"] else ""
        age = f" (the last line is {since(log['written'], now)} old)" if log["written"] else ""
        if log["missing"]:
            yield "  log: ", f"of {log['container']} in {log['pod']}{before} cannot be read: {log['missing']}", ""
        elif not log["lines"]:
            yield "  log: ", f"{log['container']} in {log['pod']}{before} has printed nothing", ""
        else:
            yield "  log: ", f"{log['container']} in {log['pod']}{before}, its end{age}", ""
        for line in log["lines"]:
            yield "    | ", line, "dim"
    for step in report["next"]:
        yield "  then: ", step, ""


def _task(made: dict[str, Any]) -> str:
    if made["dag_id"] is None:
        return f"unknown, because annotations are gone; try {made['try_number']}"
    mapped = "" if made["map_index"] is None else f"[{made['map_index']}]"
    tried = f", try {made['try_number']}" if made["try_number"] else ""
    return f"{made['dag_id']}.{made['task_id']}{mapped}, run {made['run_id']}{tried} (deployment {made['deployment']})"


def _pod(pod: dict[str, Any], now: str) -> Iterator[Line]:
    node = f"on node {pod['node']}" if pod["node"] else "on no node"
    index = "" if pod["index"] is None else f", index {pod['index']}"
    yield "  Pod ", f"{pod['name']}{index}: {pod['phase']}, {node}, made {since(pod['created'], now)} ago", ""
    if pod["words"]:
        yield "    ", pod["words"], ""
    for container in pod["containers"]:
        kind = "init container" if container["init"] else "container"
        restarts = f" ({count(container['restarts'], 'restart')})" if container["restarts"] else ""
        yield f"    {kind} ", f"{container['name']}{restarts}: {container['words']}", ""
