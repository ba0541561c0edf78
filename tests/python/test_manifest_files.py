"""A manifest that is named as a file beside the DAG, and everything that only looks like one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import UniqueK8sJobOperator
from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.read import names_a_file
from unique_k8s_job.task.manifest_file import manifest_of

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG  # type: ignore[no-redef,attr-defined]


def task(folder: Path, **arguments: Any) -> UniqueK8sJobOperator:
    """A task of a DAG whose templates are in `folder`."""
    with DAG("etl", schedule=None, template_searchpath=str(folder)):
        return UniqueK8sJobOperator(task_id="work", **arguments)


def read(operator: UniqueK8sJobOperator, **context: Any) -> Any:
    """The manifest as `execute` reads it, after Airflow has rendered the template fields."""
    operator.render_template_fields(context)  # type: ignore[arg-type]
    return manifest_of(operator, context)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_file_is_found_beside_the_dag_and_rendered(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"job{suffix}").write_text('{"kind": "Job", "metadata": {"labels": {"day": "{{ ds }}"}}}')
    manifest = read(task(tmp_path, manifest=f"job{suffix}"), ds="2026-01-01")
    assert manifest["metadata"]["labels"] == {"day": "2026-01-01"}


def test_name_of_the_file_is_a_template_too(tmp_path: Path) -> None:
    (tmp_path / "job-eu.yaml").write_text("kind: Job")
    assert read(task(tmp_path, manifest="job-{{ region }}.yaml"), region="eu") == {"kind": "Job"}


def test_file_is_found_by_its_absolute_path_and_by_one_relative_to_the_dag(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "jobs").mkdir()
    file = tmp_path / "jobs" / "job.YAML"
    file.write_text("kind: Job\nmetadata: {labels: {day: '{{ ds }}'}}")
    expected = {"kind": "Job", "metadata": {"labels": {"day": "2026-01-01"}}}
    for manifest in (str(file), file, "../jobs/job.YAML", f" {file} "):
        assert read(task(tmp_path / "dags", manifest=manifest), ds="2026-01-01") == expected


def test_file_includes_and_imports_others_as_every_template_does(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "labels.yaml").write_text("{team: {{ params.team }}}")
    (tmp_path / "parts" / "macros.j2").write_text("{% macro container(name) %}{name: {{ name }}}{% endmacro %}")
    text = (
        "{% import 'parts/macros.j2' as m %}kind: Job\n"
        "metadata: {labels: {% include 'parts/labels.yaml' %}}\n"
        "spec: {containers: [{{ m.container('base') }}], at: {{ macros.ds_add(ds, 1) }}}"
    )
    (tmp_path / "job.yaml").write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.yaml").write_text(text)
    macros = SimpleNamespace(ds_add=lambda day, _: f"{day}+1")
    for manifest in ("job.yaml", str(elsewhere / "job.yaml")):
        job = read(task(tmp_path, manifest=manifest), params={"team": "data"}, ds="2026-01-01", macros=macros)
        assert job["metadata"]["labels"] == {"team": "data"}
        assert job["spec"] == {"containers": [{"name": "base"}], "at": "2026-01-01+1"}


def test_file_that_windows_has_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes("kind: Job\r\nmetadata: {name: größe}\r\n".encode("utf-16"))
    assert read(task(tmp_path, manifest="job.yaml")) == {"kind": "Job", "metadata": {"name": "größe"}}


def test_file_of_another_encoding_is_named_with_its_first_bad_byte(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes("kind: Jöb".encode("latin-1"))
    with pytest.raises(InvalidManifestError, match=r"job\.yaml(.|\n)*0xf6 at offset 7"):
        read(task(tmp_path, manifest="job.yaml"))


def test_file_that_is_missing_is_named_with_the_folder_that_was_searched(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        read(task(tmp_path, manifest="absent.yaml"))
    assert "`absent.yaml`" in caught.value.message
    assert str(tmp_path) in str(caught.value.seen)


def test_absolute_path_that_is_missing_is_not_called_relative(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifestError, match="The manifest file `/absent.yaml` was not found") as caught:
        read(task(tmp_path, manifest="/absent.yaml"))
    assert caught.value.seen == ["the machine that runs the task has no such file"]
    assert "an absolute path" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_text_and_dict_are_rendered_in_place(tmp_path: Path) -> None:
    assert read(task(tmp_path, manifest="kind: Job\nmetadata: {name: '{{ x }}'}"), x="a")["metadata"] == {"name": "a"}
    assert read(task(tmp_path, manifest={"metadata": {"name": "{{ x }}"}}), x="a")["metadata"] == {"name": "a"}


def test_other_arguments_that_end_like_a_file_are_not_read(tmp_path: Path) -> None:
    operator = task(tmp_path, cmds=["lint", "job.yaml"], env_vars={"CONFIG": "/etc/app.json"})
    operator.render_template_fields({})  # type: ignore[arg-type]
    assert operator.cmds == ["lint", "job.yaml"]
    assert operator.env_vars == {"CONFIG": "/etc/app.json"}


def test_text_of_several_lines_is_no_file_name() -> None:
    assert names_a_file("job.yaml")
    assert not names_a_file("kind: Job\n# see values.yaml")
    assert not names_a_file("kind: Job")
