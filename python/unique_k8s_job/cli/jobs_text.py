"""Shows a list of Jobs to people: `unique-k8s-job list`, and what `delete` is about to delete.

Promise: a name of a Job stands unbroken where the terminal is wide enough for it alone, and every row fits into 80
columns; where nobody but a program reads, a Job is one line.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from unique_k8s_job.cli.doctor_text import DoctorText, wrapped
from unique_k8s_job.cli.job_text import STATE_STYLES
from unique_k8s_job.cli.units import count, since
from unique_k8s_job.visible import visible

#: From so many columns on, a Job takes one line.
_WIDE = 150
_HEAD = f"{'STATE':<10} {'AGE':>6} {'EXIT':>4} {'TRY':>3}  "


def show_jobs(listing: dict[str, Any], text: DoctorText) -> None:
    """Print the rows, and how many Jobs there are."""
    console, jobs = text.console, listing["jobs"]
    everywhere = listing["namespace"] is None
    if jobs:
        one_line = not console.is_terminal or console.width >= _WIDE
        names = [visible(f"{job['namespace']}/{job['name']}" if everywhere else job["name"]) for job in jobs]
        longest = max(map(len, names))
        head = _HEAD + ("JOB".ljust(longest) + "  TASK, RUN" if one_line else "JOB, TASK, RUN")
        text.line(head, style="bold")
        for job, name in zip(jobs, names, strict=True):
            begin = _begin(job, listing["time"])
            task = _task(job)
            if one_line:
                text.line(f"{begin}{name.ljust(longest)}  {task}", style=STATE_STYLES.get(job["state"], ""))
                continue
            for number, line in enumerate((name, *wrapped(task, console.width - len(_HEAD)))):
                style = "dim" if number else STATE_STYLES.get(job["state"], "")
                text.line((" " * len(begin) if number else begin) + line, style=style)
    for why in listing["unknown"]:
        text.line(visible(why), style="dim")
    text.line(_summary(listing))


def _begin(job: dict[str, Any], now: str) -> str:
    code = "" if job["exit_code"] is None else str(job["exit_code"])
    return f"{job['state']:<10} {since(job['created'], now):>6} {code:>4} {job['try_number'] or '-':>3}  "


def _task(job: dict[str, Any]) -> str:
    if job["dag_id"] is None:
        return "(its annotations are gone)"
    mapped = "" if job["map_index"] is None else f"[{job['map_index']}]"
    return visible(f"{job['dag_id']}.{job['task_id']}{mapped}  {job['run_id']}")


def _summary(listing: dict[str, Any]) -> str:
    place = f"namespace {listing['namespace']}" if listing["namespace"] else "all namespaces"
    states = Counter(job["state"] for job in listing["jobs"])
    parts = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return visible(f"{count(len(listing['jobs']), 'Job')} in {place}" + (f": {parts}" if parts else ""))
