"""The worlds the tests run in: one real cluster a session, and a namespace of its own for each test.

Where the cluster cannot be had, every test that needs it fails with the reason; none is skipped.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from one_node_cluster import OneNodeCluster, build, name_for_tests

_started = time.monotonic()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have to say of their suite (`record_property("summary", ...)`), and one line with its time."""
    suites = sorted(
        {
            report.nodeid.split("/")[0]
            for reports in terminalreporter.stats.values()
            for report in reports
            if hasattr(report, "nodeid")
        }
    )
    for report in terminalreporter.stats.get("passed", []):
        for name, text in getattr(report, "user_properties", []):
            if name == "summary":
                terminalreporter.write_line(str(text))
    terminalreporter.write_line(f"suite {', '.join(suites) or '(none)'}: {time.monotonic() - _started:.0f} s")


def pytest_configure(config: pytest.Config) -> None:
    """Where processes share the work, they share one cluster: the process that starts them brings it up."""
    # A shell starts what it puts into the background with SIGINT ignored, `nohup` with SIGHUP, and every child inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    needs_a_cluster = any("tests/python" not in argument for argument in config.args)
    if getattr(config.option, "numprocesses", None) and needs_a_cluster:
        config.stash[_shared] = _Brought(name_for_tests())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared cluster."""
    if brought := config.stash.get(_shared, None):
        brought.end()


class _Brought:
    """The cluster of this name, up; `end` takes it down unless it was up before."""

    def __init__(self, name: str) -> None:
        found = OneNodeCluster.existing(name)
        self.cluster = found or OneNodeCluster(name, build())
        self._ours = found is None
        self.cluster.up()

    def end(self) -> None:
        if self._ours:
            self.cluster.down()


_shared = pytest.StashKey[_Brought]()


@pytest.fixture(scope="session")
def cluster() -> Iterator[OneNodeCluster]:
    """The cluster named by UNIQUE_K8S_JOB_CLUSTER (default `test`). One that was already up is left up."""
    brought = _Brought(name_for_tests())
    yield brought.cluster
    brought.end()


@pytest.fixture
def namespace(cluster: OneNodeCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test alone."""
    prefix = re.sub("[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())[:40].strip("-")
    with cluster.namespace(prefix) as name:
        yield name
