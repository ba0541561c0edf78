"""What waiting costs in a real triggerer of Airflow: N deferred tasks, each with a suspended Job, all in one triggerer.

Beside it the same number of Jobs in one plain event loop, and the triggerer with nothing to do: Airflow's own process
asks its database all the time, however many wait. Measured are both processes of the triggerer over `REST` seconds, the
memory of the one with the triggers over what it had without any, and its requests by the audit log.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from rich.console import Console
from rich.table import Table
from waiting_cost import REST, SETTLE, measure

from airflow_server import AirflowServer, processes_of_session, state_folder
from audit import Audit, audited_cluster
from one_node_cluster import CHECKOUT
from roles import SHIPPED
from waiting import until

NAME = "bench-triggerer"
DAG = "many_suspended_jobs"
#: Task processes at once while the tasks are brought to wait; that is not measured.
PARALLELISM = 8


@dataclass(frozen=True)
class Row:
    """One row of the table; shares of a core, bytes."""

    what: str
    with_triggers: float
    airflows_own: float | None
    memory: int
    requests: str


@dataclass(frozen=True)
class Process:
    """A process, seen from outside."""

    pid: int

    def processor_time(self) -> float:
        """Seconds of processor time used so far."""
        fields = self._file("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident memory, in bytes."""
        return int(self._file("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def parent(self) -> int:
        return int(self._file("stat").rpartition(")")[2].split()[1])

    def _file(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


@dataclass(frozen=True)
class Triggerer:
    """The two processes of a triggerer: the one with the triggers, and the one that speaks with the database."""

    runner: Process
    supervisor: Process

    @classmethod
    def of(cls, session: int) -> Triggerer:
        """Find them; the runner is a fork of the other."""
        (runner,) = [pid for pid in processes_of_session(session) if Process(pid).parent() == session]
        return cls(Process(runner), Process(session))

    def rest(self, seconds: float) -> tuple[float, float]:
        """The shares of a core that both use while nothing happens."""
        both, began = (self.runner, self.supervisor), time.monotonic()
        before = [process.processor_time() for process in both]
        time.sleep(seconds)
        used = [process.processor_time() - earlier for process, earlier in zip(both, before, strict=True)]
        passed = time.monotonic() - began
        return used[0] / passed, used[1] / passed


@contextmanager
def airflow(kubeconfig: Path) -> Iterator[AirflowServer]:
    """An Airflow of its own, with the DAGs of the tests."""
    home = state_folder(NAME)
    AirflowServer(home, dag_folders={}).end_leftovers()
    shutil.rmtree(home, ignore_errors=True)
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(kubeconfig)}}
    server = AirflowServer(
        home,
        dag_folders={"tests": CHECKOUT / "tests" / "airflow" / "dags"},
        environment={"AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection)},
        parallelism=PARALLELISM,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def real_triggerer(audit: Audit, count: int) -> list[Row]:
    """Measure a triggerer before anything waits in it, and with so many deferred tasks."""
    with audit.cluster.namespace("triggerer") as namespace, airflow(audit.cluster.kubeconfig("airflow")) as server:
        audit.cluster.apply(SHIPPED, namespace=namespace)
        triggerer = Triggerer.of(server.component("triggerer"))
        time.sleep(SETTLE)
        empty, own = triggerer.rest(REST)
        before = triggerer.runner.memory()
        rows = [Row("triggerer, empty", empty, own, 0, "")]

        run_id = server.client.trigger(DAG, {"script": "true", "namespace": namespace, "count": count})
        until(
            f"{count} deferred tasks",
            lambda: Counter(server.client.states(DAG, run_id).values())["deferred"] == count,
            seconds=3600,
            every=10,
            seen=lambda: Counter(server.client.states(DAG, run_id).values()),
        )
        time.sleep(SETTLE)
        asked = audit.requests("airflow", namespace)
        waiting, own = triggerer.rest(REST)
        asked = audit.requests("airflow", namespace) - asked
        memory = triggerer.runner.memory() - before
        return [*rows, Row(f"triggerer, {count} deferred tasks", waiting, own, memory, told(asked))]


def plain_loop(audit: Audit, count: int) -> Row:
    """Measure as many triggers in an event loop without Airflow; requests since their beginning."""
    cost = measure(audit, sys.executable, "ours", count)
    return Row(f"plain event loop, {count} triggers", cost.processor, None, cost.memory, cost.requests)


def told(requests: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in requests.most_common()) or "none"


def table(rows: list[Row]) -> Table:
    shown = Table(title=f"{REST} s of waiting")
    for column in ("", "processor, of a core", "Airflow's own process", "memory for the triggers", "requests"):
        shown.add_column(column)
    for row in rows:
        own = "" if row.airflows_own is None else f"{row.airflows_own:.2%}"
        shown.add_row(row.what, f"{row.with_triggers:.2%}", own, f"{row.memory / 2**20:.1f} MiB", row.requests)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=500, help="deferred tasks, and triggers in the plain loop")
    wanted = parser.parse_args()
    with audited_cluster(NAME) as audit:
        rows = [*real_triggerer(audit, wanted.tasks), plain_loop(audit, wanted.tasks)]
    Console(width=180).print(table(rows))


if __name__ == "__main__":
    main()
