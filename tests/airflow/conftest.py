"""The real Airflow of these tests: one for the whole session, on the real cluster.

Its home stays after the session, with all logs, until the next session begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_client import AirflowClient, TaskInstance
from airflow_server import AirflowServer, state_folder
from metrics_listener import MetricsListener
from one_node_cluster import CHECKOUT, IMAGE, OneNodeCluster, name_for_tests
from python_of_the_node import PYTHON

EXAMPLES_NAMESPACE = "examples"
#: A dashboard with a query in its URL, as Grafana has one.
JOB_URL_TEMPLATE = 'https://dashboard.example/{cluster}/{namespace}/{job}?uid={uid}&query={"run":"{run_id}"}'


@pytest.fixture(scope="session")
def generated_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for DAG files that a test makes."""
    return tmp_path_factory.mktemp("generated_dags")


@pytest.fixture(scope="session")
def metrics() -> Iterator[MetricsListener]:
    """Where this Airflow sends its metrics."""
    listener = MetricsListener()
    listener.start()
    yield listener
    listener.stop()


@pytest.fixture(scope="session")
def airflow_server(cluster: OneNodeCluster, generated_dags: Path, metrics: MetricsListener) -> Iterator[AirflowServer]:
    """Airflow with the shipped examples, the DAGs of these tests and of the matrix, and those that a test makes."""
    home = state_folder(name_for_tests())
    AirflowServer(home, dag_folders={}).end_leftovers()
    shutil.rmtree(home, ignore_errors=True)
    with cluster.namespace(EXAMPLES_NAMESPACE) as examples:
        connection = {"kube_config_path": str(cluster.kubeconfig()), "namespace": examples}
        server = AirflowServer(
            home,
            dag_folders={
                "examples": CHECKOUT / "dags_examples",
                "tests": Path(__file__).parent / "dags",
                "versions": CHECKOUT / "tests" / "matrix" / "dags",
                "generated": generated_dags,
            },
            environment={
                "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": connection}),
                "AIRFLOW_CONN_WITHOUT_PATCH": json.dumps(
                    {"conn_type": "kubernetes", "extra": {"kube_config_path": str(cluster.kubeconfig("airflow"))}}
                ),
                "UNIQUE_K8S_JOB_EXAMPLE_IMAGE": IMAGE,
                "UNIQUE_K8S_JOB_EXAMPLE_PYTHON": json.dumps(PYTHON),
                "EXAMPLES_NAMESPACE": examples,
                "AIRFLOW__UNIQUE_K8S_JOB__JOB_URL_TEMPLATE": JOB_URL_TEMPLATE,
                **metrics.settings(),
            },
            parallelism=6,
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def airflow(airflow_server: AirflowServer) -> AirflowClient:
    return airflow_server.client


@pytest.fixture
def examples_namespace(airflow_server: AirflowServer) -> str:
    """Where the Jobs of the shipped examples run, by the default connection."""
    return airflow_server.environment()["EXAMPLES_NAMESPACE"]


@pytest.fixture
def work(airflow: AirflowClient, namespace: str) -> Callable[..., TaskInstance]:
    """Start a run of one of the `one_job` DAGs in the test's namespace; its task instance."""

    def start(script: str, dag_id: str = "one_job", **conf: Any) -> TaskInstance:
        run_id = airflow.trigger(dag_id, {"script": script, "namespace": namespace, **conf})
        return TaskInstance(dag_id, run_id, "work")

    return start
