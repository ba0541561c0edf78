"""The request that starts a run: one JSON object, the whole contract with the Rust core.

Keys: `attempt` (who asks), `slug`, `fixed_name` (the whole name, instead of a unique one), `run_time`, `namespace`,
`manifest` (the user's Job), `arguments` (only what was given), `ttl` and `on_finish` (each by outcome), `safe_ttl_seconds`,
`patch_jobs`, `policy`, `lookup`, `known_names`, `startup_timeout_seconds`, `handover_timeout_seconds`, `replace_lost`,
`release_stuck`, `release_after_seconds`, `on_lingering_sidecar`, `get_logs`, `line_times`, `running_clear_is_visible`. The
Rust side refuses keys it does not know, so nothing can be misspelled unseen.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError

#: Files that a manifest may name.
FILES = (".yaml", ".yml", ".json")


def names_a_file(manifest: str) -> bool:
    """Return whether this is the name of a manifest file, and not its text."""
    return "\n" not in manifest and manifest.strip().endswith(FILES)


def read_manifest(text: str, name: str = "text") -> dict[str, Any]:
    """Parse one Job from YAML or JSON.

    :raises InvalidManifestError: if the text is not YAML, or not exactly one object
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """What looks like a time stays the text that the user wrote: Kubernetes has no other."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        documents = [document for document in yaml.load_all(text, Loader) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidManifestError(f"The manifest ({name}) is not YAML", seen=[str(error)]) from error
    if len(documents) != 1:
        raise InvalidManifestError(f"The manifest ({name}) has to be one Job", seen=[f"{len(documents)} documents"])
    return one_job(documents[0], name)


def one_job(manifest: Any, name: str = "argument") -> dict[str, Any]:
    """Check that a manifest is an object.

    :raises InvalidManifestError: if it is anything else
    """
    if not isinstance(manifest, Mapping):
        raise InvalidManifestError(
            f"The manifest ({name}) has to be one Job",
            seen=[f"a value of type {type(manifest).__name__}"],
            hint="give a dict, YAML text, or the name of a .yaml, .yml or .json file",
            path="manifest",
        )
    return dict(manifest)


def foreign_job(job: Mapping[str, Any], *, until: str, get_logs: bool) -> str:
    """Make the request of a Waiter for a Job that is not ours: no owner, so nothing is ever written to it."""
    return json.dumps({"version": 1, "job": dict(job), "owner": None, "until": until, "get_logs": get_logs})


def as_json(request: dict[str, Any]) -> str:
    """Serialize a request; dates in a manifest that was given as a dict become text.

    :raises InvalidManifestError: if it holds something that JSON cannot
    """
    return json.dumps(request, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    raise InvalidManifestError(
        f"A value of type `{type(value).__module__}.{type(value).__name__}` cannot be part of a Job",
        hint="give plain dicts, lists, texts and numbers, spelled as in a YAML manifest",
    )
