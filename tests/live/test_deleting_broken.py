"""`unique-k8s-job delete` while the cluster is broken: nothing is called gone that is there, and what may be freed is."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from audit import audited
from command_line import CommandLine, container, finish, job_spec
from one_node_cluster import OneNodeCluster, names
from roles import SHIPPED
from waiting import until

pytestmark = pytest.mark.breaks_the_cluster

#: Obeys SIGTERM, so that a deletion does not have to wait for the Pod's grace period.
ENDLESS = "trap 'exit 0' TERM; sleep 300 & wait"
MANAGER = "kube-controller-manager"


def job(name: str, script: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": job_spec(container("base", script), **spec),
    }


def make(cluster: OneNodeCluster, namespace: str, *jobs: dict[str, Any]) -> None:
    """Create Jobs of others."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(jobs)}
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(listed))


def orphan(cluster: OneNodeCluster, namespace: str, name: str) -> None:
    """What clients do that name no propagation policy: the deletion is accepted, and the finalizer `orphan` waits."""
    cluster.kubectl("delete", "job", name, "-n", namespace, "--cascade=orphan", "--wait=false")


def test_deletion_is_confirmed_while_the_garbage_collector_is_frozen(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, job("report", ENDLESS))
    cluster.wait_until_running(namespace)
    with cluster.paused(MANAGER):
        ended = command_line.call("delete", "report", "--json")
        assert ended.code == 0, ended
        pods = cluster.find("pods", namespace)
        assert cluster.jobs(namespace) == []
        assert json.loads(ended.stdout)["pods_deleted"] == names(pods), ended
        assert all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods)
    cluster.wait_until_gone(namespace, "report")


def test_the_incident_is_explained_and_cured(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, job("report", ENDLESS))
    cluster.wait_until_running(namespace)
    with cluster.paused(MANAGER):
        orphan(cluster, namespace, "report")
        ended = command_line.call("delete", "report", "--timeout", "12", "--release-after", "2")
        assert ended.code == 1, ended
        assert "finalizer-orphan-stuck" in ended.stderr and "garbage collector" in ended.stderr, ended
        assert names(cluster.jobs(namespace)) == ["report"], "somebody else's orphan is not freed without an order"
        ended = command_line.call("delete", "report", "--release-stuck", "gc", "--release-after", "2", "--json")
        assert ended.code == 0, ended
        assert json.loads(ended.stdout)["released"] == ["report"], ended
        assert cluster.jobs(namespace) == []
        make(cluster, namespace, job("report", "true"))
    cluster.kubectl("wait", "job/report", "-n", namespace, "--for=condition=Complete", "--timeout=30s")
    cluster.kubectl("delete", "job", "report", "-n", namespace)
    cluster.wait_until_gone(namespace, "report")


def test_controller_manager_killed_and_started_again_half_way_ends_the_wait(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, job("report", ENDLESS))
    cluster.wait_until_running(namespace)
    cluster.kill(MANAGER)
    try:
        call = command_line.begin("delete", "--propagation-policy", "Foreground", "--release-stuck", "never", "report")
        until("the accepted deletion", lambda: cluster.jobs(namespace)[0]["metadata"].get("finalizers"), seconds=20)
    finally:
        cluster.start(MANAGER)
    ended = finish(call)
    assert ended.code == 0, ended
    assert cluster.jobs(namespace) == []


def test_pod_on_a_lost_node_is_named_with_its_node(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, job("report", ENDLESS))
    pod = cluster.wait_until_running(namespace)["metadata"]["name"]
    with cluster.paused("kubelet"):
        # The node is lost 12 s after its last sign of life.
        ended = command_line.call("delete", "report", "--timeout", "25")
        assert ended.code == 1, ended
        assert "pod-on-lost-node" in ended.stderr and pod in ended.stderr and "node1" in ended.stderr, ended
        assert cluster.jobs(namespace) == [], "the Job itself is gone"
    cluster.wait_until_gone(namespace, "report")


def test_frozen_etcd_delays_the_deletion_and_does_not_change_its_end(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, job("report", ENDLESS))
    cluster.wait_until_running(namespace)
    with cluster.paused("etcd"):
        call = command_line.begin("delete", "report")
        threading.Event().wait(6)  # the outage itself has a length
        assert call.poll() is None, finish(call)
    ended = finish(call)
    assert ended.code == 0, ended
    assert cluster.jobs(namespace) == []


IDLE, BUSY = 480, 20


def test_five_hundred_jobs_are_deleted_through_a_restart_of_the_api_server_at_three_requests_each(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    mine, others = {"app": "report"}, {"app": "other"}
    idle = [job(f"idle-{number}", "true", mine, suspend=True) for number in range(IDLE)]
    busy = [job(f"busy-{number}", ENDLESS, mine) for number in range(BUSY)]
    kept = [job(f"kept-{number}", "true", others, suspend=True) for number in range(5)]
    make(cluster, namespace, *busy, *idle, *kept)
    cluster.apply(SHIPPED, namespace=namespace)

    def all_run() -> bool:
        phases = [pod["status"].get("phase") for pod in cluster.find("pods", namespace)]
        return phases.count("Running") == BUSY

    until("all Pods running", all_run, seconds=120, every=1)
    with audited(cluster) as audit:
        call = command_line_of_airflow.begin("delete", "--selector", "app=report", "--json")
        assert call.stdout is not None and call.stderr is not None
        said: list[str] = []
        breaker: threading.Thread | None = None
        for line in call.stderr:
            said.append(line)
            if breaker is None and len(said) > 100:
                breaker = threading.Thread(target=audit.restart_api_server)
                breaker.start()
        assert breaker is not None, "".join(said)
        breaker.join()
        done = json.loads(call.stdout.read())
        assert call.wait(60) == 0, "".join(said)[-4000:]
        assert len(done["deleted"]) == IDLE + BUSY
        assert sorted(names(cluster.jobs(namespace))) == [f"kept-{number}" for number in range(5)]
        asked = audit.requests("airflow", namespace)
    most = 3 * IDLE + 4 * BUSY
    cut = 16  # as many requests as are under way at once can be cut, and are sent again
    print(f"{sum(asked.values())} requests for {IDLE + BUSY} Jobs (at most {most}, and {cut} that were cut): {asked}")
    assert sum(asked.values()) <= most + cut, asked
    assert asked["watch jobs"] + asked["watch pods"] <= 1, asked
