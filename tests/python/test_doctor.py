"""What `unique-k8s-job doctor` shows and answers, without a cluster."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import Any

import click
import pytest

from unique_k8s_job.cli import doctor as doctor_command
from unique_k8s_job.cli.console import MessagePrinter
from unique_k8s_job.cli.doctor_text import HELD_BACK, DoctorText
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
    return {"namespace": "etl", "jobs": 1, "stuck": stuck, "failed": 0, "unknown": [], "time": "2026-01-06T10:10:00Z",
            "diagnoses": diagnoses}  # fmt: skip


def test_plan_names_the_pods_that_lose_their_owner() -> None:
    (step,) = doctor_command._plan(report(finding(running=["train-x", "train-y"]))).values()
    assert "go on without an owner, or are ended: train-x, train-y" in step["words"]
    (step,) = doctor_command._plan(report(finding())).values()
    assert "owner" not in step["words"]


def test_most_severe_finding_is_the_first_row_whenever_it_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    pieces = [report(finding(severity=severity, cause=severity)) for severity in ("info", "warning", "blocking")]
    doctor = DoctorText()
    under_way = doctor.begin(whole=False)
    for piece in pieces:
        under_way.add(piece["diagnoses"], piece["time"])
    assert capsys.readouterr().out == ""
    doctor.finish(under_way, pieces[0])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    finalizer")]
    assert [line.split(": ")[1] for line in rows] == ["blocking", "warning", "info"]


def test_jobs_of_which_nothing_was_found_are_not_kept() -> None:
    under_way = DoctorText().begin(whole=False)
    healthy = report()
    for _ in range(3):
        under_way.add(healthy["diagnoses"], healthy["time"])
    assert under_way._held == []


def test_findings_after_the_first_hundred_are_shown_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    under_way = DoctorText().begin(whole=True)
    first = report(*(finding(code=f"code-{number}") for number in range(HELD_BACK)))
    under_way.add(first["diagnoses"], first["time"])
    assert capsys.readouterr().out.count("next:") == HELD_BACK
    later = report(finding(code="later"))
    under_way.add(later["diagnoses"], later["time"])
    assert "later" in capsys.readouterr().out


def test_next_step_is_printed_in_one_line_so_that_it_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    command = "kubectl -n etl patch job train --type=json -p '" + "x" * 200 + " " + "y" * 200 + "'"
    DoctorText().show(report(finding(next_step=command)), whole=True)
    assert f"  next: {command}\n" in capsys.readouterr().out


def diagnoses(*jobs: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"job": {"namespace": "etl", "name": name, "uid": name}, "findings": [finding(**changes)]}
        for name, changes in jobs
    ]


def shown(seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, terminal: bool, columns: int = 60) -> list[str]:
    """The lines of the overview; colours apart."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    monkeypatch.setenv("TERM", "dumb")
    out = io.StringIO()
    with redirect_stdout(out):
        DoctorText().show(seen, whole=False)
    return re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()).splitlines()


