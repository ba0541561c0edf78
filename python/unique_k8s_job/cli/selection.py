"""Defines the options by which `list` and `delete` choose Jobs of this package: by DAG, task, run, state and age."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import click

from unique_k8s_job import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobQuery

Command = TypeVar("Command", bound=Callable[..., Any])

#: The words for what a Job is at, as `src/model/job_state.rs` has them.
STATES = ("pending", "running", "suspended", "succeeded", "failed", "deleting")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Selection(NamedTuple):
    """Which Jobs are meant: those that fit everything that is given."""

    dag_id: str | None
    task_id: str | None
    run_id: str | None
    states: tuple[str, ...]
    older_than_seconds: int | None

    def __bool__(self) -> bool:
        """Whether anything is given."""
        return any(value is not None and value != () for value in self)

    def listing(self, cluster: Cluster, namespace: str | None) -> dict[str, Any]:
        """Return the Jobs that fit, as `docs/list.md` has them.

        :param namespace: None for all
        """
        query = {key: value for key, value in self._asdict().items() if value is not None}
        found: dict[str, Any] = json.loads(native.list_jobs(cluster, namespace, cast("JobQuery", query)))
        return found


def selection_options(command: Command) -> Command:
    """Add `--dag`, `--task`, `--run`, `--state` and `--older-than`."""
    for option in reversed(
        (
            click.option("--dag", "dag_id", metavar="DAG_ID", help="Jobs of this DAG."),
            click.option("--task", "task_id", metavar="TASK_ID", help="Jobs of this task, with its task groups: a.b."),
            click.option("--run", "run_id", metavar="RUN_ID", help="Jobs of this run."),
            click.option(
                "--state",
                "states",
                multiple=True,
                type=click.Choice(STATES),
                help="Jobs in this state. Can be given several times.",
            ),
            click.option(
                "--older-than",
                "older_than_seconds",
                metavar="AGE",
                callback=_age,
                help="Jobs made at least so long ago: 90s, 30m, 12h, 7d, 2w.",
            ),
        )
    ):
        command = option(command)
    return command


def _age(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip())
    if not match:
        raise click.BadParameter(f"{text!r} is no age: give a whole number and one of s, m, h, d, w, such as 7d")
    return int(match[1]) * _UNITS[match[2]]
