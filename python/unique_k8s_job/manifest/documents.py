"""Splits a file or a text into documents, and reads them, as kubectl does (apimachinery, `util/yaml`).

A text that begins with `{` is read as JSON objects as far as possible. Everything else, and the rest of such a text, is
YAML, cut at each line that begins with `---`. A document consists of JSON's values: dicts with texts as keys, lists,
texts, numbers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from unique_k8s_job.manifest.problem import DEEPEST, TOO_DEEP, TWICE, Location, Problem, below
from unique_k8s_job.manifest.scalars import joined, whole

_QUOTE = "a value that a template puts into a text of YAML has to be quoted, as by the filter `tojson`"
_JSON_SPACE = " \t\n\r"


class Unreadable(Exception):
    """A text that cannot be read: `seen` says where and why, without quoting it."""

    def __init__(self, seen: str, hint: str | None = None) -> None:
        super().__init__(seen)
        self.seen = seen
        self.hint = hint


def documents(text: str) -> list[Any]:
    """Return the values of all documents that are not empty.

    :raises Unreadable: if one of them cannot be read
    """
    begun = 0
    found: list[Any] = []
    if text.lstrip().startswith("{"):
        found, begun = _json_objects(text)
    for first_line, document in _split(text, begun):
        found.append(_yaml(document, first_line))
    return [value for value in found if value is not None]


def _json_objects(text: str) -> tuple[list[Any], int]:
    """Return the JSON objects at the beginning, and where something else begins."""
    found: list[Any] = []
    at = 0
    decoder = json.JSONDecoder(
        object_pairs_hook=_Pairs, parse_float=float, parse_int=_json_integer, parse_constant=_no_constant
    )
    while (begins := len(text) - len(text[at:].lstrip(_JSON_SPACE))) < len(text):
        try:
            value, ends = decoder.raw_decode(text, begins)
        except (ValueError, RecursionError):
            if len(found) > 1:
                line = text.count("\n", 0, begins)
                raise Unreadable(
                    Problem("what follows the JSON before it is no JSON", Location(line, 0)).seen(0)
                ) from None
            break
        found.append(_json_value(value, text[begins:ends], text.count("\n", 0, begins)))
        at = ends
    else:
        return found, len(text)
    space = re.compile(r"[^\S\n]*\n?").match(text, at)
    return found, space.end() if space else at


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, whose keys may stand twice."""


def _json_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else float(digits)


def _no_constant(_: str) -> None:
    raise ValueError


def _json_value(value: Any, text: str, first_line: int) -> Any:
    try:
        return _plain(value, "")
    except Problem as error:
        problem = error
    # The parser of JSON gives no places. That of YAML does, and reads JSON as a kind of YAML.
    _yaml(text, first_line)
    raise Unreadable(problem.seen(0))


def _plain(value: Any, path: str, deep: int = 0) -> Any:
    if deep > DEEPEST:
        raise Problem(TOO_DEEP)
    if isinstance(value, _Pairs):
        found: dict[str, Any] = {}
        for key, item in value:
            if key in found:
                raise Problem(TWICE, path=below(path, key))
            found[joined(key)] = _plain(item, below(path, key), deep + 1)
        return found
    if isinstance(value, list):
        return [_plain(item, f"{path}[{number}]", deep + 1) for number, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem("a number has more than 64 bits: quote it", path=path)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return whole(value)
    return joined(value) if isinstance(value, str) else value


def _split(text: str, begun: int) -> Iterator[tuple[int, str]]:
    """Cut YAML into documents; each with the number of lines before it."""
    first_line = text.count("\n", 0, begun)
    lines: list[str] = []
    for number, line in enumerate(text[begun:].removesuffix("\n").split("\n"), first_line):
        line = line.removesuffix("\r")
        if line.startswith("---"):
            if line[3:].strip() and not line[3:].strip().startswith("#"):
                raise Unreadable(Problem("only a comment may stand behind `---`", Location(number, 0)).seen(0))
            if lines:
                yield first_line, "".join(lines)
                first_line, lines = number + 1, []
                continue
        lines.append(f"{line}\n")
    yield first_line, "".join(lines)


def _yaml(text: str, first_line: int) -> Any:
    from yaml import YAMLError

    from unique_k8s_job.described import yaml_problem
    from unique_k8s_job.manifest import yaml_document

    try:
        return yaml_document.read(text)
    except Problem as error:
        found = Unreadable(error.seen(first_line))
    except (YAMLError, ValueError, RecursionError) as error:
        found = Unreadable(yaml_problem(error, text, first_line), _QUOTE)
    raise found
