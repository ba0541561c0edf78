"""What waiting costs: N suspended Jobs, N triggers in one event loop, then all Jobs completed at a steady pace.

Measured for our trigger, and for that of cncf.kubernetes where an interpreter that has it is named: processor and
memory of the process while nothing happens, how late its loop is while Jobs complete, its requests by the audit log,
and the time from the answer to the write that completes a Job to the trigger's event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

import httpx
from rich.console import Console
from rich.table import Table

from audit import Audit, audited_cluster
from native_run import request
from raw_api import asynchronous_api
from roles import SHIPPED

PROCESS = Path(__file__).with_name("waiting_process.py")
#: Seconds after the start of the triggers before anything is measured.
SETTLE = 15
#: Seconds of waiting that are measured; each watch is renewed once in them.
REST = 60
#: Jobs completed a second.
PACE = 200
#: Requests that create Jobs at once.
AT_ONCE = 16
#: The cncf trigger is not asked to do more.
MOST_OF_PEER = 1000


@dataclass(frozen=True)
class Cost:
    """One row of the table."""

    kind: str
    jobs: int
    processor: float
    memory: int
    late: list[float]
    requests: str
    delays: list[float]
    right: int


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all is not above; values are sorted."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


class Process:
    """The process that waits."""

    def __init__(self, interpreter: str, kind: str, jobs: Path, kubeconfig: Path) -> None:
        command = [interpreter, str(PROCESS), kind, str(jobs), str(kubeconfig)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def order(self, text: str) -> dict[str, Any]:
        """Give an order, and wait for its answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the process was started with pipes")
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        # A library that prints a line of its own does not speak for the process.
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"the waiting process ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def suspended_jobs(namespace: str, count: int) -> list[dict[str, Any]]:
    """Jobs as our operator makes them, each of another task, suspended."""
    from unique_k8s_job import _core

    jobs = []
    for _ in range(count):
        job = json.loads(_core.assemble(request(namespace, "true", suspend=True)))
        jobs.append(job)
    return jobs


