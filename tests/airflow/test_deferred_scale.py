"""A thousand tasks that wait, and twenty whose Jobs never stop talking. Not part of `make test`: `make scale`."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from datetime import datetime

import pytest

import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster
from waiting import until

pytestmark = [pytest.mark.scale, pytest.mark.timeout(7200)]

#: Deferred tasks of one run.
MANY = int(os.environ.get("UNIQUE_K8S_JOB_SCALE", "1000"))

CHATTY, LINES, QUIET = 20, 10_000, 100
#: Within this many seconds of the last Job's end every line has to be in the task logs.
LOGS_WITHIN = 60


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
        "script": numbered_lines.script(LINES, seconds=20),
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
    names = {job["metadata"]["labels"]["index"]: job["metadata"]["name"] for job in cluster.jobs(namespace)}
    blocked_before = airflow_server.log_file("triggerer").read_text().count("thread was blocked")
    for index in range(CHATTY):
        resumed = json.dumps({"spec": {"suspend": False}})
        cluster.kubectl("patch", "job", names[f"i{index}"], "-n", namespace, "-p", resumed)

    deleted = {}
    for index in range(CHATTY, CHATTY + QUIET):
        deleted[index] = time.time()
        cluster.kubectl("delete", "job", names[f"i{index}"], "-n", namespace, "--wait=false")

    selector = ",".join(f"i{index}" for index in range(CHATTY))

    def all_complete() -> bool:
        jobs = cluster.find("jobs.batch", namespace, f"index in ({selector})")
        return len(jobs) == CHATTY and all(job.get("status", {}).get("completionTime") for job in jobs)

    until("the end of the chatty Jobs", all_complete, seconds=300)
    ended = time.monotonic()
    until(
        "the end of their tasks",
        lambda: all(airflow.task(ti)["state"] == "success" for ti in tasks[:CHATTY]),
        seconds=300,
    )
    print(f"chatty tasks ended {time.monotonic() - ended:.0f} s after the last of their Jobs")
    for ti in tasks[:CHATTY]:
        numbered_lines.check_whole(airflow.log(ti), LINES)
    late = []
    for index in range(CHATTY, CHATTY + QUIET):
        records = airflow.log_records(tasks[index], 1)
        word = next(record for record in records if "being deleted" in str(record.get("event")))
        late.append(datetime.fromisoformat(str(word["timestamp"]).replace("Z", "+00:00")).timestamp() - deleted[index])
    print(
        f"quiet triggers said the deletion of their Job after {statistics.median(late) * 1000:.0f} ms (median), "
        f"{sorted(late)[int(len(late) * 0.99)] * 1000:.0f} ms (p99), the start of kubectl included"
    )
    blocked = airflow_server.log_file("triggerer").read_text().count("thread was blocked") - blocked_before
    print(f"warnings of a blocked loop: {blocked}")
    assert time.monotonic() - ended < LOGS_WITHIN + 120
