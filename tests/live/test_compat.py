"""The classes of cncf.kubernetes under our import, and what our operators got for them, on the real cluster."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import kubernetes_client
from one_node_cluster import IMAGE, OneNodeCluster, names
from plain_job import job
from task_run import run_task
from unique_k8s_job import K8sJobPatchOperator, NameTakenError, UniqueK8sJobOperator
from unique_k8s_job.compat import KubernetesDeleteJobOperator, KubernetesJobOperator
from unique_k8s_job.exceptions import ConfigurationError
from waiting import until


def secret(name: str, **values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def test_secrets_config_maps_templates_and_the_choice_of_logs_work_as_in_the_provider(
    cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(
        secret("database", password="s3cret"),
        secret("all", FIRST="1"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"MODE": "nightly"}},
        namespace=namespace,
    )
    lines: list[str] = []
    side = {"name": "side", "image": IMAGE, "command": ["sh", "-c", "echo side"]}
    main = {"name": "main", "image": "local.test/absent:1", "command": ["false"]}
    script = '[ "$PASSWORD$FIRST$MODE$POD" ] && [ "$(cat /keys/password)" = "$PASSWORD" ] && echo "$MODE $FIRST ${POD%%-*}" && echo 7 > /airflow/xcom/return.json'
    value = run_task(
        cluster,
        namespace,
        dag_id="etl",
        task_id="work",
        operator=KubernetesJobOperator,
        script=script,
        name="train",
        do_xcom_push=True,
        unwrap_single=False,
        full_job_spec={"spec": {"backoffLimit": 0, "template": {"spec": {"containers": [side, main]}}}},
        pod_template_dict={"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}},
        base_container_name="main",
        secrets=[
            {"deploy_type": "env", "deploy_target": "PASSWORD", "secret": "database", "key": "password"},
            {"deploy_type": "env", "secret": "all"},
            {"deploy_type": "volume", "deploy_target": "/keys", "secret": "database"},
        ],
        configmaps=["settings"],
        pod_runtime_info_envs=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        wait_until_job_complete=True,
        progress_callback=lines.append,
        retries=0,
    )
    assert value == [7]
    assert [line for line in lines if "side" in line.split()] == [], "only the base container was asked for"
    assert [line for line in lines if line.endswith("nightly 1 job")], lines
    (made,) = cluster.jobs(namespace)
    assert made["metadata"]["name"].startswith("job-train-")
    assert [item["name"] for item in made["spec"]["template"]["spec"]["containers"]] == ["main", "side"]


def test_hook_of_the_installation_changes_the_pods_and_a_retry_takes_over_their_job(
    cluster: OneNodeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def hook(pod: Any) -> None:
        tries.append(pod.metadata.labels["try_number"])
        pod.metadata.labels["platform"] = f"of-try-{tries[-1]}"
        pod.spec.tolerations = [{"key": "gpu", "operator": "Exists"}]
        pod.spec.containers.insert(0, client.V1Container(name="side", image=IMAGE, command=["true"]))

    client = kubernetes_client.install(monkeypatch)
    monkeypatch.setenv("AIRFLOW__UNIQUE_K8S_JOB__DEPLOYMENT_ID", namespace)
    monkeypatch.setattr("airflow.settings.pod_mutation_hook", hook)
    arguments: dict[str, Any] = {
        "dag_id": "etl",
        "task_id": "work",
        "operator": KubernetesJobOperator,
        "script": "sleep 3; echo 7 > /airflow/xcom/return.json",
        "xcom": "termination-message",
        "backoff_limit": 0,
        "retries": 1,
    }
    # The first try leaves its Job behind, as one whose worker has died.
    made = run_task(cluster, namespace, max_tries=1, **arguments)
    assert run_task(cluster, namespace, try_number=2, wait_until_job_complete=True, **arguments) == 7
    (left,) = cluster.jobs(namespace)
    assert tries == ["1", "2"] and left["metadata"]["uid"] == made["job"]["uid"]
    (pod,) = cluster.find("pods", namespace)
    assert pod["metadata"]["labels"]["platform"] == "of-try-1"
    assert {"key": "gpu", "operator": "Exists"} in pod["spec"]["tolerations"]
    assert [item["name"] for item in pod["spec"]["containers"]] == ["side", "base"]


def test_task_that_does_not_wait_is_green_with_its_job_which_another_task_deletes_after_its_end(
    cluster: OneNodeCluster, namespace: str
) -> None:
    done = run_task(
        cluster,
        namespace,
        dag_id="etl",
        task_id="work",
        operator=KubernetesJobOperator,
        script="sleep 3",
        ttl_seconds_after_finished=900,
    )
    assert done["state"] == "made"
    (made,) = cluster.jobs(namespace)
    assert made["metadata"]["name"] == done["job"]["name"] and made["spec"]["ttlSecondsAfterFinished"] == 900
    deleted = KubernetesDeleteJobOperator(
        task_id="delete",
        name=done["job"]["name"],
        namespace=namespace,
        config_file=str(cluster.kubeconfig()),
        wait_for_completion=True,
        delete_on_status="Complete",
    ).execute({})
    assert deleted["deleted"] == [done["job"]["name"]] and names(cluster.jobs(namespace)) == []


def test_job_is_suspended_resumed_and_scaled_by_its_uid_and_nothing_else_of_it_changes(
    cluster: OneNodeCluster, namespace: str
) -> None:
    def patch(**change: Any) -> dict[str, Any]:
        arguments = {"name": "train", "namespace": namespace, "config_file": str(cluster.kubeconfig()), **change}
        return K8sJobPatchOperator(task_id="patch", **arguments).execute({})

    cluster.apply(job("train", "sleep 600", team="a"), namespace=namespace)
    before = cluster.wait_until_running(namespace)
    suspended = patch(suspend=True)
    assert (suspended["changed"], suspended["suspended"], suspended["active"]) == (True, True, 0)
    until("no Pod", lambda: cluster.find("pods", namespace) == [], seconds=60)
    assert not patch(suspend=True)["changed"]
    resumed = patch(suspend=False, parallelism=2, body={"metadata": {"annotations": {"why": "resumed"}}})
    assert (resumed["suspended"], resumed["parallelism"], resumed["finished"]) == (False, 2, False)
    (now,) = cluster.jobs(namespace)
    assert now["metadata"]["uid"] == resumed["job"]["uid"] and now["metadata"]["annotations"]["why"] == "resumed"
    assert now["spec"]["template"] == (before if "template" in before.get("spec", {}) else now)["spec"]["template"]
    assert now["metadata"]["labels"]["team"] == "a"
    with pytest.raises(NameTakenError, match="another Job"):
        patch(suspend=True, uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(ConfigurationError, match="does not exist"):
        patch(name="absent", suspend=True)


class AirflowTaskTimeout(BaseException):
    """Airflow's own, whose module differs between its versions."""


class Impatient(UniqueK8sJobOperator):
    """Its time is over with the first line of the log."""

    def write_log(self, event: Any, log: Any) -> None:
        raise AirflowTaskTimeout


@pytest.mark.parametrize("on_stop", ["leave", "delete"])
def test_job_outlives_the_time_of_its_task_only_if_it_is_wanted(
    cluster: OneNodeCluster, namespace: str, on_stop: str
) -> None:
    with pytest.raises(AirflowTaskTimeout):
        run_task(
            cluster,
            namespace,
            dag_id="etl",
            task_id="work",
            operator=Impatient,
            script="echo line; exec sleep 600",
            on_stop=on_stop,
            termination_grace_period=0,
            retries=0,
        )
    left = cluster.jobs(namespace)
    assert len(left) == (on_stop == "leave")
    assert all(job["status"]["active"] == 1 for job in left)
