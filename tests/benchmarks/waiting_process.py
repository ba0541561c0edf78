"""The process that is measured while it waits: N triggers in one event loop, ours or those of cncf.kubernetes.

Reads orders from its standard input, one a line, and answers each with one line of JSON: what it is called with is in
`main`. It times its events by the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

#: A loop that wakes this often sees how late it is.
BEAT = 0.005


def memory() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def trigger(kind: str, job: dict[str, str], kubeconfig: str) -> Any:
    """A trigger that waits for this Job."""
    if kind == "ours":
        from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

        handed_over = {"job": {key: job[key] for key in ("namespace", "name", "uid")}, "owner": job["owner"]}
        connection = {"kubernetes_conn_id": None, "config_file": kubeconfig}
        return UniqueK8sJobTrigger(job=json.dumps(handed_over), connection=connection)
    # Its asynchronous hook passes over `config_file`.
    os.environ["KUBECONFIG"] = kubeconfig
    from airflow.providers.cncf.kubernetes.triggers.job import (  # type: ignore[import-not-found,unused-ignore]
        KubernetesJobTrigger,
    )

    return KubernetesJobTrigger(
        job_name=job["name"],
        job_namespace=job["namespace"],
        pod_names=[],
        pod_namespace=job["namespace"],
        base_container_name="base",
        kubernetes_conn_id=None,
        config_file=kubeconfig,
        poll_interval=10,
        get_logs=False,
    )


class Waiting:
    """All triggers, and what their events said and when."""

    def __init__(self, kind: str, jobs: list[dict[str, str]], kubeconfig: str) -> None:
        self.events: dict[str, tuple[float, str]] = {}
        self.late: list[float] = []
        self.tasks = [asyncio.create_task(self._wait(kind, job, kubeconfig)) for job in jobs]

    async def _wait(self, kind: str, job: dict[str, str], kubeconfig: str) -> None:
        try:
            async for event in trigger(kind, job, kubeconfig).run():
                payload = event.payload
                state = payload.get("outcome", payload).get("state") or payload.get("status")
                self.events[job["name"]] = (time.monotonic(), str(state))
                return
        except Exception as error:  # noqa: BLE001  # one that ends without an event is counted as wrong, and shown
            self.events[job["name"]] = (time.monotonic(), f"{type(error).__name__}: {error}")

    async def beat(self) -> None:
        """Note how late the loop is, until it is cancelled."""
        while True:
            due = time.monotonic() + BEAT
            await asyncio.sleep(BEAT)
            self.late.append(time.monotonic() - due)


async def serve(kind: str, jobs: list[dict[str, str]], kubeconfig: str) -> None:
    """Obey orders: `begin`, `rest SECONDS` (the cost of waiting), `beat` and `end` (the loop in between), `events`."""
    loop = asyncio.get_running_loop()
    before = memory()
    waiting, beat = None, None
    while order := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        answer: dict[str, Any] = {}
        if order[0] == "begin":
            waiting = Waiting(kind, jobs, kubeconfig)
        elif order[0] == "rest":
            used, began = time.process_time(), time.monotonic()
            await asyncio.sleep(float(order[1]))
            answer = {
                "processor": (time.process_time() - used) / (time.monotonic() - began),
                "memory": memory() - before,
            }
        elif order[0] == "beat" and waiting:
            waiting.late.clear()
            beat = asyncio.create_task(waiting.beat())
        elif order[0] == "end" and waiting and beat:
            beat.cancel()
            answer = {"late": sorted(waiting.late)}
        elif order[0] == "events" and waiting:
            limit = time.monotonic() + float(order[1])
            while len(waiting.events) < len(jobs) and time.monotonic() < limit:
                await asyncio.sleep(0.1)
            answer = {"events": waiting.events}
        print(json.dumps(answer), flush=True)


def silence() -> None:
    """Let no record reach the standard output, which nobody reads in the meantime. Airflow has configured it by now."""
    import structlog

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop], cache_logger_on_first_use=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["ours", "cncf"])
    parser.add_argument("jobs", type=Path, help="a file of JSON: namespace, name, uid and owner of each Job")
    parser.add_argument("kubeconfig")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    jobs = json.loads(wanted.jobs.read_text())
    # What one trigger imports is no matter of how many there are.
    trigger(wanted.kind, jobs[0], wanted.kubeconfig)
    silence()
    asyncio.run(serve(wanted.kind, jobs, wanted.kubeconfig))


if __name__ == "__main__":
    main()
