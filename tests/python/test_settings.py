"""The options of an Airflow installation, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest

from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.provider_info import get_provider_info
from unique_k8s_job.task import settings
from unique_k8s_job.task.settings import Settings


def options(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    monkeypatch.setattr(settings, "configuration", lambda _, option, fallback: values.get(option) or fallback)


def test_unset_options_have_the_defaults_that_airflow_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    options(monkeypatch)
    assert settings.settings() == Settings(604_800, True, None, "strict", "", {}, {}, True, False)
    shown = get_provider_info()["config"]["unique_k8s_job"]["options"]
    assert (shown["safe_ttl"]["default"], shown["patch_jobs"]["default"]) == ("604800", "True")
    assert shown["field_validation"]["default"] == "strict"
    assert (shown["log_levels"]["default"], shown["log_line_times"]["default"]) == ("True", "False")


def test_options_are_read_as_airflow_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    options(monkeypatch, safe_ttl=" 60 ", patch_jobs="off", on_process_end="delete", field_validation=" Warn ")
    assert settings.settings() == Settings(60, False, "delete", "warn")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("safe_ttl", "a week"),
        ("safe_ttl", "-1"),
        ("patch_jobs", "maybe"),
        ("on_process_end", "keep"),
        ("field_validation", "loose"),
        ("log_levels", "error"),
        ("log_line_times", "1s"),
    ],
)
def test_option_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, option: str, value: str) -> None:
    options(monkeypatch, **{option: value})
    with pytest.raises(ConfigurationError, match=option):
        settings.settings()


def test_labels_and_annotations_of_an_installation_are_json_objects_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    options(
        monkeypatch,
        default_labels='{"team": "data"}',
        default_annotations='{"run": "{{ run_id }}"}',
        task_label_prefix=" a.example/ ",
    )
    found = settings.settings()
    assert found.default_labels == {"team": "data"}
    assert found.default_annotations == {"run": "{{ run_id }}"}
    assert found.task_label_prefix == "a.example/"
    options(monkeypatch, task_labels="off", task_label_prefix="a.example/")
    assert settings.settings().task_label_prefix is None


@pytest.mark.parametrize("value", ["team=data", '["team"]', '{"team": 1}'])
def test_labels_that_are_no_json_object_of_texts_are_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    options(monkeypatch, default_labels=value)
    with pytest.raises(ConfigurationError, match=r'default_labels(?s:.*)write it as \{"team": "data"'):
        settings.settings()
