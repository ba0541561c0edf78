"""`doctor` on clusters that are larger than anybody's patience: it prints what it finds as it finds it, sums up what is
alike, and stays small. On a small API server, since a real one takes hours to be filled.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import PROGRAM
from small_api_server import UID, SmallApiServer
from unique_k8s_job.cli.exit_codes import STUCK

JOBS = 100_000
#: MiB of resident memory at most, as the kernel counts it.
LARGEST = 150


def stuck_jobs(first: int, count: int) -> list[dict[str, Any]]:
    """Jobs whose deletion somebody's finalizer holds up."""
    return [
        {
            "metadata": {
                "namespace": "etl",
                "name": f"job-{number:06}",
                "uid": f"00000000-0000-0000-0000-{number:012}",
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-06T09:00:00Z",
                "deletionTimestamp": "2026-01-06T10:00:00Z",
                "finalizers": ["example.com/backup"],
            },
            "spec": {"template": {"spec": {"containers": [{"name": "base", "image": "i"}]}}},
            "status": {},
        }
        for number in range(first, first + count)
    ]


def lost_pods(first: int, count: int) -> list[dict[str, Any]]:
    """Pods that are deleted, on a node that is gone."""
    return [
        {
            "metadata": {
                "namespace": "etl",
                "name": f"pod-{number:05}",
                "uid": f"pod-{number:05}",
                "resourceVersion": "1",
                "labels": {UID: "uid-train", "batch.kubernetes.io/job-name": "train"},
                "creationTimestamp": "2026-01-06T09:00:00Z",
                "deletionTimestamp": "2026-01-06T10:00:00Z",
            },
            "spec": {"nodeName": "lost", "containers": [{"name": "base", "image": "i"}]},
            "status": {"phase": "Running"},
        }
        for number in range(first, first + count)
    ]


def peak_so_far(process: subprocess.Popen[bytes], known: float) -> float:
    """The peak of a process's resident memory in MiB, as long as it lives; what is `known` of it once it has ended.

    Not that of `wait4`, which counts what its parent had when it was started.
    """
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return known
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else known


def read(process: subprocess.Popen[bytes], told: Callable[[], None] = lambda: None) -> tuple[str, int, float]:
    """What a process prints, its exit code, and its peak in MiB; `told` is called as soon as there is something."""
    assert process.stdout is not None
    data, peak = bytearray(), 0.0
    while piece := os.read(process.stdout.fileno(), 1 << 20):
        told()
        data += piece
        peak = peak_so_far(process, peak)
    process.stdout.close()
    return data.decode(), process.wait(), peak


@pytest.mark.timeout(900)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_hundred_thousand_stuck_jobs_are_told_as_they_are_found_and_take_little_memory(
    as_json: bool, tmp_path: Path
) -> None:
    first_output = threading.Event()
    late: list[str] = []

    def before_page(kind: str, first: int) -> None:
        # The last page is held back until something was printed.
        if kind == "jobs" and first + 500 >= JOBS and not first_output.wait(300):
            late.append("nothing was printed before the last page was asked for")

    server = SmallApiServer()
    server.pages["jobs"] = JOBS, stuck_jobs
    server.before_page = before_page
    with server.serving():
        process = subprocess.Popen(
            [str(PROGRAM), "doctor", *(("--json",) if as_json else ())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(server.kubeconfig(tmp_path))},
        )
        shown, code, peak = read(process, first_output.set)
    print(f"{JOBS} stuck Jobs{', --json' if as_json else ''}: {peak:.0f} MiB, {len(shown) / 1e6:.1f} MB of output")
    assert not late
    assert code == STUCK, shown[-2000:]
    assert 10 < peak < LARGEST
    if as_json:
        report = json.loads(shown)
        assert (report["jobs"], report["stuck"], len(report["diagnoses"])) == (JOBS, JOBS, JOBS)
    else:
        assert "500 Jobs: etl/" in shown, "the first page shares a row"
        assert f"and {JOBS - 500} more: foreign-finalizer" in shown
        assert f"{JOBS} Jobs in namespace etl: {JOBS} stuck" in shown
        assert shown.count("\n") < 300


def test_ten_thousand_pods_of_one_job_on_a_lost_node_are_one_finding(tmp_path: Path) -> None:
    server = SmallApiServer(lasts=10_000)
    server.store({"metadata": {"name": "train"}, "spec": {"template": {}}}, "etl")
    server.pages["pods"] = 10_000, lost_pods
    with server.serving():
        process = subprocess.Popen(
            [str(PROGRAM), "doctor", "--job", "train"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(server.kubeconfig(tmp_path))},
        )
        shown, code, peak = read(process)
    print(f"10,000 Pods on a lost node: {peak:.0f} MiB, {shown.count(chr(10))} lines")
    assert code == STUCK, shown
    assert shown.count("pod-on-lost-node (blocking") == 1, shown[:3000]
    assert "10000 Pods of Job" in shown.replace("\n", " ")
    assert shown.count("\n") < 60, shown[:3000]
