"""Judges arguments of an operator as a DAG file is parsed, so that a test of the DAG sees what is wrong. Pure.

Promise: what is refused here is refused when the task runs, too, with the same words. Only literal values are judged: a
template, an XCom or a mapped value has its value when the task runs. Nothing is loaded for it, neither the Rust core
nor the reader of manifests, because a DAG file is parsed every 30 seconds. So only the shape is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.request import arguments

#: The arguments that go into the Job, with the form in which each is given: the table of the core, which a test
#: compares.
FORMS: Mapping[str, str] = {
    "base_container_name": "text",
    "image": "text",
    "cmds": "texts",
    "arguments": "texts",
    "env_vars": "environment",
    "env_from": "objects",
    "configmaps": "config maps",
    "secrets": "secrets",
    "volumes": "objects",
    "volume_mounts": "objects",
    "container_resources": "object",
    "service_account_name": "text",
    "image_pull_policy": "text",
    "image_pull_secrets": "names",
    "node_selector": "text by key",
    "affinity": "object",
    "tolerations": "objects",
    "labels": "text by key",
    "annotations": "text by key",
    "backoff_limit": "whole number",
    "completions": "whole number",
    "parallelism": "whole number",
    "completion_mode": "text",
    "suspend": "flag",
    "active_deadline_seconds": "whole number",
    "pod_failure_policy": "object",
    "success_policy": "object",
    "backoff_limit_per_index": "whole number",
    "max_failed_indexes": "whole number",
    "pod_replacement_policy": "text",
    "managed_by": "text",
    "ports": "objects",
    "container_security_context": "object",
    "termination_message_policy": "text",
    "init_containers": "objects",
    "security_context": "object",
    "termination_grace_period": "whole number",
    "automount_service_account_token": "flag",
    "priority_class_name": "text",
    "runtime_class_name": "text",
    "schedulername": "text",
    "hostnetwork": "flag",
    "host_aliases": "objects",
    "hostname": "text",
    "subdomain": "text",
    "dnspolicy": "text",
    "dns_config": "object",
}
_PLAIN = (str, bool, int, float, Decimal, date, time, type(None))
#: Deeper values are judged when the task runs.
_DEEPEST = 20


def is_literal(value: Any, deep: int = 0) -> bool:
    """Return whether a value is what it will be when the task runs: no template, no XCom, nothing mapped, no object."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return type(value) is dict and deep < _DEEPEST and all(is_literal(item, deep + 1) for item in value.values())
    if type(value) in (list, tuple):
        return deep < _DEEPEST and all(is_literal(item, deep + 1) for item in value)
    return isinstance(value, _PLAIN)


def judge(source: Any) -> None:
    """Judge the literal arguments of an operator that go into its Job or its sidecar, and those that choose the cluster.

    :raises InvalidManifestError: if one has the wrong shape
    :raises ConfigurationError: if two of them exclude each other
    """
    sidecar = {name: form for name, (_, form) in arguments.RESULT_SIDECAR.items()}
    for name, form in {**FORMS, **sidecar}.items():
        value = getattr(source, name)
        if value is not None and is_literal(value):
            _SHAPES[form](name, value)
    judge_connection(source)


def judge_connection(source: Any) -> None:
    """Judge the arguments that choose the cluster.

    :raises ConfigurationError: if two of them choose a cluster
    """
    in_cluster, config_file = source.in_cluster, source.config_file
    if in_cluster is not None:
        arguments.flag("in_cluster", in_cluster)
    if in_cluster and config_file and is_literal(config_file):
        raise ConfigurationError(
            "`in_cluster` and `config_file` choose two clusters", hint="keep one of them", path="config_file"
        )


def judge_ways_to_run(manifest: Any, from_cron_job: Any) -> None:
    """Judge the two arguments that say what is run.

    :raises ConfigurationError: if both are given
    """
    if manifest is not None and from_cron_job and is_literal(from_cron_job):
        raise ConfigurationError(
            "`manifest` and `from_cron_job` both say what is run", hint="keep one of them", path="from_cron_job"
        )


def judge_queue(queue_name: Any, suspend: Any) -> None:
    """Judge the two arguments that say whether the Job waits.

    :raises ConfigurationError: if it waits in a queue and is to start at once
    """
    if queue_name and suspend is False:
        raise ConfigurationError(
            "`suspend` is False, although the Job waits in a queue of Kueue (`queue_name`)",
            hint="leave out `suspend`: Kueue resumes the Job when it admits it",
            path="suspend",
        )


def _object(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise arguments.refused(name, arguments.A_DICT, value)


def _objects(name: str, value: Any) -> None:
    for number, item in enumerate(arguments.listed(name, value, "a list of dicts")):
        _object(f"{name}[{number}]", item)


def _names(name: str, value: Any) -> None:
    for number, item in enumerate(arguments.listed(name, value)):
        if not isinstance(item, Mapping):
            arguments.text(f"{name}[{number}]", item)


def _texts_by_key(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise arguments.refused(name, "a dict of texts", value)
    for key, item in value.items():
        arguments.word(f"{name}[{key!r}]", item)


def _environment(name: str, value: Any) -> None:
    (_texts_by_key if isinstance(value, Mapping) else _objects)(name, value)


def _secrets(name: str, value: Any) -> None:
    for number, item in enumerate(arguments.listed(name, value, "a list of Secrets and where their values go")):
        if is_literal(item):
            from unique_k8s_job.request.secrets import literal

            literal(f"{name}[{number}]", item)


_SHAPES: Mapping[str, Callable[[str, Any], object]] = {
    "text": arguments.text,
    "texts": arguments.words,
    "text by key": _texts_by_key,
    "whole number": arguments.integer,
    "flag": arguments.flag,
    "object": _object,
    "objects": _objects,
    "names": _names,
    "environment": _environment,
    "config maps": arguments.words,
    "secrets": _secrets,
}
