"""Twenty thousand lines in twenty seconds, while the cluster breaks: each is in the task log exactly once."""

from __future__ import annotations

from collections.abc import Callable

import numbered_lines
from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster
from waiting import until

Work = Callable[..., TaskInstance]

LINES = 20_000


def test_api_server_killed_and_restarted_loses_and_doubles_no_line_of_the_task_log(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str, work: Work
) -> None:
    ti = work(numbered_lines.script(LINES, seconds=20))
    until("a tenth of the lines", lambda: len(numbered_lines.numbers(airflow.log(ti))) > LINES / 10, seconds=60)
    cluster.kill("kube-apiserver")
    cluster.start("kube-apiserver")
    airflow.wait_for_state(ti, "success", try_number=1, seconds=180)
    numbered_lines.check_whole(airflow.log(ti), LINES)
