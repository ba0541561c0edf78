"""`unique-k8s-job delete` on the real cluster: gone means gone, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine, container, job_spec
from one_node_cluster import OneNodeCluster, names
from roles import rules_without
from waiting import until

#: Obeys SIGTERM, so that a deletion does not have to wait for the Pod's grace period.
ENDLESS = "trap 'exit 0' TERM; sleep 300 & wait"


def make(cluster: OneNodeCluster, namespace: str, name: str, script: str = "true", **metadata: Any) -> str:
    """A Job of others; its uid."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **metadata},
        "spec": job_spec(container("base", script)),
    }
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(job))
    return cluster.kubectl("get", "job", name, "-n", namespace, "-o", "jsonpath={.metadata.uid}")


def wait_until_finished(cluster: OneNodeCluster, namespace: str, name: str) -> None:
    def finished() -> bool:
        job = next(job for job in cluster.jobs(namespace) if job["metadata"]["name"] == name)
        conditions = job.get("status", {}).get("conditions") or []
        return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)

    until(f"the end of {name}", finished, seconds=60)


def running(cluster: OneNodeCluster, namespace: str) -> list[str]:
    """The Pods that have not ended."""
    pods = cluster.find("pods", namespace)
    return names([pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")])


def test_running_job_is_gone_once_the_command_ends_and_so_is_its_work(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, "report", "trap 'sleep 3; exit 0' TERM; sleep 300 & wait")
    cluster.wait_until_running(namespace)
    ended = command_line.call("delete", "report", "--json")
    assert (cluster.jobs(namespace), running(cluster, namespace)) == ([], [])
    assert ended.code == 0, ended
    assert json.loads(ended.stdout)["deleted"] == ["report"]


def test_absent_job_is_gone(command_line: CommandLine) -> None:
    ended = command_line.call("delete", "absent")
    assert ended.code == 0, ended
    assert "does not exist: nothing to delete" in ended.stderr, ended


def test_namesake_of_another_uid_is_left_alone(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    uid = make(cluster, namespace, "report", ENDLESS)
    ended = command_line.call("delete", "report", "--uid", "00000000-0000-0000-0000-000000000000")
    assert ended.code == 0, ended
    assert cluster.the_job(namespace)["metadata"]["uid"] == uid
    ended = command_line.call("delete", "--uid", uid)
    assert ended.code == 0, ended
    assert cluster.jobs(namespace) == []


def test_selector_with_a_condition_deletes_what_it_means_and_says_what_it_leaves(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    for name, script in (("good", "true"), ("bad", "false"), ("busy", ENDLESS)):
        make(cluster, namespace, name, script, labels={"app": "report"})
    make(cluster, namespace, "other")
    wait_until_finished(cluster, namespace, "good")
    wait_until_finished(cluster, namespace, "bad")
    ended = command_line.call("delete", "--selector", "app=report", "--only-if", "succeeded", "--json")
    done = json.loads(ended.stdout)
    assert (ended.code, done["deleted"]) == (0, ["good"]), ended
    assert done["skipped"] == {"bad": "it has not succeeded", "busy": "it has not succeeded"}, ended
    assert sorted(names(cluster.jobs(namespace))) == ["bad", "busy", "other"]


def test_selector_leaves_the_unfinished_job_of_a_task_unless_told(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    # A Pod that ends with 0 while its Job is being deleted can still make the Job Complete.
    run = command_line.start_shell("trap 'exit 1' TERM; sleep 300 & wait")
    job = cluster.the_job(namespace)["metadata"]["name"]
    cluster.wait_until_running(namespace)
    selector = "app.kubernetes.io/managed-by=unique-k8s-job"
    ended = command_line.call("delete", "-l", selector, "--json")
    assert "a task owns it and it has not finished" in json.loads(ended.stdout)["skipped"][job], ended
    ended = command_line.call("delete", "-l", selector, "--include-owned", "--json")
    assert json.loads(ended.stdout)["deleted"] == [job], ended
    assert run.wait(60) == 1
    run.communicate()


def test_foreign_finalizer_is_named_and_kept(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, "report", finalizers=["example.com/backup"])
    try:
        ended = command_line.call(
            "delete", "report", "--timeout", "4", "--release-stuck", "gc", "--release-after", "1", "--json"
        )
        assert ended.code == 1, ended
        assert "example.com/backup" in ended.stderr, ended
        assert json.loads(ended.stdout)["finalizers"] == ["example.com/backup"], ended
        assert cluster.the_job(namespace)["metadata"]["finalizers"] == ["example.com/backup"]
    finally:
        cluster.kubectl(
            "patch",
            "job",
            "report",
            "-n",
            namespace,
            "--type=json",
            '-p=[{"op":"remove","path":"/metadata/finalizers"}]',
        )


@pytest.mark.parametrize("policy", ["Foreground", "Orphan"])
def test_other_policies_mean_what_kubernetes_says(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str, policy: str
) -> None:
    make(cluster, namespace, "report", ENDLESS)
    cluster.wait_until_running(namespace)
    ended = command_line.call("delete", "report", "--propagation-policy", policy)
    assert ended.code == 0, ended
    assert cluster.jobs(namespace) == []
    assert len(running(cluster, namespace)) == (1 if policy == "Orphan" else 0), ended


#: What is missing, and how the deletion of a running Job ends then.
MISSING = [("jobs", "get", 125), ("jobs", "delete", 125), ("jobs", "watch", 0), ("pods", "list", 125)]


@pytest.mark.parametrize(("resource", "verb", "code"), MISSING)
def test_missing_right_is_named_where_it_is_needed(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str, resource: str, verb: str, code: int
) -> None:
    cluster.allow(namespace, rules_without(resource, verb))
    make(cluster, namespace, "report", ENDLESS)
    cluster.wait_until_running(namespace)
    ended = command_line_of_airflow.call("delete", "report", "--propagation-policy", "Foreground")
    assert ended.code == code, ended
    named = f"verb `{verb}` on `{resource}" in ended.stderr
    assert named == (code == 125), ended


def test_finished_job_is_gone_without_any_right_on_pods(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "delete"]}])
    make(cluster, namespace, "report")
    wait_until_finished(cluster, namespace, "report")
    ended = command_line_of_airflow.call("delete", "report")
    assert ended.code == 0, ended
    assert cluster.jobs(namespace) == []


def test_namespace_that_does_not_exist_is_an_error_and_not_a_job_that_is_gone(
    cluster: OneNodeCluster, tmp_path: Path
) -> None:
    ended = CommandLine(cluster.kubeconfig(), "nowhere", tmp_path).call("delete", "report")
    assert ended.code == 125, ended
    assert "in namespace `nowhere`: it does not exist" in ended.stderr, ended


def test_webhook_that_refuses_the_deletion_is_named(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, "report")
    webhook = f"refuses-{namespace}"
    cluster.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": webhook},
            "webhooks": [
                {
                    "name": "guard.example.com",
                    "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "rules": [
                        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["jobs"]}
                    ],
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "timeoutSeconds": 1,
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }
    )
    try:
        ended = command_line.call("delete", "report", "--timeout", "10")
        assert ended.code == 125, ended
        assert "webhook-refuses-delete" in ended.stderr and "guard.example.com" in ended.stderr, ended
        assert names(cluster.jobs(namespace)) == ["report"]
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", webhook)
