"""Rewrites the imports of a DAG file from cncf.kubernetes to ours, and says what else a person has to know. Pure.

Promise: only import statements change, found in the syntax tree; every other character of the file stays. What is read is
never run.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from unique_k8s_job.compat import replaced, without_meaning

_PACKAGE = "airflow.providers.cncf.kubernetes"
_MODULES = (f"{_PACKAGE}.operators.job", f"{_PACKAGE}.operators.kueue")
_OURS = "unique_k8s_job.compat"
#: Our classes, and what a subclass of each must not override.
_CLASSES: Mapping[str, Mapping[str, str]] = {
    "KubernetesJobOperator": replaced.OF_A_JOB,
    "KubernetesDeleteJobOperator": replaced.OF_OTHERS,
    "KubernetesPatchJobOperator": replaced.OF_OTHERS,
    "KubernetesStartKueueJobOperator": replaced.OF_A_JOB,
}
_METHODS = ("partial", "expand")


class Note(NamedTuple):
    """What a person has to know about a line."""

    line: int
    text: str
    #: Whether the file does not work until somebody has changed it.
    by_hand: bool


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
        if isinstance(node, ast.ImportFrom) and node.module in (*_MODULES, _OURS) and not node.level:
            names |= {name.asname or name.name: name.name for name in node.names if name.name in _CLASSES}
            if node.module in _MODULES:
                edits += _of_import(text, lines, node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            notes += _of_other_import(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            notes += _of_call(node, names)
        elif isinstance(node, ast.ClassDef):
            notes += _of_class(node, names)
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    return Migrated(text, sorted(set(notes)))


def _of_import(text: str, lines: list[str], node: ast.ImportFrom) -> Iterator[tuple[int, int, str]]:
    """Return the edits of one import: of its module alone, or, if it has other names, of the whole statement."""
    begin, end = _at(lines, node.lineno, node.col_offset), _at(lines, node.end_lineno or 0, node.end_col_offset or 0)
    ours = [name for name in node.names if name.name in _CLASSES]
    others = [name for name in node.names if name.name not in _CLASSES]
    if not ours:
        return
    if others:
        before = text[:begin].rpartition("\n")[2]
        statements = [ast.ImportFrom(_OURS, ours, 0), ast.ImportFrom(node.module, others, 0)]
        between = "; " if before.strip() else f"\n{before}"
        yield begin, end, between.join(ast.unparse(statement) for statement in statements)
        return
    statement = text[begin:end]
    own = _lines(statement)
    words = list(tokenize.generate_tokens(iter([*own, ""]).__next__))
    last = next(number for number, word in enumerate(words) if word.string == "import")
    first, final = words[1].start, words[last - 1].end
    offset = [sum(map(len, own[: row - 1])) + column for row, column in (first, final)]
    yield begin + offset[0], begin + offset[1], _OURS


def _lines(text: str) -> list[str]:
    """Return the lines of a text as Python counts them, with their ends."""
    return list(io.StringIO(text, newline=""))


def _at(lines: list[str], row: int, column: int) -> int:
    """Return the offset of a place in the text; the columns of a syntax tree count bytes."""
    return sum(map(len, lines[: row - 1])) + len(lines[row - 1].encode()[:column].decode())


def _of_other_import(node: ast.Import | ast.ImportFrom) -> Iterator[Note]:
    if isinstance(node, ast.Import):
        found = [name.name for name in node.names if name.name in _MODULES]
    else:
        found = [f"{node.module}.{name.name}" for name in node.names if f"{node.module}.{name.name}" in _MODULES]
    if found:
        yield Note(node.lineno, f"import the classes by their names: `from {_OURS} import KubernetesJobOperator`", True)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
        yield Note(
            node.lineno,
            f"`{', '.join(name.name for name in node.names)}` still comes from cncf.kubernetes, which has to stay installed; "
            "a dict can be given instead of a `Secret` or a model",
            False,
        )


def _of_call(node: ast.Call, names: Mapping[str, str]) -> Iterator[Note]:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _METHODS:
        function = function.value
    if not isinstance(function, ast.Name) or _CLASSES.get(names.get(function.id, "")) is not replaced.OF_A_JOB:
        return
    given = {keyword.arg for keyword in node.keywords}
    without = {**without_meaning.OF_A_JOB, **({} if _has_sidecar(node) else without_meaning.OF_THE_SIDECAR)}
    for keyword in node.keywords:
        what = without.get(keyword.arg or "")
        asks = not isinstance(keyword.value, ast.Constant) or keyword.value.value
        if what and (asks or keyword.arg == "container_name_log_prefix_enabled"):
            yield Note(keyword.value.lineno, f"`{keyword.arg}` has no effect: {what}", False)
    if "wait_until_job_complete" not in given and None not in given:
        yield Note(
            node.lineno,
            "the task does not wait for its Job, as before: give `wait_until_job_complete=True` to see its log and its end",
            False,
        )


def _has_sidecar(node: ast.Call) -> bool:
    """Return whether the result of the task may come by a sidecar."""
    sources = [keyword.value for keyword in node.keywords if keyword.arg == "xcom"]
    return any(not isinstance(source, ast.Constant) or source.value == "sidecar" for source in sources)


def _of_class(node: ast.ClassDef, names: Mapping[str, str]) -> Iterator[Note]:
    bases = [names[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in names]
    for base in bases:
        for item in node.body:
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and item.name in _CLASSES[base]:
                yield Note(item.lineno, f"`{item.name}` is never called: {_CLASSES[base][item.name]}", True)
