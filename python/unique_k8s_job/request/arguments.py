"""Turns the given arguments of an operator into the `arguments` of a request, in the spelling of Kubernetes. Pure.

None means "not given"; 0, False and empty values are given. A value of the wrong shape is refused here, because here
the argument has the name that the user knows. The core and Kubernetes judge what the values mean.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from unique_k8s_job import native
from unique_k8s_job.described import described, described_choice
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.manifest.plain import fields_of, is_list, keyed, plain, unwrapped, whole_text

if TYPE_CHECKING:
    from unique_k8s_job._core import NamedLogs, PerOutcome, ResultSidecar, Ttl

Choice = TypeVar("Choice")


class NotGiven(enum.Enum):
    """Distinguishes an argument that was not given from None, if None has a meaning. Copies are the same object."""

    NOT_GIVEN = enum.auto()

    def __str__(self) -> str:
        """Airflow shows it as the value of a template field."""
        return "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN

#: The outcomes for which an argument can have different values. A Job that vanished unseen counts as failed.
OUTCOMES = ("succeeded", "failed")
#: The values for what becomes of a finished Job.
FINISHES = ("keep", "delete")
#: What an argument that is one object has to be.
A_DICT = "a dict, spelled as in a YAML manifest"
#: What an argument that is several texts has to be.
A_LIST_OF_TEXTS = "a list of texts"
#: A text that stands for a whole number, with no more digits than 64 bits have.
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
#: The values for what becomes of a manifest with fields that the API server does not know.
FIELD_VALIDATIONS = ("strict", "warn", "ignore")
FieldValidation = Literal["strict", "warn", "ignore"]
#: The values for who chooses the name of a Job: this package, a new one for each try, or the user.
NAME_POLICIES = ("unique", "fixed")
#: The values for where the result of a Job is read from.
RESULT_SOURCES = ("termination-message", "sidecar")


def given(task: Any) -> dict[str, Any]:
    """Collect the given arguments of an operator.

    :raises InvalidManifestError: if an argument has the wrong shape
    """
    values = [(name, given_as, task.argument(name)) for name, given_as in native.job_arguments()]
    found = {name: _CHECKS[given_as](name, value) for name, given_as, value in values if value is not None}
    if secrets := found.pop("secrets", None):
        from unique_k8s_job.request.secrets import all_keys, other_places

        found["secrets"] = all_keys(secrets)
        for name, item in other_places(secrets):
            found[name] = [*found.get(name, ()), item]
    return found


def ttl(name: str, value: int | NotGiven | None) -> Ttl:
    """Turn a TTL into that of a request: None means never."""
    if value is NOT_GIVEN:
        return {"kind": "unset"}
    if value is None:
        return {"kind": "never"}
    return {"kind": "seconds", "seconds": seconds(name, value)}


def per_outcome(name: str, value: Any, choice: Callable[[str, Any], Choice]) -> PerOutcome[Choice]:
    """Read one choice for all outcomes, or a dict of choices; an outcome that it leaves out has the default.

    :raises InvalidManifestError: if the dict names another outcome
    """
    if not isinstance(value, Mapping):
        return cast("PerOutcome[Choice]", dict.fromkeys(OUTCOMES, choice(name, value)))
    unknown = [key for key in value if key not in OUTCOMES]
    if unknown or not value:
        raise InvalidManifestError(
            f"The argument `{name}` takes the outcomes {' and '.join(f'`{key}`' for key in OUTCOMES)}",
            seen=[repr(key) for key in unknown] or ["an empty dict"],
            path=name,
        )
    return cast("PerOutcome[Choice]", {key: choice(f"{name}[{key!r}]", item) for key, item in value.items()})


def fixed_name(policy: str, name: Any) -> str | None:
    """Return the whole name of the Job if the policy is `fixed`. The core judges whether it can name a Job.

    :raises ConfigurationError: if there is no name, even if it was rendered to nothing
    """
    if one_of("name_policy", policy, *NAME_POLICIES) == "unique":
        return None
    if name is None or name == "":
        raise ConfigurationError(
            '`name_policy="fixed"` needs `name`, the whole name of the Job',
            seen=[f"`name` is {described(name)}"],
            path="name",
        )
    return text("name", name)


def result_source(source: Any, on_lingering_sidecar: str) -> Literal["termination-message", "sidecar"] | None:
    """Check where the result of the Job is read from.

    :raises ConfigurationError: if the sidecar of the result would never be told to end
    """
    if source is None:
        return None
    if one_of("xcom", source, *RESULT_SOURCES) == "sidecar" and on_lingering_sidecar == "finish":
        raise ConfigurationError(
            '`xcom="sidecar"` and `on_lingering_sidecar="finish"` exclude each other',
            seen=["the sidecar prints the result when all other containers have ended"],
            hint='use `xcom="termination-message"`, which needs no sidecar',
            path="xcom",
        )
    return cast("Literal['termination-message', 'sidecar']", str(source))


#: The arguments about the sidecar that prints the result: what each is of it, and the form in which it is given.
RESULT_SIDECAR: Mapping[str, tuple[str, str]] = {
    "xcom_sidecar_image": ("image", "text"),
    "xcom_sidecar_resources": ("resources", "object"),
    "xcom_sidecar_security_context": ("security_context", "object"),
}


def result_sidecar(source: Any) -> ResultSidecar:
    """Collect what the attributes of an operator say of the sidecar that prints the result.

    :raises InvalidManifestError: if one has the wrong shape
    """
    values = [(name, key, form, getattr(source, name)) for name, (key, form) in RESULT_SIDECAR.items()]
    # A template may render to no text, which is no image.
    given = {key: _CHECKS[form](name, value) for name, key, form, value in values if value not in (None, "")}
    return cast("ResultSidecar", given)


def seconds(name: str, value: Any) -> int:
    """Check a number of whole seconds; Kubernetes keeps them in 32 bits."""
    number = integer(name, value)
    if not 0 <= number < 2**31:
        raise InvalidManifestError(
            f"The argument `{name}` has to be a number of seconds, 0 or more", seen=[str(number)], path=name
        )
    return number


def exit_codes(name: str, value: Any) -> list[int]:
    """Read one exit code or several, of which 0 is none: a container that ends with it has not failed.

    :raises InvalidManifestError: if one is no number from 1 to 255
    """
    codes = [] if value is None else [value] if whole_number(value) is not None else listed(name, value)
    numbers = [integer(name, code) for code in codes]
    wrong = [number for number in numbers if not 1 <= number <= 255]
    if wrong:
        raise InvalidManifestError(
            f"The argument `{name}` takes exit codes from 1 to 255", seen=[str(number) for number in wrong], path=name
        )
    return numbers


def one_of(name: str, value: Any, *words: str) -> Any:
    """Check that a word is one of a few.

    :raises ConfigurationError: if it is another one
    """
    value = unwrapped(value)
    if value not in words:
        raise ConfigurationError(
            f"`{name}` has to be {' or '.join(f'`{word}`' for word in words)}",
            seen=[described_choice(value)],
            path=name,
        )
    return value


def env_vars(value: Any, name: str = "env_vars") -> list[dict[str, Any]]:
    """Turn `{"A": "1"}` into `[{"name": "A", "value": "1"}]`; a list stays as it is."""
    if isinstance(value, Mapping):
        return [{"name": key, "value": word(f"{name}[{key!r}]", item)} for key, item in keyed(name, value).items()]
    return _objects(name, value)


def refused(name: str, wanted: str, value: Any) -> InvalidManifestError:
    """Make the error about an argument of the wrong type."""
    return InvalidManifestError(
        f"The argument `{name}` has to be {wanted}", seen=[described(value)], hint=_spelling(name, wanted), path=name
    )


def _spelling(name: str, wanted: str) -> str | None:
    """Return how to write a list, if one is wanted."""
    if name in ("cmds", "arguments"):
        line = "" if name == "arguments" else '; a line for a shell is `cmds=["sh", "-c", "echo hi"]`'
        return f'give each word by itself, as in `{name}=["echo", "hi"]`{line}'
    if wanted == A_LIST_OF_TEXTS:
        return f'give each text by itself, as in `{name}=["one", "two"]`'
    return f"give `{name}=[...]`" if wanted.startswith("a list") else None


def text(name: str, value: Any) -> str:
    """Check a text; a whole number stands for its digits, which is what a template makes of a text of digits.

    :raises InvalidManifestError: if it is anything else
    """
    value = digits(value)
    if not isinstance(value, str):
        raise refused(name, "text", value)
    return whole_text(name, value)


def filled(name: str, value: Any) -> str:
    """Check a text that is not blank: a template that renders to nothing must not mean another object.

    :raises ConfigurationError: if it is blank
    :raises InvalidManifestError: if it is no text
    """
    found = text(name, value)
    if not found.strip():
        raise ConfigurationError(f"`{name}` is empty; perhaps a template rendered to nothing", path=name)
    return found


def digits(value: Any) -> Any:
    """Return the text of a whole number, and anything else as it is."""
    value = unwrapped(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def word(name: str, value: Any) -> str:
    """Return a text, or the usual spelling of a value: templates rendered to native objects give numbers and dates."""
    if not isinstance(value, Decimal):
        value = unwrapped(value)
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, (int, float, Decimal)) else text(name, value)


def integer(name: str, value: Any) -> int:
    """Check a whole number; the text of one counts, which is what a template makes of it.

    :raises InvalidManifestError: if it is anything else
    """
    number = whole_number(value)
    if number is None:
        raise refused(name, "a whole number", value)
    return number


def whole_number(value: Any) -> int | None:
    """Return a whole number, also one that is written as text or with a fraction of zero; None for anything else."""
    value = unwrapped(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(name: str, value: Any) -> bool:
    """Check True or False.

    :raises InvalidManifestError: if it is anything else
    """
    if not isinstance(value, bool):
        raise refused(name, "True or False", value)
    return value


def listed(name: str, value: Any, wanted: str = "a list") -> list[Any]:
    """Check a list, or anything else that has its items in it."""
    if not is_list(value) and not isinstance(value, (set, frozenset, range)):
        raise refused(name, wanted, value)
    return list(value)


def words(name: str, value: Any) -> list[str]:
    """Check a list of texts."""
    return [word(f"{name}[{number}]", item) for number, item in enumerate(listed(name, value, A_LIST_OF_TEXTS))]


def _object(name: str, value: Any) -> dict[str, Any]:
    if fields_of(value) is None:
        raise refused(name, A_DICT, value)
    values: dict[str, Any] = plain(name, value)
    return values


def _objects(name: str, value: Any) -> list[dict[str, Any]]:
    return [_object(f"{name}[{number}]", item) for number, item in enumerate(listed(name, value, "a list of dicts"))]


def _names(name: str, value: Any) -> list[dict[str, Any]]:
    """Read names of secrets, plain or as `{"name": ...}`."""
    return [
        {"name": text(f"{name}[{number}]", item)} if fields_of(item) is None else _object(f"{name}[{number}]", item)
        for number, item in enumerate(listed(name, value))
    ]


def _config_maps(name: str, value: Any) -> list[dict[str, Any]]:
    return [{"configMapRef": {"name": item}} for item in words(name, value)]


def _secrets(name: str, value: Any) -> list[dict[str, Any]]:
    from unique_k8s_job.request.secrets import secret_fields

    return [
        secret_fields(f"{name}[{number}]", item)
        for number, item in enumerate(listed(name, value, "a list of Secrets and where their values go"))
    ]


def log_sources(name: str, value: Any) -> Literal["all", "base"] | NamedLogs:
    """Read whose logs are meant: True for those of all containers, one name, or several.

    :raises InvalidManifestError: if it is anything else
    """
    if value is None or value is True:
        return "all"
    if value is False:
        return {"named": []}
    return {"named": [text(name, value)] if isinstance(value, str) else words(name, value)}


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise refused(name, "a dict of texts", value)
    return {key: word(f"{name}[{key!r}]", item) for key, item in keyed(name, value).items()}


#: The arguments that choose the cluster: the same for the hook and for all operators and sensors.
CONNECTION = ("kubernetes_conn_id", "in_cluster", "config_file", "cluster_context")


def connection(source: Any) -> dict[str, Any]:
    """Collect the arguments of the hook from the attributes of an operator or sensor, as the triggerer can have them,
    too.

    :raises InvalidManifestError: if one that is a text is anything else
    """
    values = {name: getattr(source, name) for name in CONNECTION}
    for name, value in values.items():
        if isinstance(value, os.PathLike):
            values[name] = os.fspath(value)
        elif value is not None and name != "in_cluster":
            values[name] = text(name, value)
    return values


#: The checks, by the form in which a user may give an argument, as `native.job_arguments` names it.
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "text": text,
    "texts": words,
    "text by key": _texts,
    "whole number": integer,
    "flag": flag,
    "object": _object,
    "objects": _objects,
    "names": _names,
    "environment": lambda name, value: env_vars(value, name),
    "config maps": _config_maps,
    "secrets": _secrets,
}
