"""What the words of `KubernetesJobOperator` of cncf.kubernetes mean as our attributes, from all that are assigned so far. Pure.

Promise: a word that is None was not given, and leaves ours as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from unique_k8s_job.compat.attributes import PodNamed
from unique_k8s_job.manifest.plain import unwrapped
from unique_k8s_job.request.arguments import one_of

#: Called with a line of the log, and the event that it came in.
ProgressCallback: TypeAlias = Callable[[str, Mapping[str, Any]], None]

#: The provider's `on_finish_action`, as `on_finish`.
ON_FINISH: Mapping[str, Any] = {
    "delete_pod": "delete",
    "delete_succeeded_pod": {"succeeded": "delete", "failed": "keep"},
    "delete_active_pod": "keep",
    "keep_pod": "keep",
}
#: Seconds that a Pod may take to start after it has its node, where only the time until then is given.
_STARTUP = 120


def on_finish(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return `on_finish` for `on_finish_action`: what was asked of the Pods is done with the Job and its Pods."""
    action = words["on_finish_action"]
    if action is None:
        return {}
    return {"on_finish": ON_FINISH[one_of("on_finish_action", unwrapped(action), *ON_FINISH)]}


def on_stop(words: Mapping[str, Any]) -> dict[str, str]:
    """Return `on_stop` for `on_kill_action` and `on_kill_propagation_policy`.

    To keep the Pod of a task that is stopped, and to orphan its Pods, both mean that the work goes on.
    """
    action, propagation = words.get("on_kill_action"), words.get("on_kill_propagation_policy")
    keeps = action is not None and one_of("on_kill_action", unwrapped(action), "delete_pod", "keep_pod") == "keep_pod"
    orphans = propagation is not None and (
        one_of("on_kill_propagation_policy", propagation, "Foreground", "Background", "Orphan") == "Orphan"
    )
    if action is None and propagation is None:
        return {}
    return {"on_stop": "leave" if keeps or orphans else "delete"}


def reattach(words: Mapping[str, Any]) -> dict[str, str]:
    """Return `reattach`, if it is given what a retry does with the Job of the try before."""
    durable = words["reattach_on_restart"]
    return {} if durable is None else {"reattach": "reattach" if durable else "replace"}


def startup(words: Mapping[str, Any]) -> dict[str, int]:
    """Return our one limit for the start, which is the sum of the provider's two; not given, ours stays."""
    after_it_has_a_node, until_it_has_a_node = words["startup_timeout_seconds"], words["schedule_timeout_seconds"]
    if after_it_has_a_node is None and until_it_has_a_node is None:
        return {}
    start = _STARTUP if after_it_has_a_node is None else after_it_has_a_node
    return {"startup_timeout_seconds": start + (until_it_has_a_node or start)}


def waiting(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the Job is followed, and how its result is read for the next task: the one place that knows it."""
    follows = bool(words["wait_until_job_complete"])
    return {"follows": follows, "xcom": "termination-message" if follows and words["do_xcom_push"] else None}


def name_policy(words: Mapping[str, Any]) -> dict[str, str]:
    """Return `name_policy`: without a suffix of its own, a name is shared by all runs."""
    return {"name_policy": "unique" if words["random_name_suffix"] else "fixed"}


def _callbacks(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []


def progress_callbacks(words: Mapping[str, Any]) -> dict[str, list[ProgressCallback]]:
    """Return what is called for each line of the log, with the line and the event that it came in."""
    found: list[ProgressCallback] = []
    progress_callback = words.get("progress_callback")
    if progress_callback is not None:
        found.append(lambda line, _: progress_callback(line))
    for callback in _callbacks(words.get("callbacks")):
        if "progress_callback" in _overridden(callback):

            def call(line: str, event: Mapping[str, Any], callback: Any = callback) -> None:
                callback.progress_callback(
                    line=line,
                    client=None,
                    mode="sync",
                    container_name=event["container"],
                    timestamp=None,
                    pod=PodNamed(event["pod"]),
                )

            found.append(call)
    return {"progress_callbacks": found}


def unused_callbacks(callbacks: Any) -> list[str]:
    """Return the methods of callbacks that are never called."""
    names = [name for callback in _callbacks(callbacks) for name in _overridden(callback)]
    return sorted({name for name in names if name != "progress_callback"})


def _overridden(callback: Any) -> list[str]:
    """Return the callback methods that a class defines itself, apart from the empty ones of the provider's base class."""
    kinds = (callback if isinstance(callback, type) else type(callback)).__mro__
    own = [kind for kind in kinds if kind is not object and kind.__name__ != "KubernetesPodOperatorCallback"]
    return [name for kind in own for name in vars(kind) if name.startswith("on_") or name == "progress_callback"]
