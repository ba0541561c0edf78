"""The kubelet is killed while a deferred Job prints: no line is lost or doubled, and little is written on the Job."""

from __future__ import annotations

import asyncio

import pytest

from audit import audited
from native_run import request
from native_waiter import Event, events_to_the_end, log_of, started_and_handed_over
from numbered_lines import check_whole, numbers, script
from one_node_cluster import OneNodeCluster
from unique_k8s_job import _core

pytestmark = pytest.mark.breaks_the_cluster

LINES = 20_000


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster({"source": "file", "path": str(cluster.kubeconfig())})


def test_kubelet_killed_and_restarted_loses_no_line_of_a_deferred_job_and_costs_two_writes_at_most(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    with audited(cluster) as audit:
        handed_over = started_and_handed_over(native, request(namespace, script(LINES, seconds=15)))
        user = cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
        before = audit.requests(user, namespace)["patch jobs"]

        async def wait() -> list[Event]:
            halfway = asyncio.Event()

            def seen(event: Event) -> None:
                if event["kind"] == "log" and numbers(event["text"]):
                    halfway.set()

            waiter = _core.Waiter(native, handed_over)
            waiting = asyncio.ensure_future(events_to_the_end(waiter, seen))
            await asyncio.wait_for(halfway.wait(), 60)
            await asyncio.to_thread(cluster.kill, "kubelet")
            await asyncio.to_thread(cluster.start, "kubelet")
            events = await asyncio.wait_for(waiting, 120)
            await waiter.store_positions()
            return events

        events = asyncio.run(wait())
        writes = audit.requests(user, namespace)["patch jobs"] - before
    check_whole(log_of(events), LINES)
    assert events[-1]["state"] == "succeeded"
    # One of that minute, and one at the end.
    assert 1 <= writes <= 2
