"""A deferred Job on the real cluster: followed by reference in an asyncio loop, its log whole, and acknowledged after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import pytest

from native_run import request
from native_waiter import events_to_the_end, log_of, started_and_handed_over, wait_for
from numbered_lines import check_whole, numbers, script
from one_node_cluster import OneNodeCluster
from unique_k8s_job import _core


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster({"source": "file", "path": str(cluster.kubeconfig())})


def test_job_handed_over_is_followed_to_its_outcome_and_acknowledged_elsewhere(
    native: _core.Cluster, cluster: OneNodeCluster, namespace: str
) -> None:
    handed_over = started_and_handed_over(native, request(namespace, script(500, seconds=2)))
    events = wait_for(native, handed_over)
    assert events[-1]["state"] == "succeeded"
    check_whole(log_of(events), 500)
    finish = {"finish": {"state": "succeeded", "lingering": False}}
    resumed = _core.resume(native, json.dumps(json.loads(handed_over) | finish))
    assert resumed.acknowledge() == []
    assert cluster.the_job(namespace)["metadata"]["labels"]["unique-k8s-job/acknowledged"] == "true"


def test_log_goes_on_where_the_worker_left_it(native: _core.Cluster, namespace: str) -> None:
    run = _core.Run(native, request(namespace, script(2000, seconds=6)))
    first: list[Mapping[str, object]] = []
    while not any(event["kind"] == "log" for event in first):
        first += run.next(60.0)
    handed_over = run.hand_over()
    assert handed_over is not None
    check_whole(log_of(first) + "\n" + log_of(wait_for(native, handed_over)), 2000)


def test_lines_are_handed_across_two_waiters_once_each(native: _core.Cluster, namespace: str) -> None:
    count = 20_000
    handed_over = started_and_handed_over(native, request(namespace, script(count, seconds=10)))

    async def first() -> str:
        waiter = _core.Waiter(native, handed_over)
        text = ""
        while len(numbers(text)) < count / 3:
            events = await waiter.next()
            assert events and events[-1]["kind"] != "outcome", "the log ended before it was handed on"
            text += log_of(events) + "\n"
        await waiter.store_positions()
        return text

    begin = asyncio.run(asyncio.wait_for(first(), 120))
    rest = log_of(wait_for(native, handed_over))
    assert numbers(begin) and numbers(rest)
    check_whole(begin + rest, count)


def test_cancelled_next_loses_no_event(native: _core.Cluster, namespace: str) -> None:
    handed_over = started_and_handed_over(native, request(namespace, script(300, seconds=3)))

    async def wait() -> str:
        waiter = _core.Waiter(native, handed_over)

        async def one() -> Sequence[Mapping[str, object]]:
            return await waiter.next()

        text: list[str] = []
        while True:
            task = asyncio.ensure_future(one())
            await asyncio.sleep(0.003)
            task.cancel()
            try:
                events = await task
            except asyncio.CancelledError:
                continue
            text += [str(event["text"]) for event in events if event["kind"] == "log"]
            if any(event["kind"] == "outcome" for event in events):
                return "\n".join(text)

    check_whole(asyncio.run(asyncio.wait_for(wait(), 60)), 300)


def test_waiter_goes_on_in_another_loop_after_its_first_one_was_closed(native: _core.Cluster, namespace: str) -> None:
    handed_over = started_and_handed_over(native, request(namespace, script(300, seconds=3)))
    waiter = _core.Waiter(native, handed_over)

    async def some() -> Sequence[Mapping[str, object]]:
        try:
            return await asyncio.wait_for(waiter.next(), 0.5)
        except asyncio.TimeoutError:
            return []

    first = asyncio.run(some())

    async def rest() -> str:
        return log_of([*first, *await events_to_the_end(waiter)])

    check_whole(asyncio.run(rest()), 300)
