"""The request that starts a run: one JSON object, the whole contract with the Rust core.

Keys: `attempt` (who asks), `slug`, `run_time`, `namespace`, `manifest` (the user's Job), `arguments` (only what was given),
`ttl`, `safe_ttl_seconds`, `patch_jobs`, `policy`, `lookup`, `known_names`, `startup_timeout_seconds`,
`handover_timeout_seconds`, `replace_lost`, `get_logs`, `line_times`, `running_clear_is_visible`. The Rust side refuses
keys it does not know, so nothing can be misspelled unseen.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError


def read_manifest(text: str, name: str = "text") -> dict[str, Any]:
    """Parse one Job from YAML or JSON.

    :raises InvalidManifestError: if the text is not YAML, or not exactly one object
    """
    import yaml

    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidManifestError(f"The manifest ({name}) is not YAML", seen=[str(error)]) from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        kinds = ", ".join(type(document).__name__ for document in documents) or "nothing"
        raise InvalidManifestError(
            f"The manifest ({name}) has to be one Job", seen=[f"{len(documents)} documents: {kinds}"]
        )
    return documents[0]


def as_json(request: dict[str, Any]) -> str:
    """Serialize a request; dates, which YAML makes of unquoted text, become text again.

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
