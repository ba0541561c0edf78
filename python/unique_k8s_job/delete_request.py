"""The order to delete Jobs: one JSON object, the whole contract with the Rust core. Shared by operator and command line.

Keys: `target` ({"kind": "name", "name", "uid"}, {"kind": "uid", "uid"} or {"kind": "selector", "labels"}), `namespace`,
`wait_for`, `timeout_seconds`, `release_stuck`, `release_after_seconds`, `propagation_policy`, `only_if`, `include_owned`.
The Rust side refuses keys it does not know.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from unique_k8s_job.arguments import one_of, seconds
from unique_k8s_job.exceptions import ConfigurationError

WaitFor = Literal["gone", "accepted"]
ReleaseStuck = Literal["never", "ours", "gc"]
PropagationPolicy = Literal["Background", "Foreground", "Orphan"]
OnlyIf = Literal["any", "finished", "succeeded", "failed"]

WAIT_FOR = ("gone", "accepted")
RELEASE_STUCK = ("never", "ours", "gc")
PROPAGATION_POLICIES = ("Background", "Foreground", "Orphan")
ONLY_IF = ("any", "finished", "succeeded", "failed")


def delete_request(
    *,
    name: str | None,
    uid: str | None,
    label_selector: str | None,
    namespace: str | None,
    wait_for: str,
    timeout: int,
    release_stuck: str,
    release_after_seconds: int,
    propagation_policy: str,
    only_if: str,
    include_owned: bool,
) -> str:
    """Return the order as JSON.

    :raises ConfigurationError: if it names no Job, or a value is none of those that are known
    """
    return json.dumps(
        {
            "target": _target(name, uid, label_selector),
            "namespace": namespace or None,
            "wait_for": one_of("wait_for", wait_for, *WAIT_FOR),
            "timeout_seconds": seconds("timeout", timeout),
            "release_stuck": one_of("release_stuck", release_stuck, *RELEASE_STUCK),
            "release_after_seconds": seconds("release_after_seconds", release_after_seconds),
            "propagation_policy": one_of("propagation_policy", propagation_policy, *PROPAGATION_POLICIES),
            "only_if": one_of("only_if", only_if, *ONLY_IF),
            "include_owned": include_owned,
        }
    )


def _target(name: str | None, uid: str | None, label_selector: str | None) -> dict[str, Any]:
    # Of a template that renders to nothing, nothing may follow: least of all "every Job".
    given = {key: value for key, value in (("name", name), ("uid", uid), ("label_selector", label_selector)) if value}
    if label_selector and len(given) == 1:
        return {"kind": "selector", "labels": label_selector}
    if name and not label_selector:
        return {"kind": "name", "name": name, "uid": uid or None}
    if uid and len(given) == 1:
        return {"kind": "uid", "uid": uid}
    raise ConfigurationError(
        "Which Job is to be deleted is not clear: give `name`, or `uid`, or both, or `label_selector` alone",
        seen=[", ".join(f"{key}={value!r}" for key, value in given.items()) or "none of them, or only empty ones"],
        path="name",
    )
