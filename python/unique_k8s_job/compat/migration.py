"""Rewrites the imports of a DAG file from cncf.kubernetes to ours, and says what else a person has to know. Pure.

Promise: only import statements change, found in the syntax tree; every other character of the file stays. What is read is
never run.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

from unique_k8s_job.compat import moved
from unique_k8s_job.compat.remarks import Note, of_import, remarks


class Migrated(NamedTuple):
    """A file with its imports rewritten."""

    text: str
    notes: list[Note]


def migrate(text: str) -> Migrated:
    """Rewrite the imports of a DAG file.

    :raises SyntaxError: if it is no Python
    """
    tree = ast.parse(text)
    lines = _lines(text)
    names: dict[str, str] = {}
    notes: list[Note] = []
    edits: list[tuple[int, int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in (*moved.MODULES, moved.OURS) and not node.level:
            names |= {name.asname or name.name: name.name for name in node.names if name.name in moved.CLASSES}
            if any(name.name == "*" for name in node.names):
                names |= {name: name for name in moved.CLASSES}
            if node.module in moved.MODULES:
                edits += _of_import(text, lines, node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            notes += of_import(node)
    notes += remarks(tree, names)
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    return Migrated(text, sorted(set(notes)))


def _of_import(text: str, lines: list[str], node: ast.ImportFrom) -> Iterator[tuple[int, int, str]]:
    """Return the edits of one import: of its module alone, or, if it has other names, of the whole statement."""
    begin, end = _at(lines, node.lineno, node.col_offset), _at(lines, node.end_lineno or 0, node.end_col_offset or 0)
    ours = [name for name in node.names if name.name in moved.CLASSES]
    others = [name for name in node.names if name.name not in moved.CLASSES]
    if not ours:
        return
    if others:
        before = text[:begin].rpartition("\n")[2]
        statements = [ast.ImportFrom(moved.OURS, ours, 0), ast.ImportFrom(node.module, others, 0)]
        between = "; " if before.strip() else f"\n{before}"
        yield begin, end, between.join(ast.unparse(statement) for statement in statements)
        return
    statement = text[begin:end]
    own = _lines(statement)
    words = list(tokenize.generate_tokens(iter([*own, ""]).__next__))
    last = next(number for number, word in enumerate(words) if word.string == "import")
    first, final = words[1].start, words[last - 1].end
    offset = [sum(map(len, own[: row - 1])) + column for row, column in (first, final)]
    yield begin + offset[0], begin + offset[1], moved.OURS


def _lines(text: str) -> list[str]:
    """Return the lines of a text as Python counts them, with their ends."""
    return list(io.StringIO(text, newline=""))


def _at(lines: list[str], row: int, column: int) -> int:
    """Return the offset of a place in the text; the columns of a syntax tree count bytes."""
    return sum(map(len, lines[: row - 1])) + len(lines[row - 1].encode()[:column].decode())
