"""The cluster breaks while Jobs are waited for in one asyncio loop: every outcome is told, and no line lost or doubled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from audit import audited
from native_run import request
from native_waiter import Event, events_to_the_end, log_of, started_and_handed_over
from numbered_lines import check_whole, numbers, script
from one_node_cluster import OneNodeCluster
from plain_job import job
from unique_k8s_job import _core

pytestmark = pytest.mark.breaks_the_cluster

JOBS = 20
LINES = 20_000


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster(json.dumps({"source": "file", "path": str(cluster.kubeconfig())}))


def jobs_that_end_meanwhile(cluster: OneNodeCluster, namespace: str) -> list[str]:
    """References to running Jobs; every second one is going to fail."""
    cluster.apply(*(job(f"job-{i:02}", f"sleep {4 + i % 6}; exit {i % 2}") for i in range(JOBS)), namespace=namespace)
    return [reference(found) for found in cluster.jobs(namespace)]


def reference(found: dict[str, Any]) -> str:
    """What a waiter for a Job of somebody else's is given."""
    metadata = found["metadata"]
    return json.dumps({"job": {key: metadata[key] for key in ("namespace", "name", "uid")}, "get_logs": False})


def check_outcomes(waited: list[str], events: list[list[Event]]) -> None:
    told = {json.loads(one)["job"]["name"]: found[-1]["state"] for one, found in zip(waited, events, strict=True)}
    assert told == {f"job-{i:02}": "failed" if i % 2 else "succeeded" for i in range(JOBS)}


def test_jobs_that_end_while_the_api_server_is_killed_and_restarted_are_told(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    waited = jobs_that_end_meanwhile(cluster, namespace)

    async def wait() -> list[list[Event]]:
        waits = [asyncio.ensure_future(events_to_the_end(_core.Waiter(native, one))) for one in waited]
        await asyncio.to_thread(cluster.kill, "kube-apiserver")
        await asyncio.to_thread(cluster.start, "kube-apiserver")
        return await asyncio.wait_for(asyncio.gather(*waits), 120)

    check_outcomes(waited, asyncio.run(wait()))


def test_jobs_that_end_while_the_link_is_cut_without_a_word_are_told(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    waited = jobs_that_end_meanwhile(cluster, namespace)

    async def wait() -> list[list[Event]]:
        interrupted = asyncio.Event()

        def seen(event: Event) -> None:
            if event.get("code") == "watch-interrupted":
                interrupted.set()

        waits = [asyncio.ensure_future(events_to_the_end(_core.Waiter(native, one), seen)) for one in waited]
        await asyncio.sleep(1)  # the watch is open before the link is cut
        with cluster.paused("link"):
            await asyncio.wait_for(interrupted.wait(), 120)
        return await asyncio.wait_for(asyncio.gather(*waits), 120)

    check_outcomes(waited, asyncio.run(wait()))


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
