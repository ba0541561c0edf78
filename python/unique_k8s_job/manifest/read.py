"""The one reader of manifests, for operator, command line and files: what kubectl takes a text to mean.

A file of several documents is handed on as a `List` of them; which of them is the Job is for the core to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.plain import plain

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
    # Outside of the `except`: the parser's error quotes the manifest, and an exception keeps the one it was raised in.
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
    """Return an object that was given as such, as plain values.

    :raises InvalidManifestError: if it is anything else, or holds what JSON has not
    """
    values: dict[str, Any] = plain("manifest", _object(manifest, name))
    return values


_HINT = "give a dict, YAML text, or the name of a .yaml, .yml or .json file"


def _object(manifest: Any, name: str) -> Mapping[Any, Any]:
    if not isinstance(manifest, Mapping):
        raise InvalidManifestError(
            f"The manifest ({name}) has to be one Job",
            seen=[f"a value of type {type(manifest).__name__}"],
            hint=_HINT,
            path="manifest",
        )
    return manifest
