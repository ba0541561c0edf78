"""Reads the argument `secrets`: the Secrets whose values the base container gets, as variables or as files. Pure.

Each is an object with the attributes of `Secret` of the provider cncf.kubernetes, which is not imported, or a dict of the
same keys: `deploy_type` (`env` or `volume`), `deploy_target` (the variable, or the folder), `secret` (its name), `key` and
`items`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.plain import fields_of, plain

_KEYS = ("deploy_type", "deploy_target", "secret", "key", "items")


def secret_fields(name: str, value: Any) -> dict[str, Any]:
    """Return one Secret as a dict of its keys.

    :raises InvalidManifestError: if it is none
    """
    fields = fields_of(value)
    if fields is None and all(hasattr(value, key) for key in ("deploy_type", "deploy_target", "secret")):
        fields = {key: getattr(value, key, None) for key in _KEYS}
    if fields is None:
        raise _refused(name, f"a value of type {type(value).__name__}")
    found: dict[str, Any] = plain(name, {key: item for key, item in fields.items() if item is not None})
    if unknown := [key for key in found if key not in _KEYS]:
        raise _refused(name, f"the key `{unknown[0]}`")
    kind, target = found.get("deploy_type"), found.get("deploy_target")
    if kind not in ("env", "volume"):
        raise _refused(name, f"`deploy_type` is {kind!r}")
    if not isinstance(found.get("secret"), str) or not found["secret"]:
        raise _refused(name, "`secret` is missing, the name of the Secret")
    if not target and (kind == "volume" or found.get("key")):
        raise _refused(name, "`deploy_target` is missing: the folder, or the name of the variable")
    if kind == "env" and target and not found.get("key"):
        raise _refused(name, "`key` is missing: one variable needs one key of the Secret")
    return found


def all_keys(secrets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of `envFrom` for those Secrets of which each key is a variable."""
    return [
        {"secretRef": {"name": secret["secret"]}}
        for secret in secrets
        if secret["deploy_type"] == "env" and not secret.get("key")
    ]


def other_places(secrets: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return what the other Secrets add to other arguments, each with the name of the argument."""
    for secret in secrets:
        if secret["deploy_type"] == "volume":
            # The same for each try, so that a retry asks for the same Job.
            digest = hashlib.sha256(f"{secret['secret']}\n{secret['deploy_target']}".encode()).hexdigest()[:16]
            volume = f"secret-{digest}"
            items = {"items": secret["items"]} if secret.get("items") else {}
            yield "volumes", {"name": volume, "secret": {"secretName": secret["secret"], **items}}
            yield "volume_mounts", {"name": volume, "mountPath": secret["deploy_target"], "readOnly": True}
        elif secret.get("key"):
            reference = {"name": secret["secret"], "key": secret["key"]}
            yield "env_vars", {"name": secret["deploy_target"], "valueFrom": {"secretKeyRef": reference}}


def _refused(name: str, seen: str) -> InvalidManifestError:
    return InvalidManifestError(
        f"The argument `{name}` has to be a Secret and where its values go",
        seen=[seen],
        hint='give {"deploy_type": "env", "deploy_target": "PASSWORD", "secret": "database", "key": "password"}',
        path=name,
    )


def literal(name: str, value: Any) -> None:
    """Judge one Secret as a DAG file is parsed: only a dict is judged, whose values are literal.

    :raises InvalidManifestError: if it is none
    """
    if isinstance(value, Mapping):
        secret_fields(name, value)
