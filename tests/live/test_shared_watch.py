"""Many deferred Jobs that share one watch, on the real cluster: beside each other, in forks, and on bad days."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable

import pytest

from native_run import request
from native_waiter import Event, events_to_the_end, log_of, started_and_handed_over, wait_for
from numbered_lines import check_whole, numbers, script
from one_node_cluster import OneNodeCluster
from unique_k8s_job import _core

#: A cut link has to be noticed within this many seconds; that it lasts is said ten seconds later.
NOTICED_WITHIN = 60
SAID_AFTER = 10


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster(json.dumps({"source": "file", "path": str(cluster.kubeconfig())}))


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


def test_log_that_is_handed_from_waiter_to_waiter_is_whole(native: _core.Cluster, namespace: str) -> None:
    lines = 20_000
    handed_over = started_and_handed_over(native, request(namespace, script(lines, seconds=15)))

    async def first() -> list[Event]:
        waiter = _core.Waiter(native, handed_over)
        events: list[Event] = []
        while len(numbers(log_of(events))) < lines / 3:
            events += await waiter.next()
        await waiter.store_positions()
        return events

    before = asyncio.run(first())
    # The second one is given what the first one was given: it goes on from what stands on the Job.
    after = wait_for(native, handed_over)
    assert after[-1]["state"] == "succeeded"
    check_whole(log_of(before) + "\n" + log_of(after), lines)
    assert "may be repeated" not in log_of(after)


def test_child_forked_while_its_parent_waits_for_jobs_waits_for_one_of_its_own(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    parents = [suspended(native, namespace, "true") for _ in range(3)]
    childs = started_and_handed_over(native, request(namespace, "echo hello"))

    def fork() -> None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if wait_for(native, childs)[-1]["state"] == "succeeded" else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        resume(cluster, namespace)

    assert states(asyncio.run(wait_together(native, parents, fork))) == ["succeeded"] * 3


@pytest.mark.breaks_the_cluster
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


@pytest.mark.breaks_the_cluster
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
