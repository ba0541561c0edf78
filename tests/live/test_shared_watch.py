"""Deferred Jobs of our own, which share one watch, while the cluster breaks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from native_run import request
from native_waiter import Event, events_to_the_end, log_of, started_and_handed_over
from numbered_lines import check_whole, script
from one_node_cluster import OneNodeCluster
from unique_k8s_job import _core

pytestmark = pytest.mark.breaks_the_cluster

#: A cut link has to be noticed within this many seconds; that it lasts is said ten seconds later.
NOTICED_WITHIN = 60
SAID_AFTER = 10


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster({"source": "file", "path": str(cluster.kubeconfig())})


def suspended(native: _core.Cluster, namespace: str, shell: str) -> str:
    """A Job that makes no Pod until somebody resumes it; what is handed over about it."""
    return started_and_handed_over(native, request(namespace, shell, suspend=True))


def resume(cluster: OneNodeCluster, namespace: str) -> None:
    """Resume all Jobs of the namespace."""
    for job in cluster.jobs(namespace):
        name = job["metadata"]["name"]
        cluster.kubectl("patch", "job", name, "-n", namespace, "-p", json.dumps({"spec": {"suspend": False}}))


async def wait_together(
    native: _core.Cluster, handed_over: list[str], once_they_wait: Callable[[], None]
) -> list[list[Event]]:
    """Wait for all these Jobs in one loop; all events of each. A thread does something once all of them are followed."""
    followed = [asyncio.Event() for _ in handed_over]

    async def one(job: str, begun: asyncio.Event) -> list[Event]:
        waiter = _core.Waiter(native, job)
        return await events_to_the_end(waiter, lambda _: begun.set())

    tasks = [asyncio.create_task(one(job, begun)) for job, begun in zip(handed_over, followed, strict=True)]
    await asyncio.gather(*(begun.wait() for begun in followed))
    await asyncio.to_thread(once_they_wait)
    return await asyncio.wait_for(asyncio.gather(*tasks), 240)


def states(of: list[list[Event]]) -> list[str]:
    return [events[-1]["state"] for events in of]


def test_killed_api_server_costs_no_waiting_job_its_outcome(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    jobs = [suspended(native, namespace, f"exit {number % 2 * 3}") for number in range(8)]

    def break_it() -> None:
        cluster.kill("kube-apiserver")
        cluster.start("kube-apiserver")
        resume(cluster, namespace)

    ended = asyncio.run(wait_together(native, jobs, break_it))
    assert states(ended) == ["succeeded", "failed"] * 4


def test_link_that_is_cut_without_a_word_is_noticed_and_what_ended_meanwhile_is_told(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    lines = 100
    handed_over = started_and_handed_over(native, request(namespace, script(lines, seconds=20)))
    cluster.wait_until_running(namespace)
    said: list[float] = []

    async def wait() -> list[Event]:
        waiter = _core.Waiter(native, handed_over)
        lines_come, interrupted = asyncio.Event(), asyncio.Event()

        def see(event: Event) -> None:
            if event["kind"] == "log":
                lines_come.set()
            if event.get("code") == "watch-interrupted":
                interrupted.set()

        waiting = asyncio.create_task(events_to_the_end(waiter, see))
        await lines_come.wait()
        await asyncio.to_thread(cut, interrupted, asyncio.get_running_loop())
        return await asyncio.wait_for(waiting, 120)

    def cut(interrupted: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        with cluster.paused("link"):
            began = time.monotonic()
            asyncio.run_coroutine_threadsafe(interrupted.wait(), loop).result(NOTICED_WITHIN + SAID_AFTER + 5)
            said.append(time.monotonic() - began)

    events = asyncio.run(wait())
    print(f"the cut link was said after {said[0]:.1f} s")
    assert events[-1]["state"] == "succeeded"
    check_whole(log_of(events), lines)
