"""Twenty thousand lines of a deferred Job, while cluster and triggerer break: each is in the task log exactly once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import documented_table
import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]

LINES = 20_000


def seen(airflow: AirflowClient, ti: TaskInstance) -> int:
    return len(numbered_lines.numbers(airflow.log(ti)))


def test_killed_api_server_and_kubelet_and_a_restarted_triggerer_lose_and_double_no_line_of_a_deferred_job(
    airflow: AirflowClient, airflow_server: AirflowServer, cluster: OneNodeCluster, work: Work
) -> None:
    ti = work(numbered_lines.script(LINES, seconds=50), "deferred_job_without_retries")
    until("a tenth of the lines", lambda: seen(airflow, ti) > LINES / 10, seconds=90)
    cluster.kill("kube-apiserver")
    cluster.start("kube-apiserver")
    after_api_server = seen(airflow, ti)
    until("more lines", lambda: seen(airflow, ti) > after_api_server, seconds=60)
    airflow_server.kill_component("triggerer", signal.SIGTERM)
    airflow_server.start_component("triggerer")
    cluster.kill("kubelet")
    cluster.start("kubelet")
    airflow.wait_for_state(ti, "success", try_number=1, seconds=240)
    numbered_lines.check_whole(airflow.log(ti), LINES)


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(lambda server: server.kill_whole_component("triggerer"), id="whole"),
        pytest.param(
            lambda server: server.kill_component("triggerer", signal.SIGKILL),
            id="its-leading-process",
            marks=pytest.mark.scale,
        ),
    ],
)
def test_killed_triggerer_loses_no_line_and_what_is_repeated_is_marked(
    airflow: AirflowClient,
    airflow_server: AirflowServer,
    cluster: OneNodeCluster,
    namespace: str,
    work: Work,
    kill: Callable[[AirflowServer], None],
) -> None:
    lines = 6_000
    ti = work(numbered_lines.script(lines, seconds=30), "deferred_job_without_retries")
    until("a quarter of the lines", lambda: seen(airflow, ti) > lines / 4, seconds=90)
    kill(airflow_server)
    airflow_server.start_component("triggerer")
    airflow.wait_for_state(ti, "success", try_number=1, seconds=240)
    log = airflow.log(ti)
    found = numbered_lines.numbers(log)
    assert set(found) == set(range(1, lines + 1)), "a line is missing"
    if len(found) > lines:
        assert "may be repeated here" in log, "lines came twice, and nothing says so"
    print(f"{len(found) - lines} of {lines} lines repeated after SIGKILL")
    assert len(cluster.jobs(namespace)) == 1
    documented_table.check(
        "stops.md",
        "the triggerer is killed (SIGKILL)",
        "deferred task",
        "left at work; the next triggerer follows it in the same try, which succeeds",
    )
