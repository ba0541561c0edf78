"""How a Job ended is the exit code; why is said in words."""

from __future__ import annotations

import re

from command_line import CommandLine, container, finish, job_spec
from one_node_cluster import OneNodeCluster, names


def test_success_is_exit_code_0_and_the_log_is_stdout(command_line: CommandLine) -> None:
    ended = command_line.shell("echo one; echo two")
    assert ended.code == 0, ended
    assert ended.stdout == "one\ntwo\n", ended


def test_exit_code_of_the_container_is_ours(command_line: CommandLine) -> None:
    ended = command_line.shell("echo before; exit 3")
    assert ended.code == 3, ended
    assert ended.stdout == "before\n", ended
    assert re.search(r"exit\w* (code )?3|code 3", ended.stderr), ended


def test_equal_calls_run_as_jobs_of_different_names(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    calls = [command_line.start_shell("true", "--name", "same") for _ in range(3)]
    for call in calls:
        ended = finish(call)
        assert ended.code == 0, ended
    found = names(cluster.jobs(namespace))
    assert len(set(found)) == 3
    assert all(name.startswith("same-") and len(name) <= 52 for name in found), found


def test_killed_for_memory_is_said_in_words(command_line: CommandLine) -> None:
    hungry = container("base", "x=a; while true; do x=$x$x; done", resources={"limits": {"memory": "24Mi"}})
    ended = command_line.manifest(job_spec(hungry))
    assert ended.code == 137, ended
    assert "OOMKilled" in ended.stderr and "memory" in ended.stderr, ended


def test_exit_code_137_says_sigkill(command_line: CommandLine) -> None:
    ended = command_line.shell("kill -9 $$; exit 137")
    assert ended.code == 137, ended
    assert "137" in ended.stderr and "SIGKILL" in ended.stderr, ended


def test_exit_code_143_says_sigterm(command_line: CommandLine) -> None:
    ended = command_line.shell("exit 143")
    assert ended.code == 143, ended
    assert "143" in ended.stderr and "SIGTERM" in ended.stderr, ended


def test_deadline_of_the_job_is_the_reason(command_line: CommandLine) -> None:
    spec = job_spec(container("base", "echo working; sleep 60"), activeDeadlineSeconds=3)
    ended = command_line.manifest(spec)
    assert ended.code not in (0, 125), ended
    assert "DeadlineExceeded" in ended.stderr, ended


def test_several_failed_pods_are_exit_code_1(command_line: CommandLine) -> None:
    spec = job_spec(container("base", "exit 5"), completions=2, parallelism=2, completionMode="Indexed", backoffLimit=1)
    ended = command_line.manifest(spec)
    assert ended.code == 1, ended
    assert "BackoffLimitExceeded" in ended.stderr, ended


def test_own_limit_in_time_deletes_the_job_and_is_exit_code_124(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start_shell("echo working; sleep 100", "--timeout", "8")
    job = cluster.the_job(namespace)["metadata"]["name"]
    ended = finish(call)
    assert ended.code == 124, ended
    cluster.wait_until_gone(namespace, job)


def test_job_deleted_by_hand_in_mid_run_is_vanished_not_failed(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start_shell("echo working; sleep 100")
    job = cluster.the_job(namespace)["metadata"]["name"]
    cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "job", job, "-n", namespace, "--wait=false", "--grace-period=1")
    ended = finish(call)
    assert ended.code == 1, ended
    assert "vanish" in ended.stderr.lower(), ended
    assert "working" in ended.stdout, ended


def test_manifest_that_is_refused_names_the_field_and_is_our_own_error(command_line: CommandLine) -> None:
    ended = command_line.manifest(job_spec(container("base", "true"), parallelism=-1))
    assert ended.code == 125, ended
    assert "spec.parallelism" in ended.stderr, ended


def test_absent_namespace_is_our_own_error_and_names_it(command_line: CommandLine) -> None:
    ended = command_line.shell("true", "--namespace", "there-is-no-such-namespace")
    assert ended.code == 125, ended
    assert "there-is-no-such-namespace" in ended.stderr, ended


def test_no_cluster_at_the_address_is_our_own_error_and_names_the_address(
    command_line: CommandLine, cluster: OneNodeCluster
) -> None:
    text = cluster.kubeconfig().read_text()
    address = re.search(r"https://[0-9.]+:\d+", text)
    assert address
    file = command_line.folder / "nowhere.yaml"
    file.write_text(text.replace(address[0], "https://127.0.0.1:9"))
    file.chmod(0o600)
    nowhere = CommandLine(file, "default", command_line.folder)
    ended = nowhere.shell("true", seconds=180)
    assert ended.code == 125, ended
    assert "127.0.0.1:9" in ended.stderr, ended
