"""The command `unique-k8s-job`: a Job with a unique name, its log and its outcome, without Airflow."""

from __future__ import annotations

import contextlib
import getpass
import signal
import socket
import sys
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from unique_k8s_job import __version__
from unique_k8s_job.arguments import FINISHES, OUTCOMES, env_vars
from unique_k8s_job.cluster_options import cluster_options, configuration
from unique_k8s_job.delete_command import delete
from unique_k8s_job.doctor_command import doctor
from unique_k8s_job.exceptions import ApiUnreachableError, TakenOverError, UniqueK8sJobError
from unique_k8s_job.exit_codes import INTERRUPTED, JOB_FAILED, OUR_ERROR, SUCCESS, TIMEOUT
from unique_k8s_job.request import as_json, read_manifest

if TYPE_CHECKING:
    from unique_k8s_job._core import Run
    from unique_k8s_job.console import Display


class Terminated(KeyboardInterrupt):
    """SIGTERM: like Ctrl-C, but from one who answers no question."""


def main() -> None:
    """Run the command, and end with its exit code; a wrong call is an error of ours, too."""
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = OUR_ERROR
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unique-k8s-job")
def commands() -> None:
    """Kubernetes Jobs that never get stuck."""


commands.add_command(delete)
commands.add_command(doctor)


