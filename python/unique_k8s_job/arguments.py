"""The operator's arguments as the `arguments` of a request: only what was given, in the spelling of Kubernetes. Pure.

None is not given; 0, False and what is empty are. What has the wrong shape is refused here, where the argument has a name
that the user knows; what the values mean is for the core and for Kubernetes to judge.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError


class NotGiven(enum.Enum):
    """Tells an argument that was not given from None, where None means something. Copies are the same object."""

    NOT_GIVEN = enum.auto()


NOT_GIVEN = NotGiven.NOT_GIVEN

#: How a Job can end, where an argument tells the ends apart. What vanished unseen counts as failed.
OUTCOMES = ("succeeded", "failed")
#: What becomes of a finished Job.
FINISHES = ("keep", "delete")
#: Who makes the whole name of a Job: we, a new one for each try, or the user.
NAME_POLICIES = ("unique", "fixed")


def given(source: Any) -> dict[str, Any]:
    """Collect the given arguments from the attributes of an operator.

    :raises InvalidManifestError: if an argument has the wrong shape
    """
    values = {name: getattr(source, name) for name in SHAPES}
    return {name: shape(name, values[name]) for name, shape in SHAPES.items() if values[name] is not None}


def ttl(name: str, value: int | NotGiven | None) -> dict[str, Any]:
    """Turn a TTL into that of a request: None means never."""
    if value is NOT_GIVEN:
        return {"kind": "unset"}
    if value is None:
        return {"kind": "never"}
    return {"kind": "seconds", "seconds": seconds(name, value)}


def per_outcome(name: str, value: Any, choice: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Read one choice for all outcomes, or a dict of choices; an outcome that it leaves out has the default.

    :raises InvalidManifestError: if the dict names another outcome
    """
    if not isinstance(value, Mapping):
        return dict.fromkeys(OUTCOMES, choice(name, value))
    unknown = [key for key in value if key not in OUTCOMES]
    if unknown or not value:
        raise InvalidManifestError(
            f"The argument `{name}` takes the outcomes {' and '.join(f'`{key}`' for key in OUTCOMES)}",
            seen=[repr(key) for key in unknown] or ["an empty dict"],
            path=name,
        )
    return {key: choice(f"{name}[{key!r}]", item) for key, item in value.items()}


def fixed_name(policy: str, name: Any) -> str | None:
    """Return the whole name of the Job where the policy is `fixed`; whether it can name a Job is for the core to judge.

    :raises ConfigurationError: if there is no name, also where it was rendered to nothing
    """
    if one_of("name_policy", policy, *NAME_POLICIES) == "unique":
        return None
    if name is None or name == "":
        raise ConfigurationError(
            '`name_policy="fixed"` needs `name`, the whole name of the Job', seen=[f"name={name!r}"], path="name"
        )
    return text("name", name)


def seconds(name: str, value: Any) -> int:
    """Check a number of whole seconds; Kubernetes keeps them in 32 bits."""
    number = _integer(name, value)
    if not 0 <= number < 2**31:
        raise _refused(name, "a number of seconds, 0 or more", value)
    return number


def one_of(name: str, value: Any, *words: str) -> Any:
    """Check a word of a few.

    :raises ConfigurationError: if it is another one
    """
    if value not in words:
        raise ConfigurationError(
            f"`{name}` has to be {' or '.join(f'`{word}`' for word in words)}", seen=[repr(value)], path=name
        )
    return value


def env_vars(value: Any, name: str = "env_vars") -> list[dict[str, Any]]:
    """Turn `{"A": "1"}` into `[{"name": "A", "value": "1"}]`; a list stays as it is."""
    if isinstance(value, Mapping):
        return [{"name": str(key), "value": _word(f"{name}[{key!r}]", word)} for key, word in value.items()]
    return _objects(name, value)


def _refused(name: str, wanted: str, value: Any) -> InvalidManifestError:
    kind = type(value)
    hint = None
    if hasattr(value, "to_dict"):
        hint = (
            "models of the Kubernetes client are not read: give plain dicts, spelled as in a YAML manifest, "
            "such as `ApiClient().sanitize_for_serialization(model)`"
        )
    elif wanted.startswith("a list"):
        hint = f"give `{name}=[...]`"
    return InvalidManifestError(
        f"The argument `{name}` has to be {wanted}", seen=[f"a value of type {kind.__name__}"], hint=hint, path=name
    )


def text(name: str, value: Any) -> str:
    """Check a text.

    :raises InvalidManifestError: if it is anything else
    """
    if not isinstance(value, str):
        raise _refused(name, "text", value)
    return value


def _word(name: str, value: Any) -> str:
    """Text, or what has one usual spelling as such: templates rendered to native objects give numbers, too."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return str(value) if isinstance(value, (int, float)) else text(name, value)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(name, "a whole number", value)
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused(name, "True or False", value)
    return value


def _list(name: str, value: Any, wanted: str = "a list") -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise _refused(name, wanted, value)
    return list(value)


def _words(name: str, value: Any) -> list[str]:
    return [_word(f"{name}[{number}]", word) for number, word in enumerate(_list(name, value, "a list of texts"))]


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(name, "a dict, spelled as in a YAML manifest", value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidManifestError(
            f"The argument `{name}` holds something that JSON cannot", seen=[str(error)], path=name
        ) from error
    return dict(value)


def _objects(name: str, value: Any) -> list[dict[str, Any]]:
    return [_object(f"{name}[{number}]", item) for number, item in enumerate(_list(name, value, "a list of dicts"))]


def _names(name: str, value: Any) -> list[dict[str, Any]]:
    """Names of secrets, plain or as `{"name": ...}`."""
    return [
        {"name": item} if isinstance(item, str) else _object(f"{name}[{number}]", item)
        for number, item in enumerate(_list(name, value))
    ]


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _refused(name, "a dict of texts", value)
    return {str(key): _word(f"{name}[{key!r}]", word) for key, word in value.items()}


#: The arguments that choose the cluster: the same for the hook and for all operators and sensors.
CONNECTION = ("kubernetes_conn_id", "in_cluster", "config_file", "cluster_context")


def connection(source: Any) -> dict[str, Any]:
    """Collect the arguments of the hook from the attributes of an operator or sensor."""
    return {name: getattr(source, name) for name in CONNECTION}


#: The operator's arguments that shape the Job, and the shape of each.
SHAPES: Mapping[str, Callable[[str, Any], Any]] = {
    "image": text,
    "cmds": _words,
    "arguments": _words,
    "env_vars": lambda name, value: env_vars(value, name),
    "env_from": _objects,
    "volumes": _objects,
    "volume_mounts": _objects,
    "container_resources": _object,
    "service_account_name": text,
    "image_pull_policy": text,
    "image_pull_secrets": _names,
    "node_selector": _texts,
    "affinity": _object,
    "tolerations": _objects,
    "labels": _texts,
    "annotations": _texts,
    "backoff_limit": _integer,
    "completions": _integer,
    "parallelism": _integer,
    "completion_mode": text,
    "suspend": _flag,
    "active_deadline_seconds": _integer,
}
