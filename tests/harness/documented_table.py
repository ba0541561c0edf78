"""Tables of the documentation that tests produce: what a page says is what was seen.

A page has one table, or one below each of its headings `### SECTION`. Its first column names the row; every other cell
belongs to one test, which compares it with what it has seen: `check("stops.md", row, column, seen)`. With `UNIQUE_K8S_JOB_WRITE_TABLES=1` the cell is written instead, a
missing row is added at the end, and a missing column at the right. What differs from run to run (times, names) has no
place in a cell: say it in coarse words, and print what was measured.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

#: Whether cells are written instead of compared.
WRITES = bool(os.environ.get("UNIQUE_K8S_JOB_WRITE_TABLES"))
DOCS = Path(__file__).resolve().parents[2] / "docs"


def check(page: str, row: str, column: str, seen: str, section: str | None = None) -> None:
    """Compare one cell of a page's table with what was seen, or write it; with `section`, of the table below its heading."""
    file = DOCS / page
    if WRITES:
        _write(file, row, column, seen, section)
    said = cells(page, section).get(row, {}).get(column)
    assert said == seen, (
        f"docs/{page} says of {row!r}, {column!r}: {said!r}\n  seen: {seen!r}\n"
        "  hint: if what was seen is right, run this test with UNIQUE_K8S_JOB_WRITE_TABLES=1"
    )


def cells(page: str, section: str | None = None) -> dict[str, dict[str, str]]:
    """The table of a page: column and cell, by row."""
    _, table, _ = _parts((DOCS / page).read_text(), section)
    header, rows = table[0], table[2:]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def _write(file: Path, row: str, column: str, seen: str, section: str | None) -> None:
    # Tests may run in several processes.
    with file.open("r+") as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        before, table, after = _parts(page.read(), section)
        if column not in table[0]:
            for line, filling in zip(table, [column, "---", *[""] * len(table)], strict=False):
                line.append(filling)
        at = table[0].index(column)
        if all(line[0] != row for line in table[2:]):
            table.append([row] + [""] * (len(table[0]) - 1))
        for line in table[2:]:
            if line[0] == row:
                line[at] = seen
        text = "\n".join("| " + " | ".join(line) + " |" for line in table)
        page.seek(0)
        page.truncate()
        page.write(f"{before}{text}\n{after}")


def _parts(text: str, section: str | None) -> tuple[str, list[list[str]], str]:
    """What stands before the table, its lines as cells, what stands after it."""
    lines = text.splitlines(keepends=True)
    begin = lines.index(f"### {section}\n") if section else 0
    following = (number for number in range(begin + 1, len(lines)) if lines[number].startswith("#"))
    end = next(following, len(lines)) if section else len(lines)
    rows = [number for number in range(begin, end) if lines[number].startswith("|")]
    if not rows:
        # A section without a table yet.
        return "".join(lines[:end]), [["way to be stuck"], ["---"]], "\n" + "".join(lines[end:])
    first, last = rows[0], rows[-1]
    table = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[first : last + 1]]
    return "".join(lines[:first]), table, "".join(lines[last + 1 :])
