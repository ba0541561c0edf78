"""`tests/README.md` against the tests: whatever stands there as the proof of a promise exists."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
WORLDS = {
    "pure": ("src", "*.rs"),
    "simulation": ("tests/simulation", "*.rs"),
    "Python": ("tests/python", "*.py"),
    "live": ("tests/live", "*.py"),
    "Airflow": ("tests/airflow", "*.py"),
}


def rows() -> list[tuple[str, list[str], str]]:
    page = (CHECKOUT / "tests/README.md").read_text()
    table = page.split("## Worlds")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    return [(promise, re.findall(r"`(\w+)`", tests), world) for promise, tests, world in cells if promise != "promise"]


def test_every_test_that_proves_a_promise_exists_in_its_world() -> None:
    missing = []
    for promise, tests, world in rows():
        folder, files = WORLDS[world]
        text = "\n".join(file.read_text() for file in (CHECKOUT / folder).rglob(files))
        missing += [(promise, test) for test in tests if not re.search(rf"\b(fn|def) {test}\(", text)]
    assert missing == []


def test_every_promise_of_the_readme_has_a_proof() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    promises = re.findall(r"^- \*\*(.+?)\.\*\*", readme.split("## What it promises")[1].split("\n## ")[0], re.MULTILINE)
    proven = " ".join(promise.lower() for promise, _, _ in rows())
    unproven = [
        promise for promise in promises if not all(part.strip().lower() in proven for part in promise.split(", a "))
    ]
    assert promises and unproven == []
