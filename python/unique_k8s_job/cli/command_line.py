"""The command `unique-k8s-job`: a Job with a unique name, its log and its outcome, without Airflow."""

from __future__ import annotations

import contextlib
import getpass
import math
import socket
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

import click

from unique_k8s_job import native
from unique_k8s_job.cli.cluster_options import cluster_options, configuration
from unique_k8s_job.cli.console import Display, MessagePrinter, stdin_is_a_terminal
from unique_k8s_job.cli.delete import delete
from unique_k8s_job.cli.doctor import doctor
from unique_k8s_job.cli.exit_codes import INTERRUPTED, JOB_FAILED, OUR_ERROR, SUCCESS
from unique_k8s_job.cli.list import list_command
from unique_k8s_job.cli.migrate import migrate_command
from unique_k8s_job.cli.run_ending import Cause, Ending, JobAction, ending
from unique_k8s_job.cli.signals import Interrupted, forget, listen, waiting
from unique_k8s_job.cli.streams import Streams
from unique_k8s_job.described import described, fault
from unique_k8s_job.events import events
from unique_k8s_job.exceptions import ApiRefusedError, ApiUnreachableError, TakenOverError, UniqueK8sJobError
from unique_k8s_job.manifest.encoding import read_stream, read_text
from unique_k8s_job.manifest.plain import whole_text
from unique_k8s_job.manifest.read import read_manifest
from unique_k8s_job.request.arguments import FIELD_VALIDATIONS, FINISHES, OUTCOMES, FieldValidation, env_vars
from unique_k8s_job.request.job import plain_request

if TYPE_CHECKING:
    from unique_k8s_job._core import Attempt, Configuration, JobRequest, Outcome, OutcomeEvent, PerOutcome, Run, Ttl


def call(arguments: list[str]) -> int:
    """Run one command, and return the exit code of the process; a wrong call has the code of our own errors."""
    streams = Streams.of_process()
    streams.install()
    listen()
    try:
        _check_utf8(arguments)
        code = int(commands.main(arguments, standalone_mode=False) or SUCCESS)
    except click.ClickException as error:
        error.show(cast("TextIO", streams.err))
        code = OUR_ERROR
    except (Interrupted, KeyboardInterrupt, click.Abort):
        MessagePrinter(streams).message("Interrupted", "warning")
        return INTERRUPTED
    except UniqueK8sJobError as error:
        MessagePrinter(streams).message(str(error), "error")
        return OUR_ERROR
    except Exception as error:  # noqa: BLE001 a fault of ours ends as one, too
        MessagePrinter(streams).message(str(fault(error)), "error")
        return OUR_ERROR
    finally:
        _last_debug_lines()
    if streams.out.lost_text and code not in (INTERRUPTED, OUR_ERROR):
        MessagePrinter(streams).message(f"stdout did not take the result: {streams.out.why}", "error")
        return OUR_ERROR
    return code


def _check_utf8(arguments: list[str]) -> None:
    """Refuse arguments that are no UTF-8: Python passes such bytes on as halves of characters."""
    for number, argument in enumerate(arguments, 1):
        try:
            whole_text(f"argument {number}", argument)
        except UniqueK8sJobError as error:
            raise click.UsageError(f"Argument {number} of the command holds {error.seen[0]}") from error


def _last_debug_lines() -> None:
    """Wait for the last debug lines: the process ends without Python's own exit, which would wait for them."""
    if debug_log := sys.modules.get("unique_k8s_job.debug_log"):
        debug_log.flush()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True, no_args_is_help=True
)
@click.option("--version", is_flag=True, help="Show the version.")
@click.option("-v", "--verbose", is_flag=True, help="With --version: the build, the client and the deployment id, too.")
@click.pass_context
def commands(context: click.Context, *, version: bool, verbose: bool) -> None:
    """Kubernetes Jobs that never get stuck."""
    if version:
        from unique_k8s_job.cli.version import version_lines

        for line in version_lines(verbose=verbose):
            click.echo(line)
        context.exit()
    if verbose:
        raise click.UsageError("-v goes with --version, or after the command: unique-k8s-job doctor -v")


commands.add_command(delete)
commands.add_command(doctor)
commands.add_command(list_command)
commands.add_command(migrate_command)


