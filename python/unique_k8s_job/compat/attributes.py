"""The attributes of `KubernetesJobOperator` of cncf.kubernetes, for subclasses that assign and read them.

Promise: what is assigned after `super().__init__()`, or in `execute` before `super().execute()`, counts as if it had been
given; what does not exist here is an `AttributeError` that names what to use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from unique_k8s_job.compat import replaced

#: What the provider makes of arguments that are not given, so that a subclass can add to them.
EMPTY: Mapping[str, type[dict[str, Any] | list[Any]]] = {
    **dict.fromkeys(("labels", "annotations", "node_selector", "affinity", "security_context"), dict),
    **dict.fromkeys(
        (
            "cmds",
            "arguments",
            "env_vars",
            "env_from",
            "configmaps",
            "ports",
            "volume_mounts",
            "volumes",
            "secrets",
            "image_pull_secrets",
            "tolerations",
            "init_containers",
        ),
        list,
    ),
}


class ProviderAttribute:
    """An attribute in the provider's words, which counts from the moment on in which it is assigned.

    `means` makes our attributes from all words that are assigned so far. Those that were given in our words stay.
    """

    def __init__(self, means: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._means = means

    def __set_name__(self, owner: type, name: str) -> None:
        """Know the name of the attribute."""
        self._name = name

    def __get__(self, task: Any, owner: type | None = None) -> Any:
        """Return what was assigned last."""
        if task is None:
            return self
        words: Mapping[str, Any] = task.__dict__.get("_provider_words", {})
        if self._name not in words:
            raise AttributeError(self._name)
        return words[self._name]

    def __set__(self, task: Any, value: Any) -> None:
        """Make our attributes of it."""
        words = task.__dict__.setdefault("_provider_words", {})
        words[self._name] = value
        ours = task.__dict__.get("_own_words", ())
        for name, meant in self._means(words).items():
            if name not in ours:
                setattr(task, name, meant)


class JobMade:
    """What `self.job` is: the Job that the task has made, by its names; how it ended is in the XCom `job_outcome`."""

    def __init__(self, namespace: str, name: str, uid: str) -> None:
        self.metadata = SimpleNamespace(namespace=namespace, name=name, uid=uid)

    def __getattr__(self, name: str) -> Any:
        raise absent("job", name, replaced.READS["job"])


class PodNamed:
    """What a callback gets as its Pod: the name of it."""

    def __init__(self, name: str) -> None:
        self.metadata = SimpleNamespace(name=name)

    def __getattr__(self, name: str) -> Any:
        raise absent("pod", name, "the Pod of a callback has only `metadata.name`")


def not_here(task: object, name: str) -> AttributeError:
    """Return the error of an attribute that the operator does not have."""
    instead = replaced.READS.get(name)
    if instead is None:
        return AttributeError(f"'{type(task).__name__}' object has no attribute '{name}'")
    return absent(type(task).__name__, name, instead)


def absent(of: str, name: str, instead: str) -> AttributeError:
    """Return the error that says what to use instead of an attribute of cncf.kubernetes."""
    return AttributeError(f"`{of}` has no `{name}`, which is of cncf.kubernetes: {instead}")
