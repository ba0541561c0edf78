"""Says why a manifest cannot be read: what, where, and at which key. It quotes no text but names of keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

#: The deepest nesting of maps and lists. No Job has more than twenty levels, and the core's JSON reader stops at 128.
DEEPEST = 100
TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
AFTER_THE_END = "more text stands after the end of the document"
TWICE = "it stands twice"

#: A key that is shown as it is: a field of Kubernetes, a label, a name. Any other may be a secret in the wrong place.
_SHOWN = re.compile(r"[A-Za-z0-9_./-]{1,80}", re.ASCII)


@dataclass(frozen=True)
class Location:
    """A line and a column, counted from 0."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> Location:
        """Return the place of a mark of PyYAML's."""
        return cls(mark.line, mark.column)


class Problem(Exception):
    """A text has no meaning as a manifest.

    :param what: a sentence without its end
    :param at: where
    :param path: the keys that lead there
    :param again: where the same stands again
    """

    def __init__(self, what: str, at: Location | None = None, path: str = "", again: Location | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.at = at
        self.path = path
        self.again = again

    def seen(self, first_line: int) -> str:
        """Say it in one line.

        :param first_line: how many lines stand before the document
        """
        lines = [
            f"line {at.line + first_line + 1}, column {at.column + 1}" for at in (self.at, self.again) if at is not None
        ]
        where = " and ".join(lines)
        path = f"`{self.path}`: " if self.path else ""
        return f"{where}: {path}{self.what}" if where else f"{path}{self.what}"


def below(path: str, key: str) -> str:
    """Return the path of a key below another."""
    shown = key if _SHOWN.fullmatch(key) else f"(a key of {len(key)} characters)"
    return f"{path}.{shown}" if path else shown
