"""What a Job that goes well costs the API server, counted in its audit log."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from audit import Audit, audited
from native_run import follow, request
from one_node_cluster import Object, OneNodeCluster
from roles import SHIPPED
from waiting import until

pytestmark = pytest.mark.breaks_the_cluster


def test_job_that_goes_well_costs_four_requests_and_two_for_each_of_its_containers(cluster: OneNodeCluster) -> None:
    with audited(cluster) as audit:
        # The first one also waits for the API server to have read its Roles again.
        _run(audit, pods=1)
        for pods in (1, 4):
            asked, late = _run(audit, pods)
            print(f"{sum(asked.values())} requests for {pods} Pods (late: {late}): {asked}")
            if late:
                # On a machine that is busy a container may need more than two seconds: then it is asked why.
                asked.pop("list events", None)
            expected = {"create jobs": 1, "watch jobs": 1, "watch pods": 1, "get pods/log": 2 * pods, "patch jobs": 1}
            assert asked == expected


def _run(audit: Audit, pods: int) -> tuple[Counter[str], bool]:
    """All requests of a first try, and whether anything has needed more than a second to start."""
    cluster = audit.cluster
    with cluster.namespace("requests") as namespace:
        cluster.apply(SHIPPED, namespace=namespace)
        before = audit.requests("airflow", "")
        wanted = request(namespace, "echo begin; sleep 3; echo end", completions=pods, parallelism=pods)
        outcome = follow(cluster.kubeconfig("airflow"), wanted)
        assert outcome["state"] == "succeeded", outcome
        # The log is written a moment after the answer; the acknowledgement is the last request of a Job.
        until("the last request", lambda: audit.requests("airflow", namespace)["patch jobs"], seconds=20)
        asked = audit.requests("airflow", namespace) + (audit.requests("airflow", "") - before)
        begin = _moment(cluster.the_job(namespace)["metadata"]["creationTimestamp"])
        late = False
        for pod in cluster.find("pods", namespace):
            made, started = _moment(pod["metadata"]["creationTimestamp"]), _started(pod)
            late = late or made - begin > 1 or started - made > 1
    return asked, late


def _started(pod: Object) -> float:
    [container] = pod["status"]["containerStatuses"]
    return _moment(container["state"]["terminated"]["startedAt"])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
