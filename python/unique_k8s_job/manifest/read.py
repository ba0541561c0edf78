"""Reads manifests for operator, command line and files, with the meaning that kubectl gives to a text.

A file of several documents becomes a `List` of them; the core decides which of them is the Job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.plain import fields_of, plain

#: Files that a manifest may name.
FILES = (".yaml", ".yml", ".json")


def names_a_file(manifest: str) -> bool:
    """Return whether this is the name of a manifest file, and not its text."""
    return "\n" not in manifest and manifest.strip().lower().endswith(FILES)


def read_manifest(text: str, name: str = "text") -> dict[str, Any]:
    """Read the objects of a text of YAML or JSON: one as it is, several as a `List`.

    :param name: where the text is from
    :raises InvalidManifestError: if the text cannot be read, or is no object
    """
    from unique_k8s_job.manifest.documents import Unreadable, documents

    problem: Unreadable | None = None
    try:
        found = documents(text)
    except Unreadable as error:
        problem = error
    # This is outside of the `except`, because the parser's error quotes the manifest, and an exception keeps the one in
    # whose handler it was raised.
    if problem is not None:
        raise InvalidManifestError(
            f"The manifest ({name}) cannot be read", seen=[problem.seen], hint=problem.hint, path="manifest"
        )
    if len(found) == 1:
        return dict(_object(found[0], name))
    if not found:
        raise InvalidManifestError(f"The manifest ({name}) is empty", hint=_HINT, path="manifest")
    items = [dict(_object(document, f"{name}, document {number}")) for number, document in enumerate(found, 1)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def one_job(manifest: Any, name: str = "argument") -> dict[str, Any]:
    """Return an object that the user gave as one, as plain values.

    :raises InvalidManifestError: if it is anything else, or holds a value that JSON does not have
    """
    values: dict[str, Any] = plain("manifest", _object(manifest, name))
    return values


_HINT = "give a dict, YAML text, or the name of a .yaml, .yml or .json file"


def _object(manifest: Any, name: str) -> Mapping[Any, Any]:
    fields = fields_of(manifest)
    if fields is None:
        raise InvalidManifestError(
            f"The manifest ({name}) has to be one Job",
            seen=[f"a value of type {type(manifest).__name__}"],
            hint=_HINT,
            path="manifest",
        )
    return fields
