"""Describes a value that may be secret for an error: its type and size, never the value.

Arguments are rendered from templates, and connections and manifests hold passwords, so even a flag or a name may be one
by mistake. A word that is given where one of a few words is wanted is shown, if it has only letters: a secret that a
template has rendered by mistake has hardly the form of such a word.
"""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path
from typing import Any

from unique_k8s_job.exceptions import InternalError, UniqueK8sJobError

#: How many lines of code of a fault are shown, the last ones.
FRAMES = 8
#: A text that looks like a word of a choice, such as `delete_succeeded_pod`.
_WORD = re.compile(r"[A-Za-z_-]{1,24}")
#: PyYAML's messages that quote nothing. Its others have names, tags and characters of the text.
_PLAIN_PROBLEMS = frozenset(
    {
        "could not find expected ':'",
        "did not find expected <document start>",
        "found unexpected document separator",
        "found unexpected end of stream",
        "found unhashable key",
        "mapping keys are not allowed here",
        "mapping values are not allowed here",
        "found a tab in an indentation",
        "sequence entries are not allowed here",
    }
)


def described(value: Any) -> str:
    """Return the type of a value, and the length of a text."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"a text of {len(value)} characters" if value.strip() else "an empty text"
    return f"a value of type {type(value).__name__}"


def described_choice(value: Any) -> str:
    """Return a value that should be one of a few words, if it looks like a word or is True or False; else as `described`."""
    if isinstance(value, bool) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return f"`{value}`"
    return described(value)


def failure(error: BaseException) -> str:
    """Return what may be shown of an exception, even of a secrets backend's, whose text may quote its token."""
    if isinstance(error, UniqueK8sJobError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, ImportError):  # it names modules and files
        return f"{kind}: {error}"
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and isinstance(error.errno, int):
        return f"{kind}: {os.strerror(error.errno)}"
    return kind


def fault(error: BaseException, what: str = "internal error") -> InternalError:
    """Return what may be shown of an error that nobody has foreseen, and the lines of code that it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)]
    return InternalError(f"{what}: {failure(error)}", seen=[f"at {', from '.join(places)}"], hint="please report this")


def yaml_problem(error: Exception, text: str = "", first_line: int = 0) -> str:
    """Return where a text stops being YAML, and why, if that can be said without quoting the text.

    :param text: the text that was read
    :param first_line: how many lines stand before it
    """
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    at = getattr(error, "position", None)
    place = ""
    if mark is not None:
        place = f"line {first_line + mark.line + 1}, column {mark.column + 1}: "
    elif isinstance(at, int) and at < len(text):
        begins = text.rfind("\n", 0, at) + 1
        line = first_line + text.count("\n", 0, at) + 1
        return f"line {line}, column {at - begins + 1}: a character that YAML does not allow, U+{ord(text[at]):04X}"
    if problem in _PLAIN_PROBLEMS:
        return f"{place}{problem}"
    return f"{place}{type(error).__name__}"
