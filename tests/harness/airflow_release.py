"""What differs between the Airflows that the tests start and ask; the one that is installed beside us is `INSTALLED`.

Promise: a difference stands here, in one row, and nowhere else in the harness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata


@dataclass(frozen=True)
class Release:
    """One minor version of Airflow, as a deployment and its REST API see it."""

    #: What a deployment consists of: each component with its command.
    components: Mapping[str, tuple[str, ...]]
    #: What the API says is healthy, once all of it is.
    health: tuple[str, ...]
    #: The prefix of the public REST API.
    api: str
    #: Whether the API gives a token to everybody; else everybody is an administrator without one.
    token: bool
    #: Where the API tells the health.
    health_path: str
    #: What a request for a run has to say, beside its id.
    run: Mapping[str, None]
    #: What a request has to say to change a task's state, beside the state.
    mark: Mapping[str, bool]
    #: How the API is asked for the value of an XCom, and not for its text.
    xcom_query: Mapping[str, str]
    #: What the name of a pool is called where one is changed.
    pool_name: str
    #: Whether the API tells a log record by record; else it is asked for the text.
    records: bool
    #: Settings that are named differently elsewhere.
    settings: Mapping[str, str]
    #: Whether sqlite is good enough for a scheduler and a triggerer at work at once; else PostgreSQL is started.
    sqlite: bool
    #: Whether there are bundles of DAG files; else all are in one folder.
    bundles: bool


_AIRFLOW_2 = Release(
    components={
        "webserver": ("webserver", "--workers", "1"),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    },
    health=("metadatabase", "scheduler", "triggerer"),
    api="/api/v1",
    token=False,
    health_path="/health",
    run={},
    mark={"dry_run": False},
    xcom_query={"stringify": "false"},
    pool_name="name",
    records=False,
    settings={
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        # The first start writes a row for each permission, which takes minutes on a busy machine.
        "AIRFLOW__WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "600",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
        # The heartbeat of a healthy task is a database away, and late on a busy machine.
        "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "45",
        "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "2",
    },
    sqlite=False,
    bundles=False,
)

_AIRFLOW_3 = Release(
    components={
        "api-server": ("api-server",),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    },
    health=("metadatabase", "scheduler", "triggerer", "dag_processor"),
    api="/api/v2",
    token=True,
    health_path="/monitor/health",
    run={"logical_date": None},
    mark={},
    xcom_query={"deserialize": "true"},
    pool_name="pool",
    records=True,
    settings={
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    },
    sqlite=True,
    bundles=True,
)

#: By major and minor version. 3.0 gives values as they are by default, and refuses to read them; the scheduler of 3.2 dies
#: of a locked sqlite file.
RELEASES: Mapping[tuple[int, int], Release] = {
    (2, 11): _AIRFLOW_2,
    (3, 0): replace(_AIRFLOW_3, xcom_query={}),
    (3, 1): _AIRFLOW_3,
    (3, 2): replace(_AIRFLOW_3, sqlite=False),
    (3, 3): _AIRFLOW_3,
}

#: The version of the Airflow in this environment, as PyPI names it.
VERSION = metadata.version("apache-airflow")
MINOR = (int(VERSION.split(".")[0]), int(VERSION.split(".")[1]))
INSTALLED = RELEASES[MINOR]
