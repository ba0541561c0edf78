"""A thousand tasks that wait, and twenty whose Jobs never stop talking. Not part of `make test`: `make scale`."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster
from raw_api import raw_api
from trigger_logs import TriggerLogs
from waiting import until

pytestmark = [pytest.mark.scale, pytest.mark.timeout(7200)]

#: Deferred tasks of one run.
MANY = int(os.environ.get("UNIQUE_K8S_JOB_SCALE", "1000"))

CHATTY, LINES, QUIET = 20, 10_000, 100
#: Within this many seconds of the last Job's end every line has to be in the task logs.
LOGS_WITHIN = 60
#: Within this many seconds of the answer to the deletion of its Job a quiet trigger has to say so.
ANSWERED_WITHIN = 0.25
#: Deletions a second, so that they go on while the chatty Jobs talk.
A_SECOND = 10
HOLD = "example.com/hold"


def test_a_thousand_deferred_tasks_end_as_their_jobs_did_with_one_job_each(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    conf = {"script": "sleep 1; exit $(( $INDEX % 10 == 9 ))", "namespace": namespace, "count": MANY}
    began = time.monotonic()
    run_id = airflow.trigger("many_deferred_jobs", conf)
    airflow.wait_for_run("many_deferred_jobs", run_id, seconds=6600)
    states = airflow.states("many_deferred_jobs", run_id)
    print(f"{MANY} deferred tasks in {time.monotonic() - began:.0f} s: {Counter(states.values())}")
    wrong = {
        index: states[f"work[{index}]"]
        for index in range(MANY)
        if states[f"work[{index}]"] != ("failed" if index % 10 == 9 else "success")
    }
    assert not wrong
    assert len(cluster.jobs(namespace)) == MANY


def test_twenty_chatty_deferred_jobs_lose_no_line_and_a_hundred_quiet_ones_are_answered_meanwhile(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, namespace: str
) -> None:
    conf = {
        # Few bursts: the shells that sleep between them are not to be what is measured.
        "script": numbered_lines.script(LINES, seconds=20, bursts_a_second=4),
        "namespace": namespace,
        "count": CHATTY + QUIET,
    }
    run_id = airflow.trigger("many_suspended_jobs", conf)
    tasks = [TaskInstance("many_suspended_jobs", run_id, "work", index) for index in range(CHATTY + QUIET)]
    until(
        "all tasks deferred",
        lambda: Counter(airflow.states("many_suspended_jobs", run_id).values())["deferred"] == len(tasks),
        seconds=1200,
        every=5,
        seen=lambda: Counter(airflow.states("many_suspended_jobs", run_id).values()),
    )
    logs = [TriggerLogs(airflow_server.home, ti) for ti in tasks]
    output = airflow_server.log_file("triggerer")
    with raw_api(cluster.kubeconfig()) as api:
        jobs = OwnJobs(api, namespace)
        # A deleted Job that stays ends no task: the starts of a hundred resumed tasks are not to be measured, either.
        for index in range(CHATTY, CHATTY + QUIET):
            jobs.patch(index, {"metadata": {"finalizers": [HOLD]}})
        before = output.stat().st_size
        for index in range(CHATTY):
            jobs.patch(index, {"spec": {"suspend": False}})
        arrivals = Arrivals(logs[:CHATTY], LINES)
        arrivals.wait_until_all_began(seconds=120)
        deleted = {index: jobs.delete(index) for index in paced(range(CHATTY, CHATTY + QUIET), A_SECOND)}
        arrivals.wait_until_all_are_there(seconds=600)
        # The lines may be there before the Job controller has seen the end.
        ends = until("the end of the chatty Jobs", lambda: jobs.completed(range(CHATTY)), seconds=60)
        ended = max(ends)
        blocked = output.read_bytes()[before:].count(b"thread was blocked")
        for index in range(CHATTY, CHATTY + QUIET):
            jobs.patch(index, {"metadata": {"finalizers": None}})

    late = sorted(first_word_of_deletion(logs[index]) - moment for index, moment in deleted.items())
    print(
        f"\nlast line in the task logs {arrivals.last - ended:.1f} s after the last Job's end; "
        f"quiet triggers said the deletion of their Job after {statistics.median(late) * 1000:.0f} ms (median), "
        f"{late[-1] * 1000:.0f} ms (worst); warnings of a blocked loop: {blocked}"
    )
    airflow.wait_for_run("many_suspended_jobs", run_id, seconds=1200)
    for ti in tasks[:CHATTY]:
        assert airflow.task(ti)["state"] == "success"
        numbered_lines.check_whole(airflow.log(ti), LINES)
    assert arrivals.last - ended < LOGS_WITHIN
    assert late[-1] < ANSWERED_WITHIN
    assert not blocked


class OwnJobs:
    """The Jobs of the mapped tasks, by their index, over one connection that stays open."""

    def __init__(self, api: httpx.Client, namespace: str) -> None:
        self._api = api
        self._path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        items = self._api.get(self._path).raise_for_status().json()["items"]
        self._names = {item["metadata"]["labels"]["index"]: item["metadata"]["name"] for item in items}

    def patch(self, index: int, change: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self._api.patch(self._at(index), content=json.dumps(change), headers=headers).raise_for_status()

    def delete(self, index: int) -> float:
        """When the API server's answer was there."""
        self._api.delete(self._at(index), params={"propagationPolicy": "Background"}).raise_for_status()
        return time.time()

    def completed(self, indices: Iterable[int]) -> list[float] | None:
        """When the Jobs ended, once all have; the second has begun by then."""
        found = [self._api.get(self._at(index)).raise_for_status().json()["status"] for index in indices]
        ends = [status.get("completionTime") for status in found]
        return [moment(end) for end in ends] if all(ends) else None

    def _at(self, index: int) -> str:
        return f"{self._path}/{self._names[f'i{index}']}"


class Arrivals:
    """When the lines arrive in the logs of some tasks."""

    def __init__(self, logs: list[TriggerLogs], lines: int) -> None:
        self._logs = logs
        self._lines = lines
        self._counts = [0] * len(logs)
        #: When the last line was seen there.
        self.last = 0.0

    def wait_until_all_began(self, *, seconds: float) -> None:
        until("a line of each", lambda: all(self._look()), seconds=seconds, every=0.5, seen=lambda: self._counts)

    def wait_until_all_are_there(self, *, seconds: float) -> None:
        until(
            "all lines",
            lambda: min(self._look()) >= self._lines,
            seconds=seconds,
            every=0.5,
            seen=lambda: self._counts,
        )

    def _look(self) -> list[int]:
        for index, log in enumerate(self._logs):
            text = "\n".join(str(record["event"]) for record in log.more())
            if found := len(numbered_lines.numbers(text)):
                self._counts[index] += found
                self.last = time.time()
        return self._counts


def paced(indices: Iterable[int], a_second: float) -> Iterator[int]:
    """So many of them a second."""
    began = time.monotonic()
    for number, index in enumerate(indices):
        time.sleep(max(0.0, began + number / a_second - time.monotonic()))
        yield index


def first_word_of_deletion(log: TriggerLogs) -> float:
    """When the trigger said that somebody deletes its Job."""
    record = next(record for record in log.more() if "being deleted" in str(record.get("event")))
    return moment(record["timestamp"])


def moment(text: str) -> float:
    """Seconds since 1970 of `2026-01-01T06:00:00Z`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
