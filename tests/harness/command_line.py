"""The command line as a user runs it: the installed program, in a process of its own, with a kubeconfig and a namespace.

Promise: every call ends within its time, with exit code, stdout (the Job's log) and stderr (what happened to it) apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_node_cluster import IMAGE

PROGRAM = Path(sys.executable).parent / "unique-k8s-job"


@dataclass(frozen=True)
class Ended:
    """One finished call: its exit code, what went to stdout (the Job's log) and to stderr (what happened to it)."""

    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-6000:]}"


class CommandLine:
    """`unique-k8s-job` for one namespace; `start` and `run` are its command `run`, `call` is any other."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self._namespace = namespace
        self.folder = folder

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.begin("run", *arguments)

    def call(self, command: str, *arguments: str, seconds: float = 120) -> Ended:
        """Another command than `run`, to its end."""
        return finish(self.begin(command, *arguments), seconds=seconds)

    def begin(self, command: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Any command, as a process."""
        return subprocess.Popen(
            [str(PROGRAM), command, "--namespace", self._namespace, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=self.folder,
        )

    def run(self, *arguments: str, seconds: float = 120) -> Ended:
        return finish(self.start(*arguments), seconds=seconds)

    def piped(self, text: str, *arguments: str, seconds: float = 120) -> Ended:
        """The command `run` with a text on its standard input."""
        process = self.begin("run", *arguments, stdin=subprocess.PIPE)
        return finish(process, text, seconds=seconds)

    def shell(self, script: str, *options: str, seconds: float = 120) -> Ended:
        """Run a shell script in one busybox container."""
        return self.run(*options, "--image", IMAGE, "--", "sh", "-c", script, seconds=seconds)

    def start_shell(self, script: str, *options: str) -> subprocess.Popen[str]:
        return self.start(*options, "--image", IMAGE, "--", "sh", "-c", script)

    def manifest(self, spec: dict[str, Any], *options: str, seconds: float = 120) -> Ended:
        """Run a whole Job, given as its spec."""
        return self.run("--manifest", self.write(spec), *options, seconds=seconds)

    def write(self, spec: dict[str, Any]) -> str:
        """A manifest file with this Job spec; its path."""
        file = self.folder / "job.yaml"
        file.write_text(json.dumps({"apiVersion": "batch/v1", "kind": "Job", "spec": spec}))
        return str(file)


def finish(process: subprocess.Popen[str], stdin: str | None = None, *, seconds: float = 120) -> Ended:
    """Wait for the end of a call; a late one is killed, and its output is in the error."""
    try:
        stdout, stderr = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"not ended after {seconds:g} s: {Ended(-9, stdout, stderr)}") from None
    return Ended(process.returncode, stdout, stderr)


def job_spec(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Job spec whose containers run a shell script each; `pod` goes into the Pod's spec."""
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, **spec.pop("pod", {})}
    return {"backoffLimit": 0, **spec, "template": {"spec": {**pod, "containers": list(containers)}}}


def container(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}
