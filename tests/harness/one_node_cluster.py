"""The project's own one-node Kubernetes, as Python code uses it: bring it up, ask it, break it.

Promise: every call ends with what it says or raises with the program's own words; nothing here skips where the cluster
is missing. The cluster itself is the Go program in `tests/cluster`; this is a thin front of its command line.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from waiting import until

IMAGE = "local.test/busybox:1"
"""A busybox that every node of ours has; no registry is asked."""

CHECKOUT = Path(__file__).resolve().parents[2]

Object = dict[str, Any]


class CommandFailed(RuntimeError):
    """A command of the cluster or of kubectl failed. The message has the command and what it wrote."""


class OneNodeCluster:
    """One named cluster. `up` and `down` may be called in any state."""

    def __init__(self, name: str, program: Path) -> None:
        self.name = name
        self.program = program

    @classmethod
    def existing(cls, name: str) -> OneNodeCluster | None:
        """The cluster of this name with the program that started it, or None where there is none."""
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        try:
            record = json.loads((state / "unique-k8s-job" / "clusters" / name / "cluster.json").read_text())
        except FileNotFoundError:
            return None
        return cls(name, Path(record["binary"]))

    def up(self) -> None:
        self._run("up", seconds=240)

    def down(self) -> None:
        self._run("down", seconds=120)

    def kubeconfig(self, user: str = "admin") -> Path:
        """The kubeconfig file of `admin`, or of `airflow` and `alice`, who have no rights by themselves."""
        return Path(self._run("kubeconfig", "--user", user).strip())

    # --- break it --------------------------------------------------------------------------------------------------

    def kill(self, component: str) -> None:
        """SIGKILL for one component (`kube-apiserver`, `kubelet`, ...)."""
        self._run("kill", component)

    def start(self, component: str, *flags: str) -> None:
        """Start a killed component, with more flags for this start only, and wait until it is healthy."""
        self._run("start", component, *(f"--arg={flag}" for flag in flags), seconds=120)

    @contextmanager
    def paused(self, *components: str) -> Iterator[None]:
        """SIGSTOP for these components (`link` is everything between host and cluster), SIGCONT at the end."""
        try:
            for component in components:
                self._run("pause", component)
            yield
        finally:
            for component in reversed(components):
                self._run("resume", component)

    def network_namespace(self) -> Path:
        """Where the node and its containers are: what is served there on localhost, the container runtime reaches."""
        record = json.loads((self.kubeconfig().parents[1] / "cluster.json").read_text())
        return Path("/run/netns") / f"ukj-{record['number']}"

    # --- ask it ----------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, user: str = "admin", stdin: str | None = None) -> str:
        return self._run("kubectl", "--user", user, "--", *arguments, stdin=stdin)

    def apply(self, *objects: Object | str, namespace: str | None = None) -> None:
        """Create or change objects, given as dicts or as YAML text."""
        place = ("-n", namespace) if namespace else ()
        for thing in objects:
            text = thing if isinstance(thing, str) else json.dumps(thing)
            self.kubectl("apply", *place, "-f", "-", stdin=text)

    def find(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        """All objects of a kind in a namespace, oldest first."""
        arguments = ["get", kind, "-n", namespace, "-o", "json"]
        if selector:
            arguments += ["-l", selector]
        items: list[Object] = json.loads(self.kubectl(*arguments))["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def jobs(self, namespace: str) -> list[Object]:
        return self.find("jobs.batch", namespace)

    def the_job(self, namespace: str, *, seconds: float = 60) -> Object:
        """Wait for the one Job of a namespace. More than one is an error."""

        def one() -> Object | None:
            found = self.jobs(namespace)
            if len(found) > 1:
                raise AssertionError(f"{len(found)} Jobs where one is right: {names(found)}")
            return found[0] if found else None

        return until(f"a Job in {namespace}", one, seconds=seconds)

    def wait_until_running(self, namespace: str, *, seconds: float = 60) -> Object:
        """Wait until a Pod of the namespace runs; that Pod."""

        def running() -> Object | None:
            pods = self.find("pods", namespace)
            return next((pod for pod in pods if pod.get("status", {}).get("phase") == "Running"), None)

        return until(
            f"a running Pod in {namespace}",
            running,
            seconds=seconds,
            seen=lambda: self.kubectl("get", "jobs,pods", "-n", namespace),
        )

    def wait_until_gone(self, namespace: str, job_name: str, *, seconds: float = 60) -> None:
        """Wait until the Job and its Pods are gone from the API."""

        def gone() -> bool:
            pods = self.find("pods", namespace, f"batch.kubernetes.io/job-name={job_name}")
            return not pods and job_name not in names(self.jobs(namespace))

        until(
            f"Job {namespace}/{job_name} and its Pods gone",
            gone,
            seconds=seconds,
            seen=lambda: self.kubectl("get", "jobs,pods", "-n", namespace, "-o", "wide"),
        )

    @contextmanager
    def namespace(self, prefix: str) -> Iterator[str]:
        """A new namespace, ready for Pods, deleted at the end without waiting."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", name)
        until(
            f"service account default in {name}",
            lambda: self.kubectl("get", "serviceaccounts", "-n", name, "-o", "name").strip(),
            seconds=30,
        )
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def allow(self, namespace: str, rules: list[Object], user: str = "airflow") -> None:
        """Bind a Role of exactly these rules to a user."""
        self.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": f"test-{user}"},
                "rules": rules,
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"test-{user}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"test-{user}"},
                "subjects": [{"kind": "User", "name": user}],
            },
            namespace=namespace,
        )

    def _run(self, verb: str, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        command = [str(self.program), verb, "--name", self.name, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False, env=self._environment()
        )
        if done.returncode:
            raise CommandFailed(f"`{' '.join(command)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @staticmethod
    def _environment() -> Mapping[str, str]:
        # A KUBECONFIG of the caller's must not lead kubectl to a cluster that is not ours.
        return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}


def name_for_tests() -> str:
    """The cluster that tests use: `test`, or what UNIQUE_K8S_JOB_CLUSTER names."""
    return os.environ.get("UNIQUE_K8S_JOB_CLUSTER", "test")


def names(objects: list[Object]) -> list[str]:
    """The names of objects, in their order."""
    return [str(item["metadata"]["name"]) for item in objects]


def build() -> Path:
    """The path of the cluster program, built from this checkout where it is not built yet (minutes, with progress)."""
    done = subprocess.run(
        [str(CHECKOUT / "tests" / "cluster" / "build")], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandFailed("the cluster program could not be built; see above")
    return Path(done.stdout.strip())
