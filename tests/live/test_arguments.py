"""Arguments of the operator that shape the Job, as the API server stores them and as a container sees what they do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from one_node_cluster import IMAGE, OneNodeCluster
from task_run import run_task
from unique_k8s_job.exceptions import JobFailedError
from unique_k8s_job.task.compat import moved_exception


def test_arguments_of_pod_and_container_do_what_kubernetes_says(cluster: OneNodeCluster, namespace: str) -> None:
    seen = (
        '[ "$(id -u)" = 1000 ] && [ "$(cat /shared/from-init)" = prepared ] && grep "^10.0.0.1.db$" /etc/hosts && '
        '[ ! -e /var/run/secrets/kubernetes.io ] && grep "search.example.org" /etc/resolv.conf'
    )
    shared = {"name": "shared", "mountPath": "/shared"}
    done = run_task(
        cluster,
        namespace,
        dag_id="etl",
        task_id="work",
        script=seen,
        volumes=[{"name": "shared", "emptyDir": {}}],
        volume_mounts=[shared],
        init_containers=[
            {
                "name": "prepare",
                "image": IMAGE,
                "command": ["sh", "-c", "echo prepared > /shared/from-init"],
                "volumeMounts": [shared],
            }
        ],
        security_context={"fsGroup": 1000},
        container_security_context={"runAsUser": 1000},
        host_aliases=[{"ip": "10.0.0.1", "hostnames": ["db"]}],
        hostname="worker",
        subdomain="workers",
        dnspolicy="None",
        dns_config={"nameservers": ["10.0.0.2"], "searches": ["example.org"]},
        automount_service_account_token=False,
        termination_grace_period=3,
        termination_message_policy="FallbackToLogsOnError",
        schedulername="default-scheduler",
        hostnetwork=False,
        ports=[{"containerPort": 8080}],
        pod_failure_policy={
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
        pod_replacement_policy="Failed",
        backoff_limit_per_index=0,
        max_failed_indexes=1,
        completions=2,
        completion_mode="Indexed",
        success_policy={"rules": [{"succeededCount": 2}]},
    )
    assert done["state"] == "succeeded"
    job = cluster.the_job(namespace)
    shown = cluster.kubectl(
        "get", "job", job["metadata"]["name"], "-n", namespace, "--show-managed-fields", "-o", "json"
    )
    managers = {entry["manager"] for entry in json.loads(shown)["metadata"]["managedFields"]}
    assert managers == {"unique-k8s-job", "kube-controller-manager"}, managers
    spec = job["spec"]
    assert (spec["podReplacementPolicy"], spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == ("Failed", 0, 1)
    assert spec["successPolicy"] == {"rules": [{"succeededCount": 2}]}
    pod = spec["template"]["spec"]
    assert (pod["terminationGracePeriodSeconds"], pod["hostname"], pod["subdomain"]) == (3, "worker", "workers")
    assert pod["containers"][0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]


@pytest.mark.parametrize(("codes", "skipped"), [(99, True), ([3, 99], True), (3, False)])
def test_exit_code_that_the_dag_names_skips_the_task(
    cluster: OneNodeCluster, namespace: str, codes: Any, skipped: bool
) -> None:
    expected = moved_exception("AirflowSkipException") if skipped else JobFailedError
    with pytest.raises(expected, match="exit code 99"):
        run_task(
            cluster, namespace, dag_id="etl", task_id="work", script="exit 99", backoff_limit=0, skip_on_exit_code=codes
        )
