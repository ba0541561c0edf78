"""The command without a cluster: its help, its wrong calls, and what it shows where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unique_k8s_job import __version__, command_line
from unique_k8s_job.console import Display

START = "from unique_k8s_job.command_line import main; main()"


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
    script = "import sys, unique_k8s_job.command_line, unique_k8s_job.console; print('airflow' in sys.modules)"
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
from unique_k8s_job.console import Display
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


def test_locale_that_cannot_spell_a_line_shows_it_escaped() -> None:
    script = """
from unique_k8s_job.console import Display
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
        display.say_left()
        display.event({"kind": "submitted", "namespace": "etl", "name": "train", "uid": "u"})
        display.say_left()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "warning: If the Job was made, it is left as it is"
    assert said[-1].endswith("kubectl -n etl delete job train")
