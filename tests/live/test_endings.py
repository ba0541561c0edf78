"""Each way in which a Pod ends badly: the error of its Job begins with why, and holds what Kubernetes says of the Pod.

Ways that have nothing to do with each other are provoked at the same time. `docs/endings.md` is what is seen here. What no
kubelet can be made to write within a test (an eviction for memory, a node that shuts down) is written as the kubelet writes
it, through the status subresource, on a Pod that is bound to a node which does not exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import documented_table
from command_line import container, job_spec
from made_up_node import made_up_node
from native_run import Follower, request
from one_node_cluster import Object, OneNodeCluster
from unique_k8s_job.task import job_result
from waiting import until

#: Ends at once when asked to.
ENDLESS = "trap 'exit 0' TERM; sleep 1000 & wait"
#: Does not end when asked to.
DEAF = "trap '' TERM; touch /tmp/deaf; sleep 1000"
#: Makes its Pod Ready once the script runs: a signal before that meets the container runtime, which ends with another code.
RUNS = {"readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/deaf"]}, "periodSeconds": 1}}
#: What a notification shows of an error: the cause has to stand in it.
SHOWN = 120


@dataclass
class Ending:
    """One way for a Pod to end badly: a Job that gets there, by itself or by what is done to its Pod."""

    job: str
    way: str
    how: str
    cause: str
    spec: dict[str, Any]
    #: What Kubernetes says of the Pod: its reason, or that of its condition.
    reason: str | None = None
    #: Done to the Pod, once it is there.
    done: Callable[[Object], None] | None = None
    exit_code: int | None = None


def one(script: str = ENDLESS, **fields: Any) -> dict[str, Any]:
    """A Job of one container; `job` has fields of the Job's spec, `pod` of the Pod's."""
    of_job = fields.pop("job", {})
    pod = fields.pop("pod", {})
    return job_spec(container("base", script, **fields), pod=pod, **of_job)


def probe(kind: str, script: str) -> dict[str, Any]:
    """A probe that fails at once, beside a container that does not end."""
    said = {"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1, "failureThreshold": 1}
    return one(DEAF, **{kind: said})


def bound_to(node: str, **pod: Any) -> dict[str, Any]:
    return one(pod={"nodeName": node, **pod})


def end_all(cluster: OneNodeCluster, namespace: str, endings: list[Ending]) -> None:
    """Run these Jobs at the same time, hold each error against what is expected, and its row against the page."""
    follower = Follower(cluster.kubeconfig())
    runs = {}
    for ending in endings:
        manifest = {"apiVersion": "batch/v1", "kind": "Job", "spec": ending.spec}
        wanted = {**request(namespace, ""), "slug": ending.job, "manifest": manifest, "arguments": {}}
        runs[ending.job] = follower.start(wanted)
    for ending in endings:
        if ending.done:
            name = Follower.until(runs[ending.job], "submitted")["name"]
            ending.done(the_pod(cluster, namespace, name))
    wrong = []
    for ending in endings:
        outcome = Follower.until(runs[ending.job], "outcome")
        try:
            check(ending, outcome, namespace)
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


def the_pod(cluster: OneNodeCluster, namespace: str, job: str) -> Object:
    """The Pod of a Job once it is bound, and Ready where a probe tells when that is."""

    def there(pod: Object) -> bool:
        probed = any("readinessProbe" in container for container in pod["spec"]["containers"])
        conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
        return bool(pod["spec"].get("nodeName")) and (not probed or conditions.get("Ready") == "True")

    selector = f"batch.kubernetes.io/job-name={job}"
    found: list[Object] = until(
        f"a Pod of {job} that is where it should be",
        lambda: [pod for pod in cluster.find("pods", namespace, selector) if there(pod)],
        seconds=120,
    )
    return found[0]


def check(ending: Ending, outcome: dict[str, Any], namespace: str) -> None:
    error = job_result.failure(outcome)
    head = str(error).splitlines()[0]
    assert outcome["state"] == "failed", f"{ending.way}: {error}"
    assert ending.cause in head[:SHOWN], f"{ending.way}: no {ending.cause!r} in the first {SHOWN} characters of {error}"
    assert error.exit_code == ending.exit_code, f"{ending.way}: {error.exit_code} in {error}"
    reasons = {reason for pod in outcome["pods"] for reason in said_of(pod)}
    if ending.reason:
        assert ending.reason in reasons, f"{ending.way}: {outcome['pods']}"
        assert ending.reason in str(error), f"{ending.way}: {error}"
    assert error.outcome is not None and error.outcome["pods"] == outcome["pods"], "what becomes XCom has them, too"
    cells = {
        "how it was provoked": ending.how,
        "what the error begins with": replaced(head, outcome, namespace),
        "what Kubernetes says of the Pod": ", ".join(f"`{reason}`" for reason in sorted(reasons)) or "nothing",
    }
    for column, seen in cells.items():
        documented_table.check("endings.md", ending.way, column, seen.replace("|", "/"))


def said_of(pod: dict[str, Any]) -> list[str]:
    told = [condition["reason"] for condition in pod["conditions"] if condition["type"] != "PodReadyToStartContainers"]
    return [reason for reason in (pod["reason"], *told) if reason]


def replaced(head: str, outcome: dict[str, Any], namespace: str) -> str:
    """Replace what differs from run to run: names, and how many nodes there are."""
    name = outcome["job"]["name"]
    head = head.replace(name, name.split("-2026", 1)[0]).replace(namespace, "etl")
    head = re.sub(r"^Job `(?!etl/)", "Job `etl/", head)
    head = re.sub(r"\b(made-up)-[0-9a-f]+\b", r"\1", head)
    return re.sub(r"0/\d+ nodes are available: .*(?= \[)", "0/N nodes are available: ...", head)


def write_status(cluster: OneNodeCluster, reason: str, message: str, **more: Any) -> Callable[[Object], None]:
    """Write the end of a Pod as the kubelet of its node would."""

    def write(pod: Object) -> None:
        conditions = [*pod["status"].get("conditions", []), *more.get("conditions", [])]
        status = {"phase": "Failed", "reason": reason, "message": message, **more, "conditions": conditions}
        metadata = pod["metadata"]
        cluster.kubectl("patch", "pod", metadata["name"], "-n", metadata["namespace"], "--subresource=status",
                        "--type=merge", "-p", json.dumps({"status": {k: v for k, v in status.items() if v}}))  # fmt: skip

    return write


def disrupted(reason: str, message: str) -> dict[str, Any]:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]}


def test_container_that_ends_badly_is_told_with_who_ended_it(cluster: OneNodeCluster, namespace: str) -> None:
    missing = {"lifecycle": {"postStart": {"exec": {"command": ["no-such-hook"]}}}}
    hungry = "x=a; while true; do x=$x$x; done"
    endings = [
        Ending("plain", "container that fails", "exit 3", "container `base` ended with exit code 3", one("exit 3"),
               exit_code=3),
        Ending("memory", "container that needs more memory than its limit", "a limit of 24Mi, and a script that needs more",
               "container `base` was killed: out of memory, limit 24Mi",
               one(hungry, resources={"limits": {"memory": "24Mi"}}), exit_code=137),
        Ending("itself", "container that kills itself", "kill -9 of its own process, which nobody else can tell",
               "container `base` was killed (SIGKILL), by whom is not known", one("exit 137"), exit_code=137),
        Ending("absent", "command that a shell does not find", "no-such-program in a script",
               "container `base` did not find a command (exit code 127)", one("no-such-program"), exit_code=127),
        Ending("plain-file", "command that may not be executed", "a file without the right to execute it, in a script",
               "container `base` could not execute a command", one("echo > /tmp/x; /tmp/x"), exit_code=126),
        Ending("start", "command that is not in the image", "a command that does not exist",
               "container `base` did not start: the command `trainn` is not in",
               one(command=["trainn"]), exit_code=128),
        Ending("init", "init container that fails", "an init container that ends with 7",
               "init container `prepare` ended with exit code 7",
               one(pod={"initContainers": [container("prepare", "exit 7")]})),
        Ending("liveness", "liveness probe that fails", "a liveness probe that says `db down`",
               "container `base` was killed: its liveness probe failed: db down",
               probe("livenessProbe", "echo db down; exit 1"), exit_code=137),
        Ending("startup", "startup probe that fails", "a startup probe that says `cold`",
               "container `base` was killed: its startup probe failed: cold",
               probe("startupProbe", "echo cold; exit 1"), exit_code=137),
        Ending("hook", "postStart hook that fails", "a hook whose command does not exist",
               "container `base` was killed: its postStart hook failed", one(DEAF, **missing), exit_code=137),
        Ending("read-only", "read-only file system", "readOnlyRootFilesystem, and a script that writes to /x",
               "container `base` ended with exit code 1: read-only file system",
               one("echo > /x", securityContext={"readOnlyRootFilesystem": True}), exit_code=1),
        Ending("index", "index of an Indexed Job that fails", "one of two indexes ends with 4, backoffLimitPerIndex 0",
               "index 1: container `base` ended with exit code 4",
               one("exit $((JOB_COMPLETION_INDEX * 4))",
                   job={"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0,
                        "backoffLimit": None}), exit_code=4),
        Ending("late", "deadline of the Job", "activeDeadlineSeconds 20, and a container that does not end",
               "it had not ended after 20 s (activeDeadlineSeconds)", one(DEAF, job={"activeDeadlineSeconds": 20}),
               exit_code=137),
        Ending("wait", "deadline of the Job before a node took its Pod",
               "activeDeadlineSeconds 6, and a request of 1000 CPUs",
               "it did not start in 6 s (activeDeadlineSeconds): no node took its Pod",
               one(resources={"requests": {"cpu": "1000"}}, job={"activeDeadlineSeconds": 6}), reason="Unschedulable"),
    ]  # fmt: skip
    end_all(cluster, namespace, endings)


def test_pod_that_is_refused_or_ended_by_others_is_told_with_its_own_reason(
    cluster: OneNodeCluster, namespace: str
) -> None:
    def evict(pod: Object) -> None:
        name = pod["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        address = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        cluster.kubectl("create", "--raw", address, "-f", "-", stdin=json.dumps(eviction))

    def delete(pod: Object) -> None:
        cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", namespace, "--wait=false")

    by_kubelet = disrupted("TerminationByKubelet", "The node was low on resource: memory.")
    shutdown = "Pod was terminated in response to imminent node shutdown."
    endings = [
        Ending("labels", "node whose labels do not fit", "nodeName node1 and a nodeSelector that it does not meet",
               "node `node1` refused its Pod: the node's labels do not match", bound_to("node1", nodeSelector={"disk": "ssd"}),
               "NodeAffinity"),
        Ending("cpu", "node without enough CPU", "nodeName node1 and a request of 1000 CPUs",
               "node `node1` refused its Pod: not enough cpu is free there",
               one(pod={"nodeName": "node1"}, resources={"requests": {"cpu": "1000"}}), "OutOfcpu"),
        Ending("own-deadline", "deadline of the Pod", "activeDeadlineSeconds 3 in the Pod template",
               "its Pod ran longer than its own activeDeadlineSeconds",
               one(pod={"activeDeadlineSeconds": 3}), "DeadlineExceeded"),
        Ending("evicted", "eviction through the API", "an Eviction of the Pod, as `kubectl drain` makes",
               "its Pod was evicted through the API", one(DEAF, **RUNS), "EvictionByEvictionAPI", evict, 137),
        Ending("deleted", "Pod that somebody deletes", "kubectl delete pod",
               "its Pod was deleted while it ran", one(DEAF, **RUNS), None, delete, 137),
        Ending("pods", "node that is full", "status as the kubelet writes it", "it holds as many Pods as it may",
               bound_to("elsewhere"), "OutOfpods",
               write_status(cluster, "OutOfpods", "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110")),
        Ending("devices", "node that cannot give what it promised", "status as the kubelet writes it",
               "node `elsewhere` refused its Pod: Allocate failed due to",
               bound_to("elsewhere"), "UnexpectedAdmissionError",
               write_status(cluster, "UnexpectedAdmissionError", "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate, which is unexpected")),
        Ending("tomorrow", "reason that nobody knows yet", "status with a made-up reason",
               "node `elsewhere` refused its Pod: something new", bound_to("elsewhere"), "ReasonOfTomorrow",
               write_status(cluster, "ReasonOfTomorrow", "Pod was rejected: something new")),
        Ending("low-memory", "eviction from a node that is low on memory", "status as the kubelet writes it",
               "its Pod was evicted: node `elsewhere` was low on memory", bound_to("elsewhere"), "Evicted",
               write_status(cluster, "Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. ", **by_kubelet)),
        Ending("disk", "eviction for ephemeral storage", "status as the kubelet writes it",
               "its Pod was evicted: Pod ephemeral local storage usage exceeds", bound_to("elsewhere"), "Evicted",
               write_status(cluster, "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ")),
        Ending("shutdown", "node that is shut down", "status as the kubelet writes it",
               "its Pod was ended with node `elsewhere`", bound_to("elsewhere"), "Terminated",
               write_status(cluster, "Terminated", shutdown, **disrupted("TerminationByKubelet", shutdown))),
        Ending("collected", "node that is gone", "status as the Pod garbage collector writes it",
               "its Pod was lost with node `elsewhere`", bound_to("elsewhere"), "DeletionByPodGC",
               write_status(cluster, "", "", **disrupted("DeletionByPodGC", "PodGC: node no longer exists"))),
    ]  # fmt: skip
    end_all(cluster, namespace, endings)


def test_pod_that_its_scheduler_or_its_node_gives_up_is_told_with_the_reason(
    cluster: OneNodeCluster, namespace: str
) -> None:
    with made_up_node(cluster, cpu=4) as node, priority(cluster, f"{namespace}-urgent"):
        there = {
            "nodeSelector": {"made-up": node.name},
            "tolerations": [{"key": "made-up", "operator": "Exists", "effect": "NoSchedule"}],
        }

        def preempt(pod: Object) -> None:
            urgent = one(
                pod={**there, "priorityClassName": f"{namespace}-urgent"}, resources={"requests": {"cpu": "3"}}
            )
            job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "urgent"}, "spec": urgent}
            cluster.apply(job, namespace=namespace)
            node.end_pod(pod)

        def taint(pod: Object) -> None:
            cluster.kubectl("taint", "node", node.name, "broken=disk:NoExecute")
            node.end_pod(pod)

        preempted = Ending("preempted", "preemption by a Pod of higher priority",
                           "a Pod of a higher PriorityClass on a node of 4 CPUs, each Pod asks for 3",
                           "its Pod was preempted: a Pod of higher priority took its room",
                           one(pod=there, resources={"requests": {"cpu": "3"}}), "PreemptionByScheduler", preempt)  # fmt: skip
        end_all(cluster, namespace, [preempted])
        tainted = Ending("tainted", "taint that its Pod does not tolerate", "kubectl taint node, with NoExecute",
                         "its Pod was evicted: node `made-up-", one(pod={**there, "nodeName": node.name}),
                         "DeletionByTaintManager", taint)  # fmt: skip
        end_all(cluster, namespace, [tainted])


@contextmanager
def priority(cluster: OneNodeCluster, name: str) -> Iterator[None]:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000}
    cluster.apply(kind)
    try:
        yield
    finally:
        cluster.kubectl("delete", "priorityclass", name)
