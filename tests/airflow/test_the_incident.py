"""The incident of the README on a real Airflow, the garbage collector frozen: no green delete while the Job is there."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from airflow_client import AirflowClient, TaskInstance
from command_line import container, job_spec
from one_node_cluster import OneNodeCluster, names
from waiting import until

NAME = "nightly-report"


@pytest.fixture
def stuck_job(cluster: OneNodeCluster, examples_namespace: str) -> str:
    """A Job of others whose Pod runs, deleted without a propagation policy while nobody collects garbage; its uid."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME},
        "spec": job_spec(container("base", "trap 'exit 0' TERM; sleep 600 & wait")),
    }
    cluster.kubectl("create", "-n", examples_namespace, "-f", "-", stdin=json.dumps(job))
    pods = f"batch.kubernetes.io/job-name={NAME}"
    until(
        "the Pod of the old report",
        lambda: [p for p in cluster.find("pods", examples_namespace, pods) if p["status"].get("phase") == "Running"],
        seconds=60,
    )
    return cluster.kubectl("get", "job", NAME, "-n", examples_namespace, "-o", "jsonpath={.metadata.uid}")


def test_delete_task_is_not_green_while_the_job_is_there_and_both_ways_end_well(
    airflow: AirflowClient, cluster: OneNodeCluster, examples_namespace: str, stuck_job: str
) -> None:
    def task(task_id: str) -> TaskInstance:
        return TaskInstance("the_incident", run_id, task_id)

    gone_at: list[datetime] = []
    with cluster.paused("kube-controller-manager"):
        cluster.kubectl("delete", "job", NAME, "-n", examples_namespace, "--cascade=orphan", "--wait=false")
        deleted_at = datetime.now(timezone.utc)
        run_id = airflow.trigger("the_incident")
        seen_green_while_there = False

        def deleted() -> bool:
            nonlocal seen_green_while_there
            state: str = airflow.task(task("delete_report"))["state"]
            there = stuck_job in [job["metadata"]["uid"] for job in cluster.jobs(examples_namespace)]
            seen_green_while_there |= there and state == "success"
            if not there and not gone_at:
                gone_at.append(datetime.now(timezone.utc))
            assert state != "failed", airflow.log(task("delete_report"))
            return state == "success"

        until("the end of delete_report", deleted, seconds=120, seen=lambda: airflow.log(task("delete_report")))
        assert not seen_green_while_there
        pods = cluster.find("pods", examples_namespace, f"batch.kubernetes.io/controller-uid={stuck_job}")
        assert all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods), "its work has stopped"
    record = airflow.task(task("delete_report"))
    took = datetime.fromisoformat(record["end_date"]) - datetime.fromisoformat(record["start_date"])
    waited = (gone_at[0] - deleted_at).total_seconds()
    print(
        f"gone {waited:.1f} s after its deletion, release_after_seconds is 10; the task took {took.total_seconds():.1f} s"
    )
    log = airflow.log(task("delete_report"))
    assert "orphan" in log and f"Job `{examples_namespace}/{NAME}`" in log
    assert airflow.wait_for_run("the_incident", run_id) == "success", airflow.states("the_incident", run_id)
    assert airflow.xcom(task("create_report"), "job_name") == NAME
    unique = airflow.xcom(task("report_without_delete"), "job_name")
    assert unique != NAME and unique in names(cluster.jobs(examples_namespace))

    def none_left() -> bool:
        return not cluster.find("pods", examples_namespace, f"batch.kubernetes.io/controller-uid={stuck_job}")

    until("no Pod of the stuck Job left", none_left, seconds=60)
