"""The native module in a living process: forks, signals, threads."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from types import FrameType

import pytest

from native_run import deleted, request
from native_waiter import Event, events_to_the_end, log_of, started_and_handed_over, wait_for
from numbered_lines import check_whole, script
from one_node_cluster import OneNodeCluster
from unique_k8s_job import _core

#: Obeys SIGTERM, so that a deletion does not have to wait for the Pod's grace period.
ENDLESS = "trap 'exit 0' TERM; sleep 300 & wait"


@pytest.fixture
def native(cluster: OneNodeCluster) -> _core.Cluster:
    return _core.Cluster({"source": "file", "path": str(cluster.kubeconfig())})


def run_to_its_end(native: _core.Cluster, namespace: str) -> str:
    started = _core.Run(native, request(namespace, "echo hello"))
    while True:
        for event in started.next(60.0):
            if event["kind"] == "outcome":
                started.acknowledge()
                state: str = event["state"]
                return state


def in_a_fork(native: _core.Cluster, namespace: str) -> int:
    """The exit status of a child that runs a Job with what it inherited."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if run_to_its_end(native, namespace) == "succeeded" else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_forked_child_runs_a_job_with_what_its_parent_used_before(native: _core.Cluster, namespace: str) -> None:
    assert run_to_its_end(native, namespace) == "succeeded"
    assert in_a_fork(native, namespace) == 0
    assert run_to_its_end(native, namespace) == "succeeded"


def test_child_forked_while_another_thread_waits_in_the_core_runs_a_job(native: _core.Cluster, namespace: str) -> None:
    waiting = threading.Event()
    run = _core.Run(native, request(namespace, "sleep 20"))

    def wait() -> None:
        waiting.set()
        run.next(60.0)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    waiting.wait()
    assert in_a_fork(native, namespace) == 0
    deleted(run)


def test_forked_child_waits_for_a_job_and_the_waiters_of_its_parent_go_on(
    native: _core.Cluster, namespace: str
) -> None:
    of_the_parent = [started_and_handed_over(native, request(namespace, script(500, seconds=8))) for _ in range(3)]
    of_the_child = started_and_handed_over(native, request(namespace, script(500, seconds=4)))

    def fork() -> int:
        """The process of a child that ends with 0 where its Job and its log are whole."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                events = wait_for(native, of_the_child)
                check_whole(log_of(events), 500)
                status = 0 if events[-1]["state"] == "succeeded" else 2
            finally:
                os._exit(status)
        return child

    async def parent() -> list[list[Event]]:
        at_work = asyncio.Event()
        waits = [
            asyncio.ensure_future(events_to_the_end(_core.Waiter(native, one), lambda _event: at_work.set()))
            for one in of_the_parent
        ]
        await at_work.wait()
        _, status = await asyncio.to_thread(os.waitpid, fork(), 0)
        assert os.waitstatus_to_exitcode(status) == 0
        return await asyncio.gather(*waits)

    for events in asyncio.run(asyncio.wait_for(parent(), 120)):
        assert events[-1]["state"] == "succeeded"
        check_whole(log_of(events), 500)


def test_signal_handler_runs_and_its_exception_ends_a_wait(native: _core.Cluster, namespace: str) -> None:
    class Stopped(Exception):
        """What the handler raises."""

    def handler(_signal: int, _frame: FrameType | None) -> None:
        raise Stopped

    run = _core.Run(native, request(namespace, ENDLESS))
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(Stopped):
            while True:
                run.next(300.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "is deleted" in deleted(run)


def test_handler_that_asks_the_core_itself_is_answered_inside_the_wait(native: _core.Cluster, namespace: str) -> None:
    run = _core.Run(native, request(namespace, ENDLESS))
    answers: list[str] = []

    def handler(_signal: int, _frame: FrameType | None) -> None:
        answers.append(deleted(run))
        run.wake()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        while not answers:
            run.next(300.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "is deleted" in answers[0]


def test_other_threads_run_while_one_waits_in_the_core(native: _core.Cluster, namespace: str) -> None:
    run = _core.Run(native, request(namespace, "sleep 5"))
    over = threading.Event()
    turns = 0

    def turn() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            over.wait(0.01)

    thread = threading.Thread(target=turn)
    thread.start()
    seen: list[str] = []
    while "outcome" not in seen:
        before = turns
        seen += [event["kind"] for event in run.next(0.5)] or ["silence"]
        if seen[-1] == "silence":
            assert turns > before, "nobody else ran during a wait of half a second"
    over.set()
    thread.join()


def test_secret_of_the_configuration_is_in_no_repr(cluster: OneNodeCluster, tmp_path: Path) -> None:
    text = cluster.kubeconfig().read_text()
    native = _core.Cluster({"source": "text", "text": text})
    assert "token" not in repr(native) and str(tmp_path) not in repr(native)
