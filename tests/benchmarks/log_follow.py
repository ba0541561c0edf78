"""What it costs to follow a container that prints as fast as it can, ours beside others, two at once on the same Job.

Pairs: `unique-k8s-job run` and `kubectl logs -f --timestamps`; the native module, as a blocking task follows, and a bare HTTP
client, each in a process that imports nothing else (`follow_native.py`, `follow_bare.py`). Printed for each: seconds from the first line to the last one, processor seconds and most
memory of its process, lines lost, lines that came twice.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

from command_line import PROGRAM
from native_run import request
from one_node_cluster import IMAGE, OneNodeCluster
from waiting import until

LINES = 300_000
#: With its number and its newline a hundred bytes.
LINE = "x" * 90
#: Prints once everybody has had the time to follow.
SCRIPT = f"sleep 10; awk 'BEGIN {{ for (i = 1; i <= {LINES}; i++) printf \"{LINE} %08d\\n\", i }}'"
_NUMBER = re.compile(rb" (\d{8})$", re.MULTILINE)


class Measured:
    """One process whose stdout is a log."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._numbers: array[int] = array("i")
        self._most_memory = 0
        self._first = self._last = 0.0
        self._errors = b""
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := os.read(self._process.stdout.fileno(), 1 << 20):
            self._last = time.perf_counter()
            self._first = self._first or self._last
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            self._numbers.extend(map(int, _NUMBER.findall(whole + newline)))
            self._most_memory = max(self._most_memory, self._resident())

    def _resident(self) -> int:
        """The most that it had in memory so far, in KiB; what `wait4` says begins with the memory of this process."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors = self._process.stderr.read()

    def row(self) -> tuple[str, str]:
        """Wait for its end, and say what it cost."""
        _, status, usage = os.wait4(self._process.pid, 0)
        for thread in self._threads:
            thread.join()
        numbers = self._numbers
        if not numbers:
            raise AssertionError(f"{self.name} ended with {status} and no line: {self._errors.decode()[-2000:]}")
        lost, doubled = LINES - len(set(numbers)), len(numbers) - len(set(numbers))
        cost = f"processor {usage.ru_utime + usage.ru_stime:.1f} s, {self._most_memory / 1024:.0f} MiB"
        seen = f"{self._last - self._first:.1f} s, {cost}, {lost:,} lines lost, {doubled:,} twice"
        return f"log of {LINES:,} lines: {self.name}", seen


def measure(cluster: OneNodeCluster) -> list[tuple[str, str]]:
    with cluster.namespace("bench") as namespace:
        return [
            *_beside_kubectl(cluster, namespace),
            *_beside_a_bare_client(cluster, namespace),
        ]


def _beside_kubectl(cluster: OneNodeCluster, namespace: str) -> list[tuple[str, str]]:
    kubeconfig = cluster.kubeconfig()
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    run = [str(PROGRAM), "run", "-n", namespace, "--name", "chatty", "--image", IMAGE, "--", "sh", "-c", SCRIPT]
    ours = Measured("unique-k8s-job run", run, environment)
    pod = cluster.wait_until_running(namespace)["metadata"]["name"]
    kubectl = [str(cluster.program), "kubectl", "--name", cluster.name, "--"]
    theirs = Measured(
        "kubectl logs -f --timestamps", [*kubectl, "logs", "-f", "--timestamps", "-n", namespace, pod], environment
    )
    return [ours.row(), theirs.row()]


def _beside_a_bare_client(cluster: OneNodeCluster, namespace: str) -> list[tuple[str, str]]:
    order = json.dumps(request(namespace, SCRIPT))
    native, bare_client = (str(Path(__file__).with_name(f"follow_{name}.py")) for name in ("native", "bare"))
    kubeconfig = str(cluster.kubeconfig())
    before = {pod["metadata"]["name"] for pod in cluster.find("pods", namespace)}
    ours = Measured("the native module", [sys.executable, native, kubeconfig, order], dict(os.environ))

    def running() -> str | None:
        pods = [pod for pod in cluster.find("pods", namespace) if pod["metadata"]["name"] not in before]
        return next((pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"), None)

    pod = until("the second Job's Pod runs", running, seconds=60)
    bare = Measured("a bare HTTP client", [sys.executable, bare_client, kubeconfig, namespace, pod], dict(os.environ))
    return [ours.row(), bare.row()]
