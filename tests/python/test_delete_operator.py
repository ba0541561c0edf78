"""What Airflow and the command line say with an order to delete; its carrying out is for the tests on a real cluster."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from unique_k8s_job import K8sJobDeleteOperator
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError, StoppedError
from unique_k8s_job.request.delete import delete_request

ORDER: dict[str, Any] = {
    "name": "report",
    "uid": None,
    "label_selector": None,
    "namespace": None,
    "wait_for": "gone",
    "timeout": 300,
    "release_stuck": "ours",
    "release_after_seconds": 60,
    "propagation_policy": "Background",
    "only_if": "any",
    "include_owned": False,
}


def target(**given: Any) -> Any:
    return delete_request(**{**ORDER, "name": None, **given})["target"]


def test_target_is_this_table() -> None:
    assert target(name="a") == {"kind": "name", "name": "a", "uid": None}
    assert target(name="a", uid="u") == {"kind": "name", "name": "a", "uid": "u"}
    assert target(uid="u") == {"kind": "uid", "uid": "u"}
    assert target(label_selector="app=x") == {"kind": "selector", "labels": "app=x"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": ""},
        {"name": "a", "uid": ""},
        {"label_selector": ""},
        {"name": "a", "label_selector": "app=x"},
        {"uid": "u", "label_selector": "app=x"},
    ],
)
def test_order_that_could_mean_more_than_one_thing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Which Job is to be deleted is not clear"):
        target(**given)


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"name": "None"}, "name"),
        ({"name": "a b"}, "name"),
        ({"namespace": "hostile/jobs/victim?x="}, "namespace"),
        ({"namespace": "a\nb"}, "namespace"),
    ],
)
def test_name_that_no_object_has_is_refused_before_anything_is_asked(changed: dict[str, Any], argument: str) -> None:
    from unique_k8s_job import native

    cluster = native.Cluster({"source": "file", "path": "/absent"})
    with pytest.raises(ConfigurationError, match=f"`{argument}` cannot be the name of a ") as refused:
        native.delete_jobs(cluster, delete_request(**{**ORDER, **changed}))
    assert refused.value.path == argument


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"wait_for": "deleted"}, "`wait_for` has to be `gone` or `accepted`"),
        ({"release_stuck": True}, "`release_stuck` has to be"),
        ({"propagation_policy": "background"}, "`propagation_policy` has to be"),
        ({"only_if": "done"}, "`only_if` has to be"),
        ({"timeout": 0}, "`timeout` has to be a whole number of seconds, 1 or more"),
        ({"namespace": ""}, "`namespace` is empty"),
        ({"timeout": "soon"}, "`timeout` has to be a whole number of seconds, 1 or more"),
        ({"namespace": ["etl"]}, "`namespace` has to be text"),
        ({"name": "half \ud83d"}, "`name` cannot be a part of a Job"),
        ({"release_after_seconds": "a minute"}, "`release_after_seconds` has to be a whole number"),
    ],
)
def test_value_that_is_not_known_is_refused_by_name(changed: dict[str, Any], words: str) -> None:
    with pytest.raises((ConfigurationError, InvalidManifestError), match=words):
        delete_request(**{**ORDER, **changed})


def test_every_argument_is_documented_and_every_template_field_is_an_argument() -> None:
    arguments = [
        name
        for name, argument in inspect.signature(K8sJobDeleteOperator.__init__).parameters.items()
        if argument.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    documentation = inspect.getdoc(K8sJobDeleteOperator) or ""
    for name in arguments:
        assert f":param {name}:" in documentation
    assert set(K8sJobDeleteOperator.template_fields) <= set(arguments)
    assert set(ORDER) <= set(arguments)


def test_defaults_of_the_operator_are_an_order_that_the_core_reads() -> None:
    operator = K8sJobDeleteOperator(task_id="delete", name="report")
    assert operator._request() == delete_request(**ORDER)


def test_stop_before_execute_has_begun_is_an_error_and_not_a_green_task() -> None:
    operator = K8sJobDeleteOperator(task_id="delete", name="report", kubernetes_conn_id=None, config_file="/absent")
    operator.on_kill()
    with pytest.raises(StoppedError):
        operator.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("field", ["name", "uid", "namespace"])
def test_argument_whose_template_rendered_to_none_is_refused_and_not_forgotten(field: str) -> None:
    operator = K8sJobDeleteOperator(task_id="delete", name="report", uid="{{ none }}", namespace="{{ none }}")
    operator.uid, operator.namespace = "u", "etl"
    setattr(operator, field, None)
    with pytest.raises(ConfigurationError, match=f"`{field}` was given and is None now"):
        operator._request()