@commands.command()
@click.option("--image", help="Image of the base container.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A whole Job, YAML or JSON; `-` is standard input.",
)
@click.option("-n", "--namespace", help="Default: the manifest's, else that of the context.")
@click.option(
    "--from-cron-job",
    metavar="NAME",
    help="Run the present jobTemplate of this CronJob once, as `kubectl create job --from` does.",
)
@click.option(
    # The word of the API and of the operator's argument; `--validate` is kubectl's.
    "--field-validation",
    "--validate",
    "field_validation",
    type=click.Choice(FIELD_VALIDATIONS),
    default="strict",
    show_default=True,
    help="What becomes of a Job with fields that the API server does not know: refused, run with warnings, or run.",
)
@click.option("--name", help="The beginning of the Job's name. Default: the manifest's name, else `job`.")
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
    "--init-timeout", type=click.IntRange(min=1), help="Seconds that init containers may run. Default: no limit."
)
@click.option("--queue", "queue_name", metavar="NAME", help="Wait in this queue of Kueue until it admits the Job.")
@click.option("--queue-timeout", type=click.IntRange(min=1), help="Seconds in that queue. Default: no limit.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for all; then the Job is deleted."
)
@click.option("--keep", is_flag=True, help="Leave the Job, without asking, when interrupted or after an error.")
@click.option("--no-logs", is_flag=True, help="Do not read the log.")
@click.option("--raw", is_flag=True, help="Pass control characters of the log through to the terminal.")
@cluster_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(
    image: str | None,
    manifest: str | None,
    from_cron_job: str | None,
    field_validation: FieldValidation,
    namespace: str | None,
    name: str | None,
    environment: tuple[str, ...],
    ttl: str | None,
    on_finish: tuple[str, ...],
    backoff_limit: int | None,
    startup_timeout: int,
    init_timeout: int | None,
    queue_name: str | None,
    queue_timeout: int | None,
    timeout: float | None,
    keep: bool,
    no_logs: bool,
    raw: bool,
    kubeconfig: str | None,
    cluster_context: str | None,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND as a Kubernetes Job: the log on stdout, what happens to it on stderr.

    Ends with 0 after success; with the container's exit code if one Pod failed; 1 after other failures of the Job; 124
    after --timeout; 125 if the Job could not be run or followed, or stdout or stderr takes no more text; 130 when
    interrupted. After an interruption or an error the Job is deleted; --keep leaves it, except at --timeout. Ctrl-C at
    a terminal asks first; a second one leaves the Job. SIGTERM, SIGHUP and SIGQUIT do not ask. The name of the Job is
    printed before it is made, and again if it is left. If a reader of stdout goes away, as `head` does, the run goes
    on.
    """
    arguments: dict[str, Any] = {
        "image": image,
        "cmds": list(command) or None,
        "env_vars": env_vars(dict(_pair(text) for text in environment)) if environment else None,
        "backoff_limit": backoff_limit,
    }
    time_to_live = _ttl(ttl)
    kept: PerOutcome[Ttl] = {"succeeded": time_to_live, "failed": time_to_live}
    finish = _on_finish(on_finish)

    def prepared() -> tuple[Configuration, JobRequest]:
        job = None if manifest is None else _manifest(manifest)
        request: JobRequest = {
            "attempt": _attempt(),
            "slug": name,
            "default_slug": "job",
            "run_time": datetime.now(timezone.utc).isoformat(),
            "namespace": namespace,
            "manifest": job,
            "from_cron_job": from_cron_job,
            "field_validation": field_validation,
            "arguments": {key: value for key, value in arguments.items() if value is not None},
            "ttl": kept,
            "on_finish": finish,
            "startup_timeout_seconds": startup_timeout,
            "init_timeout_seconds": init_timeout,
            "queue_name": queue_name,
            "queue_timeout_seconds": queue_timeout,
            "get_logs": not no_logs,
            "log_format": {"line_levels": False, "raw": True},
        }
        return configuration(kubeconfig, cluster_context), plain_request(request)

    with Display(raw=raw) as display:
        if no_logs:
            display.without_log()
        return _Running(display, keep=keep, timeout=timeout).to_its_end(prepared)


class _Ended(Exception):
    """The run ends before its Job's outcome was reported."""

    def __init__(self, cause: Cause, text: str | None = None) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text


class _Running:
    """One call of `run`.

    :param timeout: seconds for all of it
    """

    def __init__(self, display: Display, *, keep: bool, timeout: float | None) -> None:
        self._display = display
        self._keep = keep
        self._timeout = timeout
        self._run: Run | None = None
        #: Whether the Job was made.
        self._made = False
        #: The message about the deletion, and its level.
        self._deleted: tuple[str, str] | None = None

    def to_its_end(self, prepared: Callable[[], tuple[Configuration, JobRequest]]) -> int:
        """Make the Job, follow it, and return the exit code."""
        try:
            return exit_code(self._followed(prepared))
        except Interrupted as interrupt:
            ended = _Ended(Cause.KEYBOARD if interrupt.from_the_keyboard else Cause.SIGNAL)
        except _Ended as itself:
            ended = itself
        except UniqueK8sJobError as error:
            ended = _Ended(_cause(error, made=self._made), str(error))
        except Exception as error:  # noqa: BLE001 whatever it is, the Job is not forgotten
            ended = _Ended(Cause.FAULT, str(fault(error)))
        # The program now does what was asked for; a later signal is about that.
        forget()
        end = ending(ended.cause, begun=self._run is not None, keep=self._keep, can_ask=stdin_is_a_terminal())
        try:
            self._settle(ended, end)
        except (Interrupted, click.Abort):
            if self._deleted:
                self._display.message(*self._deleted)
            else:
                self._display.report_left("is not waited for any more, and may go on")
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001
            self._display.message(str(fault(error)), "error")
            self._display.report_left("may go on")
        finally:
            if self._run is not None:
                self._run.close()
        return end.code

    def _followed(self, prepared: Callable[[], tuple[Configuration, JobRequest]]) -> OutcomeEvent:
        """Return the outcome, once it is reported and acknowledged."""
        deadline = math.inf if self._timeout is None else time.monotonic() + self._timeout
        self._check_streams()
        with waiting():
            cluster, wanted = prepared()
            where, request = native.Cluster(cluster), native.CheckedRequest(wanted)
            self._display.submitting(*native.destination(where, request))
        self._check_streams()
        self._run = run = native.Run(where, request)
        for event in events(run, lambda: deadline - time.monotonic(), waiting=waiting):
            self._display.event(event)
            self._made = self._made or event["kind"] == "submitted"
            if event["kind"] == "outcome":
                self._acknowledge(run)
                return event
            self._check_streams()
        raise _Ended(Cause.TIMEOUT, f"The Job has not ended within {self._timeout:g} s: it is deleted")

    def _acknowledge(self, run: Run) -> None:
        with waiting():
            said = run.acknowledge()
        for event in said:
            self._display.event(event)

    def _check_streams(self) -> None:
        if trouble := self._display.trouble():
            raise _Ended(Cause.STREAM_LOST, trouble)

    def _settle(self, ended: _Ended, end: Ending) -> None:
        """Do with the Job what was decided, and say so."""
        action = end.action
        if action is JobAction.ASKED:
            self._display.pause()
            with waiting():
                yes = click.confirm("\nDelete the Job?", default=True, err=True)
            action = JobAction.DELETED if yes else JobAction.LEFT
        # The deletion comes first: messages may have to wait for a reader.
        if action is JobAction.DELETED:
            self._delete(end.confirm_for)
        self._display.pause()
        if ended.text:
            self._display.message(ended.text, "error")
        if self._deleted:
            self._display.message(*self._deleted)
            if self._deleted[1] == "error":
                self._display.report_left("may still be there")
        elif action is JobAction.NOT_MADE:
            self._display.message("No Job was made")
        elif action is JobAction.LEFT:
            self._display.report_left()

    def _delete(self, confirm_for: float) -> None:
        if self._run is None:
            return
        try:
            with contextlib.closing(self._run.delete(confirm_for)) as work:
                for event in events(work, waiting=waiting):
                    if event["kind"] == "message":
                        self._display.event(event)
                    elif event["kind"] == "removed":
                        self._deleted = event["text"] or "No Job was made by this try: nothing to delete", "info"
        except UniqueK8sJobError as error:
            self._deleted = str(error), "error"


def _cause(error: UniqueK8sJobError, *, made: bool) -> Cause:
    if isinstance(error, TakenOverError):
        return Cause.TAKEN_OVER
    if made and isinstance(error, (ApiRefusedError, ApiUnreachableError)):
        return Cause.LOST
    return Cause.UNREACHABLE if isinstance(error, ApiUnreachableError) else Cause.ERROR


def exit_code(outcome: Outcome) -> int:
    """The exit code of the command for an outcome."""
    if outcome["state"] == "succeeded":
        return SUCCESS
    code = outcome["exit_code"]
    return code if isinstance(code, int) and 0 < code < 256 else JOB_FAILED


def _attempt() -> Attempt:
    """Each call of the command is an attempt of its own."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
        return _named(f"{user}@{socket.gethostname()}")
    return _named(socket.gethostname())


def _named(who: str) -> Attempt:
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
        raise click.BadParameter(f"{described(text)} is not NAME=VALUE", param_hint="--env")
    return name, value


def _ttl(text: str | None) -> Ttl:
    if text is None:
        return {"kind": "unset"}
    if text == "never":
        return {"kind": "never"}
    if not text.isdecimal() or int(text) >= 2**31:
        raise click.BadParameter(f"{text!r} is neither a number of seconds nor `never`", param_hint="--ttl")
    return {"kind": "seconds", "seconds": int(text)}


def _on_finish(choices: tuple[str, ...]) -> PerOutcome[Literal["keep", "delete"]]:
    chosen: dict[str, str] = {}
    for choice in choices:
        outcome, _, word = choice.rpartition("=")
        if word not in FINISHES or outcome not in ("", *OUTCOMES):
            raise click.BadParameter(
                f"{choice!r} is none of `keep`, `delete`, `succeeded=delete`, ...", param_hint="--on-finish"
            )
        chosen |= {outcome: word} if outcome else dict.fromkeys(OUTCOMES, word)
    return cast("PerOutcome[Literal['keep', 'delete']]", chosen)


def _manifest(path: str) -> dict[str, Any]:
    if path == "-":
        with open(0, "rb", closefd=False) as stdin:
            return read_manifest(read_stream(stdin, "standard input"), "standard input")
    return read_manifest(read_text(path), path)
