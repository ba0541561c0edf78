"""The options of the command line that choose the cluster, the same for all its commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """Add `--kubeconfig` and `--context`."""
    command = click.option("--context", "cluster_context", help="A context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: KUBECONFIG, ~/.kube/config."
    )(command)


def configuration(kubeconfig: str | None, cluster_context: str | None) -> str:
    """Return the configuration for the Rust core, as JSON."""
    place = {"source": "file", "path": kubeconfig} if kubeconfig else {"source": "default"}
    return json.dumps({**place, "context": cluster_context})
