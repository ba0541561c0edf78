"""Turns any value that a DAG can hold into plain values of JSON: dicts, lists, texts, numbers, True, False, None.

Airflow hands over any `Mapping` and any `Sequence`, such as the lazy XComs of mapped tasks, and templates render
numbers. A value that JSON does not have is refused with its path and type, never with the value itself.
"""

from __future__ import annotations

import datetime
import enum
import math
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError

# `scalars` and `problem` are imported where a value is read: the constructors of operators need neither, and every parse of a
# DAG file would pay some milliseconds for them.


def plain(path: str, value: Any, deep: int = 0) -> Any:
    """Return a value as plain values of JSON.

    :param path: the argument, and the keys that lead to the value
    :raises InvalidManifestError: if JSON has no such value for a part of it, naming that part
    """
    from unique_k8s_job.manifest.problem import DEEPEST, TOO_DEEP, below
    from unique_k8s_job.manifest.scalars import whole

    if deep > DEEPEST:
        raise InvalidManifestError(
            f"`{path}` cannot be a part of a Job", seen=[f"{TOO_DEEP}, or contains itself"], path=path
        )
    if is_list(value):
        return [plain(f"{path}[{number}]", item, deep + 1) for number, item in enumerate(value)]
    fields = fields_of(value)
    if fields is not None:
        return {key: plain(below(path, key), item, deep + 1) for key, item in keyed(path, fields).items()}
    value = unwrapped(value)
    if isinstance(value, str):
        return whole_text(path, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value):
        number = whole(value)
        # Beyond these the core has floats alone, and writes them as kubectl does.
        return number if -(2**63) <= number < 2**64 else float(number)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise not_plain(path, value)


def whole_text(path: str, text: str) -> str:
    """Check that a text has only whole characters: a file name or an argument can have half a character.

    :raises InvalidManifestError: if it has half a character
    """
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidManifestError(
            f"`{path}` cannot be a part of a Job", seen=["bytes that are no text of UTF-8"], path=path
        )
    return text


def fields_of(value: Any) -> Mapping[Any, Any] | None:
    """Return what is an object to JSON: a map as it is, and a model of the Kubernetes client (`V1Volume`, ...) as the map of
    those fields that are set, by their names in a manifest. None for anything else.

    The client is not imported: each of its models says in `attribute_map` how its attributes are called in JSON.
    """
    if isinstance(value, Mapping):
        return value
    names = getattr(value, "attribute_map", None)
    if not isinstance(names, Mapping) or not hasattr(value, "openapi_types"):
        return None
    return {name: field for attribute, name in names.items() if (field := getattr(value, attribute)) is not None}


def without_models(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return a value with each model of the Kubernetes client in it as a dict, so that templates in it are rendered.

    Everything else in it is the same object as before: whoever reads it names what is wrong with it.
    """
    if type(value) in (dict, list, tuple):
        if id(value) in inside:
            return value
        inside = (*inside, id(value))
        if type(value) is dict:
            fields = {key: without_models(item, inside) for key, item in value.items()}
            return fields if any(fields[key] is not item for key, item in value.items()) else value
        items = [without_models(item, inside) for item in value]
        return type(value)(items) if any(new is not old for new, old in zip(items, value)) else value
    if hasattr(type(value), "openapi_types") and (model := fields_of(value)) is not None:
        return {key: without_models(item, inside) for key, item in model.items()}
    return value


def is_list(value: Any) -> bool:
    """Return whether a value is a list to JSON."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def unwrapped(value: Any) -> Any:
    """Return the value of a member of an enum, and a number of any type as one of Python's own."""
    while isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    return float(value) if isinstance(value, numbers.Real) else value


def not_plain(path: str, value: Any) -> InvalidManifestError:
    """Make the error about a value that JSON does not have."""
    if isinstance(value, float):
        seen, hint = "a number that is not finite", "give it as text"
    else:
        seen = f"a value of type {_kind(value)}"
        hint = "give plain dicts, lists, texts and numbers, spelled as in a YAML manifest"
    return InvalidManifestError(f"`{path}` cannot be a part of a Job", seen=[seen], hint=hint, path=path)


def keyed(path: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a map with its keys as the texts that kubectl makes of them, and its values as they are.

    :raises InvalidManifestError: if a key cannot be a text, or two keys are the same text
    """
    from unique_k8s_job.manifest.problem import TWICE, below
    from unique_k8s_job.manifest.scalars import key_text

    found: dict[str, Any] = {}
    for given, item in value.items():
        key = unwrapped(given)
        text = key_text(key) if isinstance(key, (str, bool, int, float)) else None
        if text is None:
            raise InvalidManifestError(
                f"`{path}` has a key that cannot be a part of a Job",
                seen=[f"a key of type {_kind(key)}"],
                hint="keys are texts",
                path=path,
            )
        if whole_text(path, text) in found:
            where = below(path, text)
            raise InvalidManifestError(f"`{where}` cannot be a part of a Job", seen=[TWICE], path=where)
        found[text] = item
    return found


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
