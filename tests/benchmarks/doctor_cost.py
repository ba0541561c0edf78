"""What `unique-k8s-job doctor -A --json` costs over many Jobs: wall time and the most memory it ever had."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time

from command_line import PROGRAM
from one_node_cluster import IMAGE, OneNodeCluster

JOBS = 5000
#: So many objects in one call of kubectl.
_BATCH = 1000
_RUNS = 5


def measure(cluster: OneNodeCluster) -> list[tuple[str, str]]:
    with cluster.namespace("bench-doctor") as namespace:
        _create(cluster, namespace)
        runs = [_run(cluster) for _ in range(_RUNS)]
    seconds = [run[0] for run in runs]
    return [
        (f"doctor -A --json, {JOBS} Jobs", f"{statistics.median(seconds):.2f} s (to {max(seconds):.2f} s)"),
        (f"doctor -A --json, {JOBS} Jobs, memory at most", f"{max(run[1] for run in runs):.0f} MiB"),
    ]


def _create(cluster: OneNodeCluster, namespace: str) -> None:
    """Suspended Jobs, with a manifest of the size that people write: each has a finding, so each is kept."""
    container = {
        "name": "base",
        "image": IMAGE,
        "command": ["sh", "-c", "true"],
        "env": [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(20)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    for first in range(0, JOBS, _BATCH):
        jobs = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": f"job-{number}"},
                "spec": {"suspend": True, "template": template},
            }
            for number in range(first, first + _BATCH)
        ]
        listed = {"apiVersion": "v1", "kind": "List", "items": jobs}
        command = [str(cluster.program), "kubectl", "--name", cluster.name, "--", "create", "-n", namespace, "-f", "-"]
        subprocess.run(command, input=json.dumps(listed), text=True, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _run(cluster: OneNodeCluster) -> tuple[float, float]:
    """Seconds, and MiB of resident memory at most, of one call."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig())}
    began = time.monotonic()
    process = subprocess.Popen(
        [str(PROGRAM), "doctor", "-A", "--json"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    assert os.waitstatus_to_exitcode(status) in (0, 1), report
    assert report["jobs"] >= JOBS, f"{report['jobs']} Jobs were looked at"
    return took, _mib(usage)


def _mib(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024
