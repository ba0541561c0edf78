"""Each way in which a Job gets stuck because a part of the cluster is broken: `doctor` names it, `--fix` does what it says.

One broken part serves several ways at the same time, and is healed at the end. `docs/stuck.md` is what is seen here.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import doctor
from command_line import CommandLine, container, job_spec
from one_node_cluster import Object, OneNodeCluster, names
from stuck_table import saw
from waiting import until

pytestmark = pytest.mark.breaks_the_cluster

MANAGER = "kube-controller-manager"
#: Ends at once when asked to.
ENDLESS = "trap 'exit 0' TERM; sleep 1000 & wait"
NOTHING = "nothing: fix it yourself, see next"


def job(name: str, script: str = ENDLESS, **spec: Any) -> Object:
    metadata = {"name": name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": job_spec(container("base", script), **spec),
    }


def create(cluster: OneNodeCluster, namespace: str, *jobs: Object) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(jobs)}
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(listed))


def delete(cluster: OneNodeCluster, namespace: str, name: str, cascade: str) -> None:
    cluster.kubectl("delete", "job", name, "-n", namespace, f"--cascade={cascade}", "--wait=false")


def wait_for_running(cluster: OneNodeCluster, namespace: str, count: int) -> None:
    def all_run() -> bool:
        running = [pod for pod in cluster.find("pods", namespace) if pod["status"].get("phase") == "Running"]
        return len(running) >= count

    until(f"{count} running Pods", all_run, seconds=90, seen=lambda: cluster.kubectl("get", "pods", "-n", namespace))


def test_frozen_controller_manager_is_named_and_the_jobs_it_holds_are_freed(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    ends = "until [ -e /gone ]; do sleep 0.5; [ $((n=n+1)) -gt 12 ] && exit 0; done"
    create(cluster, namespace, job("incident"), job("foreground"), job("expired", activeDeadlineSeconds=15),
           job("overdue", "true", ttlSecondsAfterFinished=12), job("uncounted", ends))  # fmt: skip
    wait_for_running(cluster, namespace, 4)
    until("the end of `overdue`", lambda: any(
        one["metadata"]["name"] == "overdue" and one["status"].get("succeeded") for one in cluster.jobs(namespace)),
        seconds=30, seen=lambda: cluster.kubectl("get", "jobs", "-n", namespace))  # fmt: skip
    with cluster.paused(MANAGER):
        delete(cluster, namespace, "incident", "orphan")
        delete(cluster, namespace, "foreground", "foreground")
        create(cluster, namespace, job("fresh"))
        wanted = {
            ("incident", "finalizer-orphan-stuck"): "DELETE without a policy",
            ("foreground", "finalizer-foreground-stuck"): "DELETE with the policy Foreground",
            ("fresh", "job-controller-silent"): "a new Job",
            ("expired", "deadline-not-enforced"): "a Job with activeDeadlineSeconds 15",
            ("overdue", "ttl-not-obeyed"): "a Job with ttlSecondsAfterFinished 12 that had ended",
            ("uncounted", "pod-job-tracking-stuck"): "a Pod that ended meanwhile",
        }
        found = doctor.wait_for(command_line, set(wanted), seconds=120)
        for key, how in wanted.items():
            finding = found[key]
            assert MANAGER in finding["cause"] and finding["severity"] == "blocking", finding
            freed = finding["remedy"] == "release-gc-finalizers"
            done = "freed the Job at once; its Pods are found next" if freed else NOTHING
            saw(f"frozen controller manager: {how}", f"kube-controller-manager stopped, {how}", finding, done)
        held = found["incident", "finalizer-orphan-stuck"]
        assert "changes of the Job pass admission" in held["cause"], held
        assert held["remedy"] == found["foreground", "finalizer-foreground-stuck"]["remedy"] == "release-gc-finalizers"
        shown = command_line.call("doctor", "--job", "incident")
        assert shown.code == 1 and "finalizer-orphan-stuck" in shown.stdout and "--fix" in shown.stdout, shown

        refused = command_line.call("doctor", "--job", "incident", "--fix")
        assert refused.code == 125 and "--yes" in refused.stderr and "incident" in names(cluster.jobs(namespace)), (
            refused
        )
        before = {pod["metadata"]["uid"] for pod in cluster.find("pods", namespace)}
        for name in ("incident", "foreground"):
            fixed = doctor.fix(command_line, name)
            assert name not in names(cluster.jobs(namespace)) and "1 of 1 done" in fixed.stderr, fixed
            assert fixed.code == 1 and "its Pods" in fixed.stderr, fixed  # the Pods go on: nothing is called well yet
        assert before == {pod["metadata"]["uid"] for pod in cluster.find("pods", namespace)}

        left = doctor.wait_for(command_line, {("incident", "pods-of-vanished-job")}, seconds=30)
        pods = left["incident", "pods-of-vanished-job"]
        assert "garbage collector" in pods["cause"], pods
        fixed = doctor.fix(command_line, "incident")
        assert fixed.code == 0 and "have ended" in fixed.stderr and "job-tracking" in fixed.stderr, fixed
        saw("frozen controller manager: Pods of a Job that was freed", "the Pods of the freed Job", pods,
            "ended the Pods; what is left of them goes once the Job controller works")  # fmt: skip
    until(
        "a controller manager that works again",
        lambda: not doctor.findings(doctor.look(command_line), "fresh"),
        seconds=60,
    )


def test_controller_manager_that_dies_half_way_is_named_and_what_it_left_goes_when_it_is_back(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    create(cluster, namespace, job("half"))
    wait_for_running(cluster, namespace, 1)
    cluster.kill(MANAGER)
    try:
        delete(cluster, namespace, "half", "foreground")
        found = doctor.wait_for(command_line, {("half", "finalizer-foreground-stuck")}, seconds=60)
    finally:
        cluster.start(MANAGER)
    cluster.wait_until_gone(namespace, "half")
    assert doctor.look(command_line)["diagnoses"] == []
    how = "kube-controller-manager killed before DELETE with the policy Foreground, started again later"
    saw("dead controller manager: Job that is deleted", how, found["half", "finalizer-foreground-stuck"],
        "not tried: the Job goes by itself once the controller manager is back")  # fmt: skip


def test_lost_node_is_named_and_no_job_is_freed_whose_pod_may_still_run(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    create(cluster, namespace, job("goes-on"), job("deleted"), job("doomed", activeDeadlineSeconds=20))
    wait_for_running(cluster, namespace, 3)
    with cluster.paused("kubelet"):
        create(cluster, namespace, job("unbegun"))
        until("a Pod that is bound", lambda: all(
            pod["spec"].get("nodeName") for pod in cluster.find("pods", namespace)), seconds=10)  # fmt: skip
        delete(cluster, namespace, "deleted", "foreground")
        with cluster.paused("kube-scheduler"):
            create(cluster, namespace, job("unscheduled"))
            wanted = {
                ("goes-on", "node-not-ready"): "a running Pod",
                ("deleted", "pod-on-lost-node"): "a Pod that is deleted",
                ("deleted", "foreground-held-by-pods"): "DELETE of the Job with the policy Foreground",
                ("doomed", "decided-but-held-by-pods"): "a Job past its activeDeadlineSeconds",
                ("unbegun", "kubelet-silent"): "a Pod that was bound to the node",
                ("unscheduled", "scheduler-silent"): "a new Job, kube-scheduler stopped, too",
            }
            found = doctor.wait_for(command_line, set(wanted), seconds=150)
        for key, how in wanted.items():
            finding = found[key]
            assert finding["severity"] == "blocking" and finding["remedy"] is None, finding
            saw(f"lost node: {how}", f"kubelet stopped, {how}", finding, NOTHING)
        for code in ("pod-on-lost-node", "node-not-ready"):
            finding = next(finding for (_, found_code), finding in found.items() if found_code == code)
            assert "`node1`" in finding["cause"] and "not been ready since" in finding["cause"], finding
        fixed = doctor.fix(command_line, "deleted")
        assert fixed.code == 1 and "deleted" in names(cluster.jobs(namespace)), fixed
    cluster.wait_until_gone(namespace, "deleted")
    until(
        "a node that is ready",
        lambda: cluster.kubectl("get", "nodes", "-o", "json").count('"KubeletReady"'),
        seconds=60,
    )


def test_namespace_that_waits_for_an_aggregated_api_is_explained(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    service: Object = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.absent.example.com"},
        "spec": {
            "group": "absent.example.com",
            "version": "v1",
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": namespace, "name": "absent"},
        },
    }
    with cluster.namespace("stays") as staying:
        cluster.apply(service)
        try:
            cluster.kubectl("delete", "namespace", staying, "--wait=false")
            call = CommandLine(cluster.kubeconfig(), staying, tmp_path)
            found = doctor.wait_for(call, {("", "aggregated-api-unavailable")}, seconds=90)
            finding = found["", "aggregated-api-unavailable"]
            assert "absent.example.com" in json.dumps(finding) and "apiservices" in finding["next_step"], finding
            saw("namespace that waits for an aggregated API", "an APIService without a service, DELETE of a namespace",
                finding, NOTHING)  # fmt: skip
        finally:
            cluster.kubectl("delete", "apiservice", "v1.absent.example.com")


def test_frozen_etcd_is_an_error_that_says_so(command_line: CommandLine, cluster: OneNodeCluster) -> None:
    with cluster.paused("etcd"):
        began = time.monotonic()
        ended = command_line.call("doctor", "--json")
        assert ended.code == 125, ended
        assert "etcd" in ended.stderr and "readyz" in ended.stderr, ended
        print(f"doctor gave up after {time.monotonic() - began:.0f} s")
    until("an API server that works again", lambda: command_line.call("doctor", "--json").code == 0, seconds=60)
