"""Connections of type `kubernetes`: which extras lead to which cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.hooks.kubernetes import cluster_configuration

ORDINARY = {"context": None, "verify_ssl": True, "namespace": None}


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ({}, {"source": "default"}),
        ({"in_cluster": True}, {"source": "in_cluster"}),
        ({"in_cluster": "true"}, {"source": "in_cluster"}),
        ({"in_cluster": "False"}, {"source": "default"}),
        ({"extra__kubernetes__in_cluster": True}, {"source": "in_cluster"}),
        ({"kube_config_path": "/k"}, {"source": "file", "path": "/k"}),
        ({"kube_config_path": ""}, {"source": "default"}),
        ({"kube_config": {"kind": "Config"}}, {"source": "text", "text": '{"kind": "Config"}'}),
        ({"kube_config": '{"kind": "Config"}'}, {"source": "text", "text": '{"kind": "Config"}'}),
        ({"kube_config": "kind: Config"}, {"source": "text", "text": '{"kind": "Config"}'}),
        ({"namespace": "etl", "cluster_context": "c"}, {"source": "default", "namespace": "etl", "context": "c"}),
        ({"disable_verify_ssl": "True"}, {"source": "default", "verify_ssl": False}),
        (
            {"namespace": "plain", "extra__kubernetes__namespace": "prefixed"},
            {"source": "default", "namespace": "plain"},
        ),
        ({"in_cluster": False, "extra__kubernetes__in_cluster": True}, {"source": "default"}),
    ],
)
def test_extras_lead_to_this_configuration(extras: dict[str, Any], expected: dict[str, Any]) -> None:
    assert cluster_configuration(extras) == {**ORDINARY, **expected}


@pytest.mark.parametrize(
    ("extras", "named", "hint"),
    [
        ({"kubeconfig_path": "/k"}, "`kubeconfig_path`", "did you mean `kube_config_path`?"),
        ({"extra__kubernetes__kube_config_pth": "/k"}, "`extra__kubernetes__kube_config_pth`", "`kube_config_path`?"),
        ({"namespce": "etl", "in_cluster": True}, "`namespce`", "did you mean `namespace`?"),
        ({"Namespace": "etl"}, "`Namespace`", "did you mean `namespace`?"),
        ({"region": "x", "zone": "y"}, "`region`", "extras are `in_cluster`"),
    ],
)
def test_extra_that_nothing_reads_is_refused_with_the_nearest_one(
    extras: dict[str, Any], named: str, hint: str
) -> None:
    """Passed over, a misspelled one would lead to the cluster of the default configuration."""
    with pytest.raises(ConfigurationError) as caught:
        cluster_configuration(extras)
    assert named in caught.value.message and hint in str(caught.value.hint)
    assert all(f"`{key}`" in str(caught.value) for key in extras if key != "in_cluster")
    assert "etl" not in str(caught.value) and "/k" not in str(caught.value).replace("/kube", "")


def test_extras_of_the_other_provider_are_no_mistake() -> None:
    extras: dict[str, Any] = {
        "disable_tcp_keepalive": True,
        "extra__kubernetes__xcom_sidecar_container_image": "alpine",
    }
    assert cluster_configuration(extras) == {**ORDINARY, "source": "default"}


def test_arguments_of_the_operator_win_over_the_extras() -> None:
    extras = {"in_cluster": True, "cluster_context": "theirs"}
    found = cluster_configuration(extras, config_file="/k", cluster_context="ours")
    assert found == {**ORDINARY, "source": "file", "path": "/k", "context": "ours"}


def test_argument_that_says_not_in_cluster_leaves_the_rest_to_the_connection() -> None:
    extras = {"in_cluster": True, "kube_config_path": "/theirs"}
    assert cluster_configuration(extras, in_cluster=False) == {**ORDINARY, "source": "file", "path": "/theirs"}


def test_tilde_in_the_path_of_a_kubeconfig_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/airflow")
    assert cluster_configuration({}, config_file="~/.kube/prod")["path"] == "/home/airflow/.kube/prod"


def test_more_than_one_configuration_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than one"):
        cluster_configuration({"in_cluster": True, "kube_config": {"kind": "Config"}})


def test_broken_kubeconfig_is_refused_without_quoting_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        cluster_configuration({"kube_config": "token: 'very-secret\nx: ["})
    assert "very-secret" not in str(caught.value)


def test_secrets_of_a_kubeconfig_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr("unique_k8s_job.hooks.kubernetes.mask_secret", masked.append)
    user = {"token": "t-secret", "client-key-data": "k-secret", "auth-provider": {"config": {"id-token": "i-secret"}}}
    cluster_configuration({"kube_config": json.dumps({"users": [{"name": "u", "user": user}]})})
    assert sorted(masked) == ["i-secret", "k-secret", "t-secret"]
