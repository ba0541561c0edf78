"""What an error says of a value that may be secret: its kind and size, never the value.

Arguments are rendered from templates, and connections and manifests hold passwords: what was meant to be a flag or a name
may be one.
"""

from __future__ import annotations

from typing import Any

from unique_k8s_job.exceptions import UniqueK8sJobError

#: PyYAML's sentences that quote nothing. Its others hold names, tags and characters of the text.
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
    """Return the kind of a value, and the length of a text."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"a text of {len(value)} characters" if value.strip() else "an empty text"
    return f"a value of type {type(value).__name__}"


def failure(error: Exception) -> str:
    """Return what may be told of any exception, also of one that a secrets backend raised: its text may quote its token."""
    return str(error) if isinstance(error, UniqueK8sJobError) else type(error).__name__


def yaml_problem(error: Exception, text: str = "", first_line: int = 0) -> str:
    """Return where YAML ends to be YAML, and why where that can be said without quoting it.

    :param text: what was read
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
