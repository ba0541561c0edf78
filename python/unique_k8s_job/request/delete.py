"""Makes the order to delete Jobs, for operator and command line: one dict, the contract with the Rust core.

Keys: `target` ({"kind": "name", "name", "uid"}, {"kind": "uid", "uid"}, {"kind": "listed", "uids"} or
{"kind": "selector", "labels"}), `namespace`,
`wait_for`, `timeout_seconds`, `release_stuck`, `release_after_seconds`, `propagation_policy`, `only_if`,
`include_owned`. The Rust side refuses keys that it does not know, and names that no object of Kubernetes can have, such
as `None`, to which a missing XCom is rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from unique_k8s_job.described import described
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.request.arguments import digits, filled, flag, one_of, seconds, text, whole_number

if TYPE_CHECKING:
    from unique_k8s_job._core import DeletedEvent, DeleteRequest, DeleteTarget

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
    uids: list[str] | None = None,
) -> DeleteRequest:
    """Return the order.

    :param uids: those of Jobs of ours that a person has seen in a list, in place of name, uid and selector
    :raises ConfigurationError: if it does not say clearly which Job is meant, or a value is unknown
    """
    return {
        "target": {"kind": "listed", "uids": uids} if uids else _target(name, uid, label_selector),
        "namespace": None if namespace is None else filled("namespace", namespace),
        "wait_for": one_of("wait_for", wait_for, *WAIT_FOR),
        "timeout_seconds": _positive("timeout", timeout),
        "release_stuck": one_of("release_stuck", release_stuck, *RELEASE_STUCK),
        "release_after_seconds": seconds("release_after_seconds", release_after_seconds),
        "propagation_policy": one_of("propagation_policy", propagation_policy, *PROPAGATION_POLICIES),
        "only_if": one_of("only_if", only_if, *ONLY_IF),
        "include_owned": flag("include_owned", include_owned),
    }


def sentence(deleted: DeletedEvent, *, gone: bool) -> str:
    """Word an event of the kind `deleted`; `gone`: the order waited for more than "accepted"."""
    job = f"Job `{deleted['namespace']}/{deleted['name']}` (uid {deleted['uid']})"
    if not gone:
        return f"{job}: the API server has accepted the deletion"
    if kept := deleted["pods_kept"]:
        return f"{job} is gone; its Pods stay: {', '.join(kept)}"
    return f"{job} is gone, and its work has stopped"


def _positive(name: str, value: Any) -> int:
    number = whole_number(value)
    if number is None or not 1 <= number < 2**31:
        raise ConfigurationError(
            f"`{name}` has to be a whole number of seconds, 1 or more", seen=[described(value)], path=name
        )
    return number


def _target(name: Any, uid: Any, label_selector: Any) -> DeleteTarget:
    name, uid, label_selector = digits(name), digits(uid), digits(label_selector)
    given = {key: value for key, value in (("name", name), ("uid", uid), ("label_selector", label_selector))}
    for key, value in given.items():
        # A template that renders to nothing must have no effect, least of all on "every Job", or on "any Job of this
        # name".
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise _unclear(f"`{key}` is {described(value)}")
        if value is not None:
            text(key, value)
    if label_selector is not None and name is None and uid is None:
        return {"kind": "selector", "labels": label_selector}
    if name is not None and label_selector is None:
        return {"kind": "name", "name": name, "uid": uid}
    if uid is not None and label_selector is None:
        return {"kind": "uid", "uid": uid}
    named = " and ".join(f"`{key}`" for key, value in given.items() if value is not None)
    raise _unclear(named or "none of them")


def _unclear(seen: str) -> ConfigurationError:
    return ConfigurationError(
        "Which Job is to be deleted is not clear: give `name`, or `uid`, or both, or `label_selector` alone",
        seen=[seen],
        path="name",
    )
