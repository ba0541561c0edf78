"""What keeps a Job from starting is said while it happens, with the reason; what cannot heal fails soon."""

from __future__ import annotations

import json
import time

import pytest

from command_line import CommandLine, container, finish, job_spec
from one_node_cluster import IMAGE, OneNodeCluster
from waiting import until


def test_image_that_may_never_be_pulled_fails_within_30_s(command_line: CommandLine) -> None:
    began = time.monotonic()
    absent = container("base", "true", image="local.test/absent:1", imagePullPolicy="Never")
    ended = command_line.manifest(job_spec(absent))
    assert ended.code not in (0, 124), ended
    assert "ErrImageNeverPull" in ended.stderr and "local.test/absent:1" in ended.stderr, ended
    assert time.monotonic() - began < 30, "the promise is 30 s"


def test_invalid_image_name_fails_within_30_s(command_line: CommandLine) -> None:
    began = time.monotonic()
    ended = command_line.manifest(job_spec(container("base", "true", image="UPPER/Case:latest")))
    assert ended.code not in (0, 124), ended
    assert "InvalidImageName" in ended.stderr, ended
    assert time.monotonic() - began < 30, "the promise is 30 s"


@pytest.mark.parametrize(
    ("case", "fields", "reason"),
    [
        ("config_map", {"envFrom": [{"configMapRef": {"name": "absent-settings"}}]}, "absent-settings"),
        ("pull", {"image": "registry.invalid/absent:1", "imagePullPolicy": "Always"}, "registry.invalid/absent:1"),
        ("cpu", {"resources": {"requests": {"cpu": "1000"}}}, "No node is large enough for 1000 cpu"),
        ("volume", {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, "ConfigMap `"),
        ("account", {}, "Service account `"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_job_that_cannot_start_fails_after_the_startup_timeout_with_the_reason(
    command_line: CommandLine, case: str, fields: dict[str, object], reason: str
) -> None:
    volumes = [{"name": "v", "configMap": {"name": "absent-settings"}}]
    pod = {"volume": {"volumes": volumes}, "account": {"serviceAccountName": "robot"}}.get(case, {})
    spec = job_spec(container("base", "true", **fields), pod=pod)
    ended = command_line.manifest(spec, "--startup-timeout", "8", "--name", "a-name-of-22-letters-x")
    assert ended.code not in (0, 124), ended
    head = next(line for line in ended.stderr.splitlines() if "did not start: " in line)
    assert reason in head[: 120 + len("error: ")], ended


def test_init_container_that_waits_for_ever_ends_at_the_init_timeout(command_line: CommandLine) -> None:
    waits = container("wait-for-db", "sleep 1000")
    spec = job_spec(container("base", "true"), pod={"initContainers": [waits]})
    ended = command_line.manifest(spec, "--init-timeout", "5", "--startup-timeout", "5")
    assert ended.code == 125, ended
    assert "did not start: Init container `wait-for-db` runs and does not end" in ended.stderr, ended
    assert "init_timeout_seconds" in ended.stderr, ended


def test_startup_failure_deletes_the_job(command_line: CommandLine, cluster: OneNodeCluster, namespace: str) -> None:
    call = command_line.start(
        "--manifest",
        command_line.write(job_spec(container("base", "true", resources={"requests": {"cpu": "1000"}}))),
        "--startup-timeout",
        "5",
    )
    job = cluster.the_job(namespace)["metadata"]["name"]
    finish(call)
    cluster.wait_until_gone(namespace, job)


def test_pod_quota_is_said_and_the_job_starts_when_it_is_lifted(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods"},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.apply(quota, namespace=namespace)
    until(
        "the quota in force",
        lambda: cluster.find("resourcequotas", namespace)[0].get("status", {}).get("hard"),
        seconds=20,
    )
    call = command_line.start_shell("echo at last")
    assert call.stderr is not None
    said = ""
    for line in call.stderr:  # ends at the latest when the call does
        said += line
        if "exceeded quota" in line:
            break
    else:
        raise AssertionError(f"the quota was not mentioned:\n{said}")
    cluster.kubectl("delete", "resourcequota", "no-pods", "-n", namespace)
    ended = finish(call)
    assert ended.code == 0, ended
    assert ended.stdout == "at last\n", ended


def test_suspended_job_is_said_and_runs_once_resumed(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start(
        "--manifest",
        command_line.write(job_spec(container("base", "echo awake"), suspend=True)),
        "--startup-timeout",
        "10",
    )
    job = cluster.the_job(namespace)["metadata"]["name"]
    assert call.stderr is not None
    said = ""
    for line in call.stderr:
        said += line
        if "suspended" in line.lower():
            break
    else:
        raise AssertionError(f"the suspension was not mentioned:\n{said}")
    cluster.kubectl("patch", "job", job, "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    ended = finish(call)
    assert ended.code == 0, ended
    assert ended.stdout == "awake\n", ended


def test_job_of_parallelism_0_is_said_to_be_paused_and_runs_whenever_it_is_raised(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    script = container("base", "trap 'exit 1' TERM; echo at work; sleep 1000 & wait")
    call = command_line.start(
        "--manifest",
        command_line.write(job_spec(script, parallelism=0, backoffLimit=6)),
        "--startup-timeout",
        "5",
    )
    job = cluster.the_job(namespace)["metadata"]["name"]
    said: list[str] = []

    def read_until(words: str) -> None:
        assert call.stderr is not None
        for line in call.stderr:
            said.append(line)
            if words in line:
                return
        raise AssertionError(f"{words!r} was not said:\n{''.join(said)}")

    def scale(parallelism: int) -> None:
        patch = json.dumps({"spec": {"parallelism": parallelism}})
        cluster.kubectl("patch", "job", job, "-n", namespace, "--type=merge", "-p", patch)

    read_until("is paused: its parallelism is 0")
    time.sleep(7)  # longer than the startup timeout
    assert call.poll() is None, said
    scale(1)
    read_until("is resumed: its parallelism is 1")
    read_until("Container `base`")
    cluster.wait_until_running(namespace)
    scale(0)
    read_until("is paused: its parallelism is 0")
    until("no Pod", lambda: not cluster.find("pods", namespace), seconds=60)
    assert call.poll() is None, said
    scale(1)
    read_until("is resumed: its parallelism is 1")
    cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "job", job, "-n", namespace, "--wait=false")
    ended = finish(call)
    assert ended.code == 1 and "at work" in ended.stdout, ended
    paused = sum("parallelism-zero" in line for line in said)
    assert paused == 2, f"once each time: {''.join(said)}"


def test_states_on_the_way_are_said_once_each(command_line: CommandLine) -> None:
    ended = command_line.shell("sleep 2", "--image", IMAGE)
    said = ended.stderr.lower()
    for state in ("scheduled", "started"):
        assert state in said, ended
