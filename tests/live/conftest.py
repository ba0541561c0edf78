"""The command line on the real cluster, in a namespace of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import CommandLine
from one_node_cluster import OneNodeCluster


@pytest.fixture
def command_line(cluster: OneNodeCluster, namespace: str, tmp_path: Path) -> CommandLine:
    """As the cluster's admin."""
    return CommandLine(cluster.kubeconfig(), namespace, tmp_path)


@pytest.fixture
def command_line_of_airflow(cluster: OneNodeCluster, namespace: str, tmp_path: Path) -> CommandLine:
    """As the user `airflow`, who may do only what a test allows."""
    return CommandLine(cluster.kubeconfig("airflow"), namespace, tmp_path)
