"""Reads the section `[unique_k8s_job]` of Airflow's configuration when a task runs. `provider_info` documents it."""

from __future__ import annotations

import json
from typing import NamedTuple

from unique_k8s_job.described import described
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.request.arguments import FIELD_VALIDATIONS, FieldValidation, one_of
from unique_k8s_job.task.compat import configuration

SECTION = "unique_k8s_job"
_TRUE, _FALSE = ("true", "t", "yes", "on", "1"), ("false", "f", "no", "off", "0")


class Settings(NamedTuple):
    """The choices of an installation for all its tasks."""

    safe_ttl_seconds: int
    patch_jobs: bool
    on_process_end: str | None
    field_validation: FieldValidation
    #: None: without the labels of the task.
    task_label_prefix: str | None = ""
    default_labels: dict[str, str] = {}  # noqa: RUF012 nobody writes to it
    default_annotations: dict[str, str] = {}  # noqa: RUF012
    log_levels: bool = True
    log_line_times: bool = False


def default_deferrable() -> bool:
    """Read `[operators] default_deferrable`, Airflow's own option."""
    return configuration("operators", "default_deferrable", "False").strip().lower() in _TRUE


def job_url_template() -> str:
    """Read the template of the link "Kubernetes Job"; empty: there is no link."""
    return _text("job_url_template")


def settings() -> Settings:
    """Read the options.

    :raises ConfigurationError: if one cannot be used, naming it
    """
    return Settings(
        safe_ttl_seconds=_seconds("safe_ttl", "604800"),
        patch_jobs=_flag("patch_jobs", "True"),
        on_process_end=_process_end_action("on_process_end"),
        field_validation=_validation("field_validation", "strict"),
        log_levels=_flag("log_levels", "True"),
        log_line_times=_flag("log_line_times", "False"),
        task_label_prefix=_text("task_label_prefix") if _flag("task_labels", "True") else None,
        default_labels=_texts("default_labels"),
        default_annotations=_texts("default_annotations"),
    )


def _seconds(option: str, default: str) -> int:
    text = configuration(SECTION, option, default).strip()
    if not text.isdecimal() or int(text) >= 2**31:
        raise ConfigurationError(f"`[{SECTION}] {option}` has to be a number of seconds", seen=[described(text)])
    return int(text)


def _flag(option: str, default: str) -> bool:
    text = configuration(SECTION, option, default).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ConfigurationError(f"`[{SECTION}] {option}` has to be True or False", seen=[described(text)])
    return text in _TRUE


def _text(option: str) -> str:
    return configuration(SECTION, option, "").strip()


def _texts(option: str) -> dict[str, str]:
    """Read a JSON object of texts; the templates in them are rendered in each task."""
    text = _text(option)
    if not text:
        return {}
    wanted = f"`[{SECTION}] {option}` has to be a JSON object of texts"
    example = 'write it as {"team": "data", "owner": "{{ dag.owner }}"}'
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(wanted, seen=[f"it is no JSON: {error}"], hint=example) from error
    if not isinstance(found, dict):
        raise ConfigurationError(wanted, seen=[described(found)], hint=example)
    for key, value in found.items():
        if not isinstance(value, str):
            raise ConfigurationError(wanted, seen=[f"`{key}` is {described(value)}"], hint=example)
    return found


def _process_end_action(option: str) -> str | None:
    text = configuration(SECTION, option, "").strip()
    return one_of(f"[{SECTION}] {option}", text, "leave", "delete") if text else None


def _validation(option: str, default: str) -> FieldValidation:
    text = configuration(SECTION, option, default).strip().lower()
    word: FieldValidation = one_of(f"[{SECTION}] {option}", text or default, *FIELD_VALIDATIONS)
    return word
