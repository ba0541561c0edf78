"""What `unique-k8s-job doctor` shows and answers, without a cluster."""

from __future__ import annotations

from typing import Any

import click
import pytest

from unique_k8s_job.cli import doctor as doctor_command
from unique_k8s_job.cli.console import Speaker
from unique_k8s_job.cli.doctor_text import DoctorText
from unique_k8s_job.cli.exit_codes import STUCK, SUCCESS

JOB = {"namespace": "etl", "name": "train", "uid": "u-1"}


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "code": "finalizer-orphan-stuck",
        "severity": "blocking",
        "cause": "Job `etl/train` is held",
        "seen": [],
        "since": None,
        "next_step": "kubectl get jobs",
        "remedy": "release-gc-finalizers",
        "running": [],
        **changes,
    }


def report(*findings: dict[str, Any], stuck: int = 1) -> dict[str, Any]:
    diagnoses = [{"job": JOB, "findings": list(findings)}]
    return {"namespace": "etl", "jobs": 1, "stuck": stuck, "unknown": [], "time": "2026-01-06T10:10:00Z",
            "diagnoses": diagnoses}  # fmt: skip


def test_plan_names_the_pods_that_lose_their_owner() -> None:
    (step,) = doctor_command._plan(report(finding(running=["train-x", "train-y"]))).values()
    assert "go on without an owner, or are ended: train-x, train-y" in step["words"]
    (step,) = doctor_command._plan(report(finding())).values()
    assert "owner" not in step["words"]


def test_next_step_is_printed_in_one_line_so_that_it_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    command = "kubectl -n etl patch job train --type=json -p '" + "x" * 200 + " " + "y" * 200 + "'"
    DoctorText().show(report(finding(next_step=command)), whole=True)
    assert f"  next: {command}\n" in capsys.readouterr().out


def test_overview_has_each_command_in_one_line_of_its_own_under_the_numbers_of_its_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "kubectl -n etl patch job train --type=json -p '" + "x" * 200 + " " + "y" * 200 + "'"
    findings = [
        finding(next_step=long),
        finding(code="suspended", severity="info", next_step="kubectl get jobs"),
        finding(code="config-missing", severity="warning", next_step=long),
    ]
    monkeypatch.setenv("COLUMNS", "60")
    for terminal in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", terminal)
        monkeypatch.setenv("TERM", "dumb")
        DoctorText().show(report(*findings), whole=False)
        shown = capsys.readouterr().out.splitlines()
        below = shown[shown.index("WHAT TO DO") + 1 :]
        assert below[:4] == [
            "# 1 finalizer-orphan-stuck, 2 config-missing", long, "# 3 suspended", "kubectl get jobs"
        ]  # fmt: skip
        rows = shown[: shown.index("WHAT TO DO")]
        assert [line.split()[:3] for line in rows if "etl/train" in line] == [
            ["1", "etl/train", "finalizer-orphan-stuck"],
            ["2", "etl/train", "config-missing"],
            ["3", "etl/train", "suspended"],
        ]


def test_overview_shows_so_many_findings_of_a_kind_and_the_number_of_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [finding(code="suspended", severity="info", next_step=f"kubectl get job {n}") for n in range(60)]
    DoctorText().show(report(finding(), *many), whole=False)
    shown = capsys.readouterr().out
    assert "and 10 more: suspended\n" in shown
    assert "kubectl get job 49\n" in shown
    assert "kubectl get job 50\n" not in shown


@pytest.mark.parametrize(("stuck", "code"), [(0, SUCCESS), (1, STUCK)])
def test_no_to_the_fix_leaves_the_verdict_as_it_was(stuck: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    seen = report(finding(severity="warning"), stuck=stuck)
    assert doctor_command._fix(None, "etl", "train", seen, Speaker(), yes=False) == code
