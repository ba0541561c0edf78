"""The demo: a real cluster, a real Airflow, one DAG of `dags_examples/`, its log as it grows, its end.

Promise: the terminal shows the DAG's own words and ours; what Airflow and Kubernetes say goes to files, which are named
where something fails. `up` leaves both running, to be looked at; `down` ends them. With KUBECONFIG set it uses that
cluster and starts none. Started by `make demo`, which builds what this needs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "harness"))

import httpx
from rich.console import Console
from rich.markup import escape

from airflow_client import FINISHED, AirflowClient, TaskInstance, event_lines
from airflow_server import AirflowServer, free_port, is_free, state_folder
from one_node_cluster import IMAGE, OneNodeCluster, build
from python_of_the_node import PYTHON

DAG = "the_incident_cured"
TASKS = ("report_of_yesterday", "report_of_today", "compare")

console = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str]) -> int:
    if arguments == ["down"]:
        return down()
    if arguments != ["up"]:
        console.print("usage: demo.py up|down")
        return 2
    try:
        return up()
    except KeyboardInterrupt:
        console.print("\ninterrupted; `make demo-down` ends what runs")
        return 130
    except (AssertionError, OSError, RuntimeError, httpx.HTTPError) as error:
        console.print(f"\n[bold red]the demo did not get to its end[/]\n{escape(str(error))}")
        console.print("`make demo-down` ends what still runs")
        return 1


def up() -> int:
    """Start what is not there, run the DAG, say how it went."""
    environment = cluster_environment()
    airflow = start_airflow(environment)
    client = airflow.client
    client.wait_for_dag(DAG)
    say("DAG", f"{DAG}  [dim]dags_examples/{DAG}.py[/]")

    began = time.monotonic()
    run_id = client.trigger(DAG)
    for task_id in TASKS:
        follow(client, TaskInstance(DAG, run_id, task_id))
    state = client.wait_for_run(DAG, run_id)

    console.print()
    colour = "green" if state == "success" else "red"
    say("Outcome", f"[bold {colour}]{state}[/] after {time.monotonic() - began:.0f} s")
    for task_id in TASKS[:2]:
        ti = TaskInstance(DAG, run_id, task_id)
        name, namespace = client.xcom(ti, "job_name"), client.xcom(ti, "job_namespace")
        say("Job", f"{task_id}: {namespace}/{name}" if name else f"{task_id}: none")
    say("Airflow", f"{client.base_url}/dags/{DAG}/runs/{run_id}  [dim](no password)[/]")
    say(
        "Cluster",
        f"KUBECONFIG={environment['KUBECONFIG']}" if "KUBECONFIG" in environment else "the one of your kubeconfig",
    )
    say("Logs", str(airflow.home))
    say("End it", "make demo-down")
    return 0 if state == "success" else 1


def down() -> int:
    home = state_folder("demo")
    if home.exists():
        AirflowServer(home, dag_folders={}).end_leftovers()
        say("Airflow", "ended")
    cluster = OneNodeCluster.existing("demo")
    if cluster is not None:
        cluster.down()
        say("Cluster", "ended and removed")
    return 0


def cluster_environment() -> dict[str, str]:
    """What the Airflow of the demo needs to know of the cluster: the caller's, or one of our own."""
    given = os.environ.get("KUBECONFIG")
    if given:
        files = os.pathsep.join(str(Path(part).absolute()) for part in given.split(os.pathsep) if part)
        say("Cluster", f"yours, KUBECONFIG={given}")
        return {"KUBECONFIG": files}
    began = time.monotonic()
    with console.status("starting a one-node Kubernetes"):
        cluster = OneNodeCluster("demo", build())
        cluster.up()
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    say("Cluster", f"Kubernetes {version} on one node, ready after {time.monotonic() - began:.0f} s")
    return {
        "KUBECONFIG": str(cluster.kubeconfig()),
        "UNIQUE_K8S_JOB_EXAMPLE_IMAGE": IMAGE,
        "UNIQUE_K8S_JOB_EXAMPLE_PYTHON": json.dumps(PYTHON),
    }


def start_airflow(environment: dict[str, str]) -> AirflowServer:
    """A fresh start each time: the package may be a newer one than that of the last run."""
    home = state_folder("demo")
    AirflowServer(home, dag_folders={}).end_leftovers()
    server = AirflowServer(
        home,
        dag_folders={"examples": CHECKOUT / "dags_examples"},
        environment=environment,
        port=8080 if is_free(8080) else free_port(),
    )
    began = time.monotonic()
    with console.status("starting Airflow: api-server, scheduler, dag-processor, triggerer"):
        server.start()
    from airflow import __version__ as version

    say("Airflow", f"{version} at {server.base_url}, ready after {time.monotonic() - began:.0f} s")
    return server


def follow(client: AirflowClient, ti: TaskInstance) -> None:
    """Print a task's log as it grows, all tries of it, until the task has ended."""
    console.print(f"\n[bold]{ti.task_id}[/]")
    try_number, shown = 1, Counter[str]()
    while True:
        record = client.task(ti)
        ended = record["state"] in FINISHED
        if record["try_number"] > try_number:
            show(client, ti, try_number, shown)
            try_number, shown = record["try_number"], Counter()
            console.print(f"  [bold]try {try_number}[/]")
        if record["state"] is not None and record["start_date"]:
            show(client, ti, try_number, shown)
        if ended:
            colour = "green" if record["state"] == "success" else "red"
            console.print(f"  [{colour}]{record['state']}[/]")
            return
        time.sleep(0.5)


def show(client: AirflowClient, ti: TaskInstance, try_number: int, shown: Counter[str]) -> None:
    """Print the records that were not printed yet. Airflow sorts them by time, so new ones are not always the last."""
    met = Counter[str]()
    for record in client.log_records(ti, try_number):
        key = json.dumps([record.get("timestamp"), record.get("event")])
        met[key] += 1
        if met[key] <= shown[key]:
            continue
        shown[key] += 1
        if is_ours(record):
            style = {"warning": "yellow", "error": "red"}.get(str(record.get("level")), "")
            for line in event_lines(record):
                console.print(f"  [dim]│[/] {escape(line)}", style=style)


def is_ours(record: dict[str, object]) -> bool:
    """False for what Airflow itself says around a task: its groups, its bundles, its own start and end."""
    event, logger = str(record.get("event", "")), str(record.get("logger", ""))
    return bool(logger) and not event.startswith("::") and ("unique_k8s_job" in logger or logger == "task.stdout")


def say(what: str, text: str) -> None:
    console.print(f"[bold cyan]{what:>8}[/]  {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