@pytest.mark.parametrize("terminal", [False, True])
def test_overview_has_each_command_in_one_line_of_its_own_under_the_numbers_of_its_rows(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "kubectl -n etl patch job train --type=json -p '" + "x" * 200 + " " + "y" * 200 + "'"
    findings = [
        finding(next_step=long),
        finding(code="suspended", severity="info", next_step="kubectl get jobs"),
        finding(code="config-missing", severity="warning", next_step=long),
    ]
    lines = shown(report(*findings), monkeypatch, terminal=terminal)
    below = lines[lines.index("WHAT TO DO") + 1 :]
    assert below[:4] == [
        "# 1 finalizer-orphan-stuck, 2 config-missing", long, "# 3 suspended", "kubectl get jobs"
    ]  # fmt: skip
    rows = lines[: lines.index("WHAT TO DO")]
    assert [line.split()[:4] for line in rows if "  etl/train" in line or " ? etl/train" in line] == [
        ["1", "blocking", "?", "etl/train"],
        ["2", "warning", "?", "etl/train"],
        ["3", "info", "?", "etl/train"],
    ]


def test_cause_stands_under_its_row_and_is_broken_at_the_width_of_the_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cause = "Pod `etl/train-x` cannot start: " + "ConfigMap `etl/settings` does not exist, " * 3
    seen = report(finding(code="config-missing", cause=cause.strip()))
    lines = shown(seen, monkeypatch, terminal=True, columns=80)
    told = lines[2 : lines.index("")]
    assert len(told) == 3 and all(line.startswith("    ") and len(line) <= 80 for line in told), told
    assert " ".join(line.strip() for line in told) == f"config-missing: {cause.strip()}"
    assert f"    config-missing: {cause.strip()}" in shown(seen, monkeypatch, terminal=False)


def test_jobs_that_share_a_cause_share_a_row_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def quota(name: str, number: int) -> tuple[str, dict[str, Any]]:
        since = f"2026-01-06T10:0{number}:00Z"
        return name, {
            "code": "quota-exceeded",
            "cause": f"Job `etl/{name}` gets no Pod, {number} asked",
            "since": since,
        }

    seen = {**report(), "jobs": 6, "stuck": 6}
    seen["diagnoses"] = diagnoses(*(quota(f"job-{letter}", n) for n, letter in enumerate("abcde", 1)), ("other", {}))
    lines = shown(seen, monkeypatch, terminal=False)
    (row,) = [line for line in lines if "5 Jobs" in line]
    assert row.split(maxsplit=4) == ["1", "blocking", "9", "min", "5 Jobs: etl/job-a, etl/job-b, etl/job-c and 2 more"]
    assert "# 1 quota-exceeded, the first of them, 2 finalizer-orphan-stuck" in lines
    few = {**seen, "diagnoses": diagnoses(*(quota(f"job-{letter}", 1) for letter in "abc"))}
    assert sum("quota-exceeded: " in line for line in shown(few, monkeypatch, terminal=False)) == 3


@pytest.mark.parametrize(
    ("jobs", "stuck", "failed", "findings", "words"),
    [
        (34, 0, 0, 0, "34 Jobs in namespace etl, all fine"),
        (
            34,
            0,
            2,
            0,
            "34 Jobs in namespace etl: none stuck, 2 failed (see `unique-k8s-job list -n etl --state failed`)",
        ),
        (1, 0, 0, 0, "1 Job in namespace etl, fine"),
        (0, 0, 0, 0, "No Job in namespace etl"),
        (0, 1, 0, 1, "No Job is left in namespace etl: 1 stuck of what Jobs have left behind"),
        (
            3,
            2,
            1,
            3,
            "3 Jobs in namespace etl: 2 stuck, 1 more with findings, 1 failed (see `unique-k8s-job list -n etl --state failed`)",
        ),
        (3, 0, 0, 1, "3 Jobs in namespace etl: none stuck, 1 with findings"),
        (1, 1, 0, 1, "1 Job in namespace etl: 1 stuck"),
    ],
)
def test_last_line_counts_in_words_that_fit(
    jobs: int, stuck: int, failed: int, findings: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {
        **report(),
        "jobs": jobs,
        "stuck": stuck,
        "failed": failed,
        "diagnoses": diagnoses(*((f"j{n}", {}) for n in range(findings))),
    }
    assert shown(seen, monkeypatch, terminal=False)[-1] == words


def test_page_of_the_watch_begins_with_clock_and_totals_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    many = {**report(), "jobs": 90, "stuck": 40}
    many["diagnoses"] = diagnoses(*((f"job-{n}", {"code": f"code-{n}", "cause": "x " * 100}) for n in range(40)))
    for seen, last in ((many, r"\.\.\. \d+ lines more: make the window taller"), (report(finding()), "")):
        out = io.StringIO()
        with redirect_stdout(out):
            doctor = DoctorText()
            doctor.console.print(doctor.page([seen], whole=False))
        lines = re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()).rstrip("\n").splitlines()
        assert lines[0].startswith("10:10:00 UTC  ") and "stuck" in lines[0], lines[0]
        assert len(lines) <= 22 and max(map(len, lines)) <= 80, lines
        assert re.match(last, lines[-1]), lines[-1]


def test_overview_shows_so_many_findings_of_a_kind_and_the_number_of_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = diagnoses(
        *(
            (f"job-{n}", {"code": "suspended", "severity": "info", "cause": "abc"[: n % 3] + "x" * n,
                          "next_step": f"kubectl get job {n}"})
            for n in range(60)
        )
    )  # fmt: skip
    DoctorText().show({**report(finding()), "diagnoses": [*report(finding())["diagnoses"], *many]}, whole=False)
    out = capsys.readouterr().out
    assert "and 10 more: suspended\n" in out
    assert "kubectl get job 49\n" in out
    assert "kubectl get job 50\n" not in out


def test_report_of_one_job_stands_before_its_findings(capsys: pytest.CaptureFixture[str]) -> None:
    made = {
        "deployment": "prod",
        "dag_id": "nightly",
        "task_id": "load",
        "run_id": "r",
        "map_index": 2,
        "try_number": 2,
    }
    container = {"name": "base", "init": False, "restarts": 1, "words": "exit code 3"}
    told = {
        "state": "failed", "since": "2026-01-06T10:07:00Z", "created": "2026-01-06T09:10:00Z",
        "summary": "Job `etl/train` failed", "exit_code": 3, "made_by": made,
        "pods": [{"name": "train-x", "node": "node1", "index": None, "phase": "Failed",
                  "created": "2026-01-06T09:10:00Z", "words": None, "containers": [container]}],
        "more_pods": 1, "hint": "repair it", "log": {"pod": "train-x", "container": "base", "previous": False, "written": "2026-01-06T10:07:00Z", "lines": ["boom"], "missing": None},
        "next": ["Kubernetes deletes it"],
    }  # fmt: skip
    doctor = DoctorText()
    under_way = doctor.begin(whole=True)
    under_way.report(told, "2026-01-06T10:10:00Z")
    assert capsys.readouterr().out.splitlines() == [
        "failed (for 3 min, made 1 h ago)",
        "  Job `etl/train` failed",
        "  task: nightly.load[2], run r, try 2 (deployment prod)",
        "  Pod train-x: Failed, on node node1, made 1 h ago",
        "    container base (1 restart): exit code 3",
        "  and 1 more Pod",
        "  hint: repair it",
        "  log: base in train-x, its end (the last line is 3 min old)",
        "    | boom",
        "  then: Kubernetes deletes it",
        "",
    ]


@pytest.mark.parametrize(("stuck", "code"), [(0, SUCCESS), (1, STUCK)])
def test_no_to_the_fix_leaves_the_verdict_as_it_was(stuck: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    seen = report(finding(severity="warning"), stuck=stuck)
    assert doctor_command._fix(None, "etl", "train", seen, MessagePrinter(), yes=False) == code
