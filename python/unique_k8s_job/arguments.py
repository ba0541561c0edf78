"""The operator's arguments as the `arguments` of a request: only what was given, in the spelling of Kubernetes."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError

#: Names of the operator's arguments that shape the Job, besides `env_vars`.
PLAIN = (
    "image",
    "cmds",
    "arguments",
    "env_from",
    "volumes",
    "volume_mounts",
    "container_resources",
    "service_account_name",
    "image_pull_policy",
    "image_pull_secrets",
    "node_selector",
    "affinity",
    "tolerations",
    "labels",
    "annotations",
    "backoff_limit",
    "completions",
    "parallelism",
    "completion_mode",
    "suspend",
    "active_deadline_seconds",
)
_LISTS = {"cmds", "arguments", "env_from", "volumes", "volume_mounts", "image_pull_secrets", "tolerations"}


class NotGiven(enum.Enum):
    """Tells an argument that was not given from None, where None means something."""

    NOT_GIVEN = enum.auto()


NOT_GIVEN = NotGiven.NOT_GIVEN


def given(source: Any) -> dict[str, Any]:
    """Collect the given arguments from the attributes of an operator; None is not given, 0, False and empty are.

    :raises InvalidManifestError: if an argument has the wrong shape
    """
    found: dict[str, Any] = {}
    for name in PLAIN:
        value = getattr(source, name)
        if value is not None:
            found[name] = _list(name, value) if name in _LISTS else value
    if source.env_vars is not None:
        found["env_vars"] = env_vars(source.env_vars)
    return found


def env_vars(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn `{"A": "1"}` into `[{"name": "A", "value": "1"}]`; a list stays as it is."""
    if isinstance(value, Mapping):
        return [{"name": str(name), "value": _text(text)} for name, text in value.items()]
    return [dict(entry) for entry in _list("env_vars", value)]


def ttl(value: int | NotGiven | None) -> dict[str, Any]:
    """Turn `ttl_seconds_after_finished` into the `ttl` of a request: None means never."""
    if value is NOT_GIVEN:
        return {"kind": "unset"}
    if value is None:
        return {"kind": "never"}
    return {"kind": "seconds", "seconds": value}


def _list(name: str, value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise InvalidManifestError(
            f"The argument `{name}` has to be a list",
            seen=[f"{type(value).__name__}"],
            hint=f"give `{name}=[...]`",
            path=name,
        )
    return list(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
