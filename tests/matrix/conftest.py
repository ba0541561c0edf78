"""The Airflow of this environment, whichever it is: one for the whole session, on the real cluster.

Its home stays after the session, with all logs, until the next session of the same version begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import documented_table
from airflow_client import AirflowClient, TaskInstance
from airflow_release import MINOR, VERSION
from airflow_server import AirflowServer, state_folder
from one_node_cluster import CHECKOUT, OneNodeCluster, name_for_tests

COLUMN = f"Airflow {MINOR[0]}.{MINOR[1]}"
#: On a busy machine the answers and the heartbeats of a healthy Airflow are late; no test here is about that.
PATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
}


@pytest.fixture(scope="session")
def airflow_server(cluster: OneNodeCluster) -> Iterator[AirflowServer]:
    home = state_folder(f"{name_for_tests()}-{VERSION}")
    AirflowServer(home, dag_folders={}).end_leftovers()
    shutil.rmtree(home, ignore_errors=True)
    (home / "config").mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).parent / "late_answers.py", home / "config" / "airflow_local_settings.py")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(cluster.kubeconfig())}}
    server = AirflowServer(
        home,
        dag_folders={"tests": Path(__file__).parent / "dags"},
        environment={
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
            "AIRFLOW__UNIQUE_K8S_JOB__JOB_URL_TEMPLATE": "https://dashboard.example/?uid={uid}",
            **PATIENT,
        },
        parallelism=6,
    )
    server.start(seconds=240)
    try:
        server.client.make_pool("narrow", 8)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def airflow(airflow_server: AirflowServer) -> AirflowClient:
    return airflow_server.client


@pytest.fixture(scope="session")
def run(airflow: AirflowClient) -> Callable[..., TaskInstance]:
    """Start a run of a DAG in a namespace; its task instance."""

    def start(dag_id: str, namespace: str, script: str = "", **conf: Any) -> TaskInstance:
        run_id = airflow.trigger(dag_id, {"namespace": namespace, "script": script, **conf})
        return TaskInstance(dag_id, run_id, "work")

    return start


@pytest.fixture(scope="session")
def saw() -> Callable[[str, str], None]:
    """Compare what was seen with its cell in `docs/versions.md`."""

    def compare(what_happens: str, seen: str) -> None:
        documented_table.check("versions.md", what_happens, COLUMN, seen)

    return compare


_failed = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def triggerer(airflow_server: AirflowServer, request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that failed may have left a triggerer that does not work: the next one has a new one."""
    yield
    if request.node.stash.get(_failed, False):
        airflow_server.begin_anew("triggerer")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how each test ended, for the table of all versions."""
    if report.when == "call" or report.outcome != "passed":
        results = CHECKOUT / ".venv" / "matrix" / f"{VERSION}.json"
        results.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(results.read_text()) if results.exists() else {}
        name = report.nodeid.partition("::")[2]
        known[name] = f"{'ok' if report.passed else report.outcome} {report.duration:.0f} s"
        results.write_text(json.dumps(known, indent=1))
