"""Labels and annotations by which people find Jobs and Pods: what the operator writes, and every command of docs/labels.md."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from command_line import CommandLine, finish
from one_node_cluster import Object, OneNodeCluster, names
from task_run import run_task

PAGE = (Path(__file__).parents[2] / "docs/labels.md").read_text()
RUN = "scheduled__2026-01-01T00:00:00+00:00"
RUN_LABEL = "scheduled__2026-01-01T0000000000-b36726f5d"


def texts(made: Object, kind: str) -> dict[str, str]:
    found: dict[str, str] = made["metadata"].get(kind, {})
    return found


def test_job_and_pods_have_the_labels_of_the_task_and_the_whole_ids_as_annotations(
    cluster: OneNodeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW__UNIQUE_K8S_JOB__DEFAULT_LABELS", json.dumps({"team": "platform", "owner": "{{ dag_owner }}"})
    )
    monkeypatch.setenv("AIRFLOW__UNIQUE_K8S_JOB__DEFAULT_ANNOTATIONS", json.dumps({"example.com/run": "{{ run_id }}"}))
    run_task(
        cluster,
        namespace,
        dag_id="größe_report",
        task_id="load",
        run_id=RUN,
        map_index=2,
        more={"dag_owner": "data team"},
        labels={"team": "data"},
    )
    (job,) = cluster.jobs(namespace)
    (pod,) = cluster.find("pods", namespace)
    for made in (job, pod):
        labels, annotations = texts(made, "labels"), texts(made, "annotations")
        assert {key: labels[key] for key in ("dag_id", "task_id", "run_id", "map_index", "try_number")} == {
            "dag_id": "gre_report-342394a20",
            "task_id": "load",
            "run_id": RUN_LABEL,
            "map_index": "2",
            "try_number": "1",
        }
        assert labels["team"] == "data", "the user's label stays"
        assert labels["owner"].startswith("datateam-"), labels
        ids = {key: annotations[f"unique-k8s-job/{key}"] for key in ("dag-id", "task-id", "run-id", "map-index")}
        assert ids == {"dag-id": "größe_report", "task-id": "load", "run-id": RUN, "map-index": "2"}
        assert annotations["example.com/run"] == RUN
        assert not {"airflow_version", "kubernetes_pod_operator"} & set(labels), labels
    assert texts(job, "labels")["unique-k8s-job/run-id"] == RUN_LABEL
    assert "unique-k8s-job/owner" not in texts(pod, "annotations"), "a Pod knows nothing of a takeover"


def test_labels_of_the_task_are_an_option(
    cluster: OneNodeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__UNIQUE_K8S_JOB__TASK_LABEL_PREFIX", "airflow.example.com/")
    run_task(cluster, namespace, dag_id="nightly", task_id="prefixed")
    monkeypatch.setenv("AIRFLOW__UNIQUE_K8S_JOB__TASK_LABELS", "False")
    run_task(cluster, namespace, dag_id="nightly", task_id="without")
    prefixed, without = sorted(cluster.jobs(namespace), key=lambda job: str(job["metadata"]["name"]))
    assert texts(prefixed, "labels")["airflow.example.com/dag_id"] == "nightly"
    for job in (prefixed, without):
        assert "dag_id" not in texts(job, "labels")
    assert not any("dag_id" in key for key in texts(without, "labels"))


def test_label_that_kubernetes_refuses_is_refused_by_its_name_before_anything_is_made(
    cluster: OneNodeCluster, namespace: str
) -> None:
    with pytest.raises(Exception, match=re.escape("label `run`")) as refused:
        run_task(cluster, namespace, dag_id="nightly", task_id="load", run_id=RUN, labels={"run": RUN})
    text = str(refused.value)
    for part in (f'"{RUN}"', "it has `:`", "at most 63", f"`{RUN_LABEL}`"):
        assert part in text, text
    assert cluster.jobs(namespace) == []


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_answers_for_the_jobs_of_a_dag(
    cluster: OneNodeCluster, namespace: str, command_line: CommandLine
) -> None:
    run_task(cluster, namespace, dag_id="nightly", task_id="load", run_id=RUN)
    run_task(cluster, namespace, dag_id="weekly", task_id="load", run_id=RUN)
    (nightly,) = names(cluster.find("jobs", namespace, "dag_id=nightly"))
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 8
    for command in commands:
        program, *words = shlex.split(command.replace("-n etl", f"-n {namespace}"))
        if program == "kubectl":
            shown = cluster.kubectl(*words)
        else:
            ended = finish(command_line.begin(words[0], *words[1:]))
            assert ended.code == 0, ended
            shown = ended.stdout
        if "--state failed" in command:
            assert json.loads(shown)["jobs"] == [], shown
        elif "managed-by" in command:
            assert nightly in shown and "weekly" in shown, shown
        elif " logs " in command:
            assert nightly in shown and "weekly" not in shown, shown
        else:
            assert nightly in shown.replace("\n", "") or "load" in shown, shown
            assert "weekly" not in shown, shown
    policies = [yaml.safe_load(block) for block in blocks("yaml")]
    cluster.apply(*policies, namespace=namespace)
    assert len(cluster.find("networkpolicies", namespace)) == len(policies) == 1
