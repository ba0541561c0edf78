"""`docs/rbac.yaml` grants enough, and each right that is missing is named by the message about what failed."""

from __future__ import annotations

import pytest

from command_line import CommandLine
from one_node_cluster import OneNodeCluster
from roles import SHIPPED, rules_without


def test_the_shipped_role_is_enough(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(SHIPPED, namespace=namespace)
    ended = command_line_of_airflow.shell("echo allowed")
    assert ended.code == 0, ended
    assert ended.stdout == "allowed\n", ended
    assert "forbidden" not in ended.stderr.lower(), ended


def test_the_shipped_role_is_enough_to_delete(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(SHIPPED, namespace=namespace)
    ended = command_line_of_airflow.shell("sleep 100", "--timeout", "6")
    assert ended.code == 124, ended
    assert "forbidden" not in ended.stderr.lower(), ended


def test_no_right_to_create_jobs_is_our_own_error_and_names_the_verb(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("jobs", "create"))
    ended = command_line_of_airflow.shell("true")
    assert ended.code == 125, ended
    assert "create" in ended.stderr and "jobs" in ended.stderr and namespace in ended.stderr, ended


@pytest.mark.parametrize(
    ("resource", "verb"),
    [("jobs", "patch"), ("jobs", "watch"), ("pods", "watch"), ("pods/log", "get")],
)
def test_missing_right_is_named_and_does_not_change_the_verdict(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str, resource: str, verb: str
) -> None:
    cluster.allow(namespace, rules_without(resource, verb))
    ended = command_line_of_airflow.shell("exit 6")
    assert ended.code in (1, 6), ended  # which container failed is known from Pods alone
    assert verb in ended.stderr and resource in ended.stderr, ended


def test_right_to_list_pods_is_named_where_their_watch_has_not_told_all(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    """The watch begins with the Pods that are there, so the list is needed after an interruption, or where it lags."""
    cluster.allow(namespace, rules_without("pods", "list"))
    ended = command_line_of_airflow.shell("echo said; exit 6")
    told = ended.code == 6 and ended.stdout == "said\n"
    assert told or ("list" in ended.stderr and "pods" in ended.stderr), ended
    assert ended.code in (1, 6), ended


def test_no_right_to_read_events_changes_nothing(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("events", "list"))
    ended = command_line_of_airflow.shell("echo done")
    assert ended.code == 0, ended
    assert ended.stdout == "done\n", ended


def test_no_right_to_delete_is_named_where_a_job_must_be_deleted(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("jobs", "delete"))
    ended = command_line_of_airflow.shell("sleep 30", "--timeout", "6")
    assert ended.code == 124, ended
    assert "delete" in ended.stderr and "jobs" in ended.stderr, ended
