"""The worlds the tests run in: one real cluster a session, and a namespace of its own for each test.

Where the cluster cannot be had, every test that needs it fails with the reason; none is skipped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from one_node_cluster import OneNodeCluster, build, name_for_tests

_started = time.monotonic()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line with the time of the whole suite."""
    suites = sorted(
        {
            report.nodeid.split("/")[0]
            for reports in terminalreporter.stats.values()
            for report in reports
            if hasattr(report, "nodeid")
        }
    )
    terminalreporter.write_line(f"suite {', '.join(suites) or '(none)'}: {time.monotonic() - _started:.0f} s")


@pytest.fixture(scope="session")
def cluster() -> Iterator[OneNodeCluster]:
    """The cluster named by UNIQUE_K8S_JOB_CLUSTER (default `test`). One that was already up is left up."""
    name = name_for_tests()
    found = OneNodeCluster.existing(name)
    cluster = found or OneNodeCluster(name, build())
    cluster.up()
    yield cluster
    if found is None:
        cluster.down()


@pytest.fixture
def namespace(cluster: OneNodeCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test alone."""
    prefix = re.sub("[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())[:40].strip("-")
    with cluster.namespace(prefix) as name:
        yield name