@commands.command()
@click.option("--image", help="Image of the base container.")
@click.option(
    "--manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A whole Job, YAML or JSON."
)
@click.option("-n", "--namespace", help="Default: the manifest's, else that of the context.")
@click.option("--name", help="What the Job's name begins with. Default: the manifest's name, else `job`.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="Can be given several times.")
@click.option(
    "--ttl", metavar="SECONDS|never", help="How long the finished Job is kept. Default: the manifest's, else a day."
)
@click.option(
    "--on-finish",
    multiple=True,
    metavar="[succeeded=|failed=]keep|delete",
    help="Delete the finished Job once its outcome is recorded. Default: keep. Can be given by outcome.",
)
@click.option("--backoff-limit", type=click.IntRange(min=0), help="Failed Pods that Kubernetes itself retries.")
@click.option("--startup-timeout", type=click.IntRange(min=1), default=600, show_default=True, help="Seconds.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for all; then the Job is deleted."
)
@click.option("--keep", is_flag=True, help="When interrupted, leave the Job without asking.")
@click.option("--no-logs", is_flag=True, help="Do not read the log.")
@click.option("--raw", is_flag=True, help="Pass control characters of the log through to the terminal.")
@cluster_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(
    image: str | None,
    manifest: Path | None,
    namespace: str | None,
    name: str | None,
    environment: tuple[str, ...],
    ttl: str | None,
    on_finish: tuple[str, ...],
    backoff_limit: int | None,
    startup_timeout: int,
    timeout: float | None,
    keep: bool,
    no_logs: bool,
    raw: bool,
    kubeconfig: str | None,
    cluster_context: str | None,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND as a Kubernetes Job: the log on stdout, what happens to it on stderr.

    Ends with 0 after success; with the container's exit code where one Pod failed; 1 after other failures; 124 after a
    timeout; 125 where the Job could not be run; 130 when interrupted. Ctrl-C asks whether to delete the Job, a second
    one leaves it. Without a terminal, and on SIGTERM, it is deleted, since nobody is there to ask; --keep leaves it.
    """
    from unique_k8s_job.console import Display

    arguments: dict[str, Any] = {
        "image": image,
        "cmds": list(command) or None,
        "env_vars": env_vars(dict(_pair(text) for text in environment)) if environment else None,
        "backoff_limit": backoff_limit,
    }
    kept, finish = dict.fromkeys(OUTCOMES, _ttl(ttl)), _on_finish(on_finish)
    with Display(raw=raw) as display:
        try:
            job = read_manifest(manifest.read_text(), str(manifest)) if manifest else None
            request = {
                "attempt": _attempt(),
                "slug": name or _manifest_name(job) or "job",
                "run_time": datetime.now(timezone.utc).isoformat(),
                "namespace": namespace,
                "manifest": job,
                "arguments": {key: value for key, value in arguments.items() if value is not None},
                "ttl": kept,
                "on_finish": finish,
                "startup_timeout_seconds": startup_timeout,
                "get_logs": not no_logs,
                "line_times": False,
            }
            return _run(configuration(kubeconfig, cluster_context), as_json(request), timeout, keep, display)
        except UniqueK8sJobError as error:
            display.pause()
            display.say(str(error), "error")
            return OUR_ERROR


def _run(cluster: str, request: str, timeout: float | None, keep: bool, display: Display) -> int:
    from unique_k8s_job.native import core

    signal.signal(signal.SIGTERM, _terminate)
    started = core().Run(core().Cluster(cluster), request)
    try:
        return _follow(started, timeout, display)
    except KeyboardInterrupt as interrupt:
        may_ask = sys.stdin.isatty() and not isinstance(interrupt, Terminated)
        return _interrupted(started, keep=keep, may_ask=may_ask, display=display)
    except UniqueK8sJobError as error:
        display.pause()
        display.say(str(error), "error")
        if not isinstance(error, TakenOverError):
            # An API server that is not there is not waited for twice.
            _delete(started, display, confirm_for=5.0 if isinstance(error, ApiUnreachableError) else 60.0)
        return OUR_ERROR
    finally:
        started.close()


def _follow(started: Run, timeout: float | None, display: Display) -> int:
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = 60.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            display.say(f"The Job has not ended within {timeout:g} s: it is deleted", "error")
            _delete(started, display)
            return TIMEOUT
        for event in started.next(min(left, 60.0)):
            display.event(event)
            if event["kind"] == "outcome":
                for said in started.acknowledge():
                    display.event(said)
                return exit_code(event)


def exit_code(outcome: dict[str, Any]) -> int:
    """The exit code of the command for an outcome."""
    if outcome["state"] == "succeeded":
        return SUCCESS
    code = outcome["exit_code"]
    return code if isinstance(code, int) and 0 < code < 256 else JOB_FAILED


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _interrupted(started: Run, *, keep: bool, may_ask: bool, display: Display) -> int:
    display.pause()
    try:
        if keep or (may_ask and not click.confirm("\nDelete the Job?", default=True, err=True)):
            display.say_left()
        else:
            _delete(started, display)
    except (KeyboardInterrupt, click.Abort):
        display.say_left()
    return INTERRUPTED


def _delete(started: Run, display: Display, confirm_for: float = 60.0) -> None:
    try:
        display.say(started.delete(confirm_for))
    except UniqueK8sJobError as error:
        display.say(str(error), "error")


def _attempt() -> dict[str, Any]:
    """Each call of the command is an attempt of its own."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
        return _named(f"{user}@{socket.gethostname()}")
    return _named(socket.gethostname())


def _named(who: str) -> dict[str, Any]:
    nonce = uuid.uuid4().hex
    return {
        "deployment": "command line",
        "dag_id": who,
        "run_id": nonce,
        "task_id": "run",
        "map_index": -1,
        "try_number": 0,
        "instance": nonce,
    }


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value


def _ttl(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"kind": "unset"}
    if text == "never":
        return {"kind": "never"}
    if not text.isdecimal() or int(text) >= 2**31:
        raise click.BadParameter(f"{text!r} is neither a number of seconds nor `never`", param_hint="--ttl")
    return {"kind": "seconds", "seconds": int(text)}


def _on_finish(choices: tuple[str, ...]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for choice in choices:
        outcome, _, word = choice.rpartition("=")
        if word not in FINISHES or outcome not in ("", *OUTCOMES):
            raise click.BadParameter(
                f"{choice!r} is none of `keep`, `delete`, `succeeded=delete`, ...", param_hint="--on-finish"
            )
        chosen |= {outcome: word} if outcome else dict.fromkeys(OUTCOMES, word)
    return chosen


def _manifest_name(job: dict[str, Any] | None) -> str | None:
    metadata = (job or {}).get("metadata") or {}
    return metadata.get("name") if isinstance(metadata, dict) else None
