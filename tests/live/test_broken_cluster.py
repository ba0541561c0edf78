"""The cluster breaks while a Job prints 20,000 lines: none is lost, none comes twice, the outcome is right."""

from __future__ import annotations

import threading

import pytest

import numbered_lines
from command_line import CommandLine, finish
from one_node_cluster import OneNodeCluster

pytestmark = pytest.mark.breaks_the_cluster

LINES = 20_000


def restart(cluster: OneNodeCluster, component: str) -> None:
    """SIGKILL, and the component again."""
    cluster.kill(component)
    cluster.start(component)


@pytest.mark.parametrize("component", ["kube-apiserver", "kubelet"])
def test_component_killed_and_restarted_loses_and_doubles_no_line(
    command_line: CommandLine, cluster: OneNodeCluster, component: str
) -> None:
    call = command_line.start_shell(numbered_lines.script(LINES, seconds=20))
    assert call.stdout is not None and call.stderr is not None
    # Both pipes are read all the time: a full one would stop the program that is tested.
    said: list[str] = []
    errors = threading.Thread(target=lambda: said.extend(call.stderr or ()), daemon=True)
    errors.start()
    log: list[str] = []
    breaker: threading.Thread | None = None
    for line in call.stdout:
        log.append(line)
        if breaker is None and len(log) > LINES / 10:
            breaker = threading.Thread(target=restart, args=(cluster, component))
            breaker.start()
    assert breaker is not None, "the log ended before anything was broken"
    breaker.join()
    code = call.wait(60)
    errors.join()
    assert code == 0, f"exit code {code}\n{''.join(said)[-4000:]}"
    numbered_lines.check_whole("".join(log), LINES)


def test_job_whose_end_falls_into_an_outage_of_the_api_server_is_known_afterwards(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start_shell("echo working; sleep 4; exit 9")
    cluster.wait_until_running(namespace)
    cluster.kill("kube-apiserver")
    try:
        threading.Event().wait(8)  # the outage itself has a length: longer than what is left of the Job
    finally:
        cluster.start("kube-apiserver")
    ended = finish(call)
    assert ended.code == 9, ended
    assert ended.stdout == "working\n", ended
