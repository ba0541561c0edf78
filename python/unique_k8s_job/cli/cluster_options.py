"""Defines the options that all commands share: which cluster, and how much of the debug log is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from unique_k8s_job._core import Configuration

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """Add `--kubeconfig`, `--context` and `--verbose`."""
    command = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_verbose,
        help="Show each request to the API server on stderr; -vv: the events of its watches, too.",
    )(command)
    command = click.option("--context", "cluster_context", help="A context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig",
        type=click.Path(exists=True, dir_okay=False),
        help="Default: KUBECONFIG, ~/.kube/config.",
    )(command)


def _verbose(_context: click.Context, _option: click.Parameter, times: int) -> None:
    if times:
        from unique_k8s_job.debug_log import turn_on

        turn_on("debug" if times == 1 else "trace")


def configuration(kubeconfig: str | None, cluster_context: str | None) -> Configuration:
    """Return the configuration for the Rust core."""
    if kubeconfig:
        return {"source": "file", "path": kubeconfig, "context": cluster_context}
    return {"source": "default", "context": cluster_context}
