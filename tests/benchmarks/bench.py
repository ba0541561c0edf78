"""Measures what the package costs and prints one table. It asserts nothing: a number is judged by who reads it.

Uses a cluster of its own, `bench`, with an audit log, which it removes at the end. `--peer PYTHON` names an interpreter
that has the cncf.kubernetes provider, whose import is then measured beside ours.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

import doctor_cost
import import_cost
import job_requests
import log_follow
import log_throughput
import submit_latency
from rich.console import Console
from rich.table import Table

from audit import audited_cluster


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer", metavar="PYTHON", help="interpreter of an environment with the cncf.kubernetes provider"
    )
    parser.add_argument("--only", metavar="PART", help="one of: import, requests, submit, log, follow, doctor")
    wanted = parser.parse_args()

    def part(name: str) -> bool:
        return wanted.only in (None, name)

    rows: list[tuple[str, str]] = []
    if part("import"):
        rows += import_cost.measure(sys.executable, wanted.peer)
    if wanted.only != "import":
        with audited_cluster("bench") as audit:
            if part("requests"):
                rows += job_requests.measure(audit)
            if part("submit"):
                rows += submit_latency.measure(audit.cluster)
            if part("log"):
                rows += log_throughput.measure(audit.cluster)
            if part("follow"):
                rows += log_follow.measure(audit.cluster)
            if part("doctor"):
                rows += doctor_cost.measure(audit.cluster)

    table = Table(
        "measured", "value", title=f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    )
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
