"""What a DAG file's parse refuses of an operator's arguments, and what it leaves for the time when the task runs."""

from __future__ import annotations

from typing import Any

import pytest
from airflow import DAG

from unique_k8s_job import K8sJobDeleteOperator, UniqueK8sJobOperator, UniqueK8sJobSensor, _core
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError, UniqueK8sJobError
from unique_k8s_job.request.arguments import given
from unique_k8s_job.request.literals import FORMS

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"arguments": "a string"}, "arguments"),
    ({"cmds": ["sh", ["-c"]]}, "cmds[1]"),
    ({"env_vars": ["A=1"]}, "env_vars[0]"),
    ({"env_vars": {"A": ["1"]}}, "env_vars['A']"),
    ({"env_from": {"configMapRef": {}}}, "env_from"),
    ({"volumes": ["data"]}, "volumes[0]"),
    ({"container_resources": [1]}, "container_resources"),
    ({"image": ["a:1"]}, "image"),
    ({"image_pull_secrets": "mine"}, "image_pull_secrets"),
    ({"node_selector": "disk=ssd"}, "node_selector"),
    ({"labels": ["a"]}, "labels"),
    ({"backoff_limit": "x"}, "backoff_limit"),
    ({"completions": 1.5}, "completions"),
    ({"suspend": "yes"}, "suspend"),
]


@pytest.mark.parametrize(("arguments", "path"), WRONG)
def test_literal_of_the_wrong_shape_is_refused_at_parse_with_the_words_of_the_run(
    arguments: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidManifestError) as at_parse:
        UniqueK8sJobOperator(task_id="work", **arguments)
    assert at_parse.value.path == path
    task = UniqueK8sJobOperator(task_id="work")
    for name, value in arguments.items():
        setattr(task, name, value)
    with pytest.raises(InvalidManifestError) as at_run:
        given(task)
    assert str(at_run.value) == str(at_parse.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"in_cluster": True, "config_file": "/k"}, "two clusters"),
        ({"manifest": {"kind": "Job"}, "from_cron_job": "nightly"}, "both say what is run"),
        ({"in_cluster": "yes"}, "in_cluster"),
        ({"startup_timeout_seconds": "soon"}, "startup_timeout_seconds"),
        ({"ttl_seconds_after_finished": {"succeeded": "a day"}}, "ttl_seconds_after_finished"),
    ],
)
def test_arguments_that_exclude_each_other_or_are_no_templates_are_refused_at_parse(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UniqueK8sJobError, match=words):
        UniqueK8sJobOperator(task_id="work", **arguments)


@pytest.mark.parametrize("kind", [K8sJobDeleteOperator, UniqueK8sJobSensor])
def test_two_ways_to_the_cluster_are_refused_for_every_class(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="two clusters"):
        kind(task_id="work", name="a", in_cluster=True, config_file="/k")
    kind(task_id="work", name="a", in_cluster=True, config_file="{{ params.file }}")


def test_templates_xcoms_and_good_literals_are_left_for_the_run() -> None:
    task = UniqueK8sJobOperator(
        task_id="work",
        image="a:1",
        arguments="{{ params.arguments }}",
        cmds=["sh", "-c", "echo {{ ds }}"],
        env_vars={"A": 1, "B": None, "C": True},
        env_from="{% if a %}[]{% endif %}",
        labels={"team": "data"},
        image_pull_secrets=["mine", {"name": "other"}],
        backoff_limit="3",
        completions="{{ params.n }}",
        in_cluster=True,
        config_file="{{ params.file }}",
    )
    assert (task.backoff_limit, task.in_cluster) == ("3", True)
    with DAG("etl", schedule=None):
        other: Any = UniqueK8sJobOperator(task_id="before", image="a:1").output
        for arguments in ({"arguments": other}, {"env_vars": {"A": other}}, {"backoff_limit": other}):
            UniqueK8sJobOperator(task_id=f"work_{next(iter(arguments))}", **arguments)


def test_model_of_the_kubernetes_client_is_left_for_the_run() -> None:
    model = type("V1ResourceRequirements", (), {"__module__": "kubernetes.client.models"})()
    UniqueK8sJobOperator(task_id="work", container_resources=model, volumes=[model])


def test_forms_are_those_of_the_core() -> None:
    assert dict(_core.job_arguments()) == dict(FORMS)
