"""Reads Rust as far as the other scripts of this folder need it: code without texts, or texts without code.

Promise: items that are compiled for tests alone are in neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A comment, a raw string, a string or a character.
_TOKEN = re.compile(
    r"""(?x) //[^\n]* | /\*.*?\*/ | b?r(\#*)"(?P<raw>.*?)"\1 | b?"(?P<text>(?:\\.|[^"\\])*)"
        | b?'(?:\\[^\n]{1,10}?|[^\\'\n])'""",
    re.DOTALL,
)


def code_only(source: str) -> str:
    """The source without comments, texts, and items that are compiled for tests alone."""
    code = _TOKEN.sub(lambda found: '""' if found[0][0] not in "/" else " ", source)
    position, kept = 0, []
    for begin, end in _test_items(code):
        kept.append(code[position:begin])
        position = end
    return "".join([*kept, code[position:]])


def texts(source: str) -> Iterator[str]:
    """The strings of the source as they are at run time, those of items apart that are compiled for tests alone."""
    tests = list(_test_items(_TOKEN.sub(lambda found: " " * len(found[0]), source)))
    for found in _TOKEN.finditer(source):
        text = found["text"] if found["raw"] is None else found["raw"]
        if text and not any(begin <= found.start() < end for begin, end in tests):
            yield re.sub(r"\\\n\s*", "", text).replace('\\"', '"').replace("\\n", "\n")


def _test_items(code: str) -> Iterator[tuple[int, int]]:
    """Where each item that is compiled for tests alone begins and ends."""
    position = 0
    for found in re.finditer(r"#\[cfg\(test\)\]", code):
        if found.start() >= position:
            position = _end_of_item(code, found.end())
            yield found.start(), position


def _end_of_item(text: str, start: int) -> int:
    """The end of the item that begins at `start`: its closing brace, or a semicolon before any brace."""
    depth = 0
    for index in range(start, len(text)):
        match text[index]:
            case "{":
                depth += 1
            case "}":
                depth -= 1
                if depth == 0:
                    return index + 1
            case ";" if depth == 0:
                return index + 1
    return len(text)