async def create(kubeconfig: Path, namespace: str, jobs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Store the Jobs; what identifies each."""
    free = asyncio.Semaphore(AT_ONCE)
    async with asynchronous_api(kubeconfig) as api:

        async def one(job: dict[str, Any]) -> dict[str, str]:
            async with free:
                answer = await api.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", json=job)
            answer.raise_for_status()
            metadata = answer.json()["metadata"]
            owner = metadata["annotations"]["unique-k8s-job/owner"]
            return {"namespace": namespace, "name": metadata["name"], "uid": metadata["uid"], "owner": owner}

        return await asyncio.gather(*(one(job) for job in jobs))


async def complete(kubeconfig: Path, jobs: list[dict[str, str]]) -> dict[str, float]:
    """Complete all Jobs, so many a second; when each write was answered."""
    answered: dict[str, float] = {}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [
        {"type": kind, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    # No Pod has run, so none is counted: a Pod that nobody saw would be looked for.
    status = {"status": {"startTime": now, "completionTime": now, "conditions": conditions}}
    async with asynchronous_api(kubeconfig) as api:

        async def one(job: dict[str, str]) -> None:
            path = f"/apis/batch/v1/namespaces/{job['namespace']}/jobs/{job['name']}/status"
            headers = {"Content-Type": "application/merge-patch+json"}
            answer = await api.patch(path, content=json.dumps(status), headers=headers)
            answered[job["name"]] = time.monotonic()
            answer.raise_for_status()

        began = time.monotonic()
        writes = []
        for number, job in enumerate(jobs):
            await asyncio.sleep(max(0.0, began + number / PACE - time.monotonic()))
            writes.append(asyncio.create_task(one(job)))
        await asyncio.gather(*writes)
    return answered


def measure(audit: Audit, interpreter: str, kind: str, count: int) -> Cost:
    """Measure one kind of trigger with so many Jobs, in a namespace of their own."""
    cluster = audit.cluster
    with cluster.namespace("waiting") as namespace, tempfile.TemporaryDirectory() as folder:
        cluster.apply(SHIPPED, namespace=namespace)
        if kind == "cncf":
            cluster.allow(namespace, [{"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]}])
        admin, user = cluster.kubeconfig(), cluster.kubeconfig("airflow")
        jobs = asyncio.run(create(admin, namespace, suspended_jobs(namespace, count)))
        file = Path(folder) / "jobs.json"
        file.write_text(json.dumps(jobs))
        process = Process(interpreter, kind, file, user)
        try:
            process.order("begin")
            process.order(f"rest {SETTLE}")
            rest = process.order(f"rest {REST}")
            process.order("beat")
            requests = audit.requests("airflow", namespace)
            answered = asyncio.run(complete(admin, jobs))
            events: dict[str, tuple[float, str]] = process.order("events 120")["events"]
            late = process.order("end")["late"]
        finally:
            process.end()
        delays = sorted(events[name][0] - at for name, at in answered.items() if name in events)
        wrong = [state for _, state in events.values() if state not in ("succeeded", "success")]
        if wrong:
            print(f"{len(wrong)} of {count} {kind} triggers ended wrongly, such as: {wrong[0]}", file=sys.stderr)
        right = len(events) - len(wrong)
        seen = ", ".join(f"{number} {what}" for what, number in requests.most_common())
        return Cost(kind, count, rest["processor"], rest["memory"], late, seen, delays, right)


def table(costs: list[Cost]) -> Table:
    """All rows."""
    shown = Table(title=f"N Jobs wait for {REST} s, then complete at {PACE}/s")
    for column in (
        "trigger",
        "Jobs",
        "processor, of a core",
        "memory",
        "loop late, p99 / max",
        "requests until then",
        "Complete -> event, median / p99",
        "right",
    ):
        shown.add_column(column)
    for cost in costs:
        shown.add_row(
            cost.kind,
            f"{cost.jobs:,}",
            f"{cost.processor:.3%}",
            f"{cost.memory / 2**20:.1f} MiB",
            f"{percentile(cost.late, 0.99) * 1000:.1f} / {max(cost.late, default=0) * 1000:.0f} ms",
            cost.requests,
            f"{percentile(cost.delays, 0.5) * 1000:.1f} / {percentile(cost.delays, 0.99) * 1000:.0f} ms",
            f"{cost.right:,}",
        )
    return shown


def plot(costs: list[Cost], file: Path) -> None:
    """Processor, memory and delay by the number of Jobs, into an SVG file."""
    from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]

    pyplot.switch_backend("svg")
    pyplot.rcParams["svg.fonttype"] = "none"

    panels: list[tuple[str, Any]] = [
        ("processor while waiting, % of a core", lambda cost: cost.processor * 100),
        ("memory, MiB", lambda cost: cost.memory / 2**20),
        ("Complete -> event, median, ms", lambda cost: statistics.median(cost.delays) * 1000),
    ]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(12, 3.6), layout="constrained")
    for axis, (title, value) in zip(axes, panels, strict=True):
        for kind in dict.fromkeys(cost.kind for cost in costs):
            points = [(cost.jobs, max(value(cost), 1e-3)) for cost in costs if cost.kind == kind and cost.delays]
            axis.loglog(*zip(*points, strict=True), marker="o", label=kind)
        axis.set(title=title, xlabel="Jobs waiting")
        axis.minorticks_off()
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer", metavar="PYTHON", help="interpreter of an environment with the cncf.kubernetes provider"
    )
    parser.add_argument("--jobs", default="1,100,1000,10000", help="numbers of Jobs, with commas")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="also draw it (needs matplotlib)")
    wanted = parser.parse_args()
    costs: list[Cost] = []
    console = Console(width=180)
    with audited_cluster("bench-waiting") as audit:
        for count in map(int, wanted.jobs.split(",")):
            kinds = [("ours", sys.executable)]
            if wanted.peer and count <= MOST_OF_PEER:
                kinds.append(("cncf", wanted.peer))
            for kind, interpreter in kinds:
                try:
                    costs.append(measure(audit, interpreter, kind, count))
                except httpx.HTTPStatusError as error:
                    raise SystemExit(f"{error}: {error.response.text}") from error
                console.print(table(costs[-1:]))
    console.print(table(costs))
    if wanted.plot:
        plot(costs, wanted.plot)


if __name__ == "__main__":
    main()
