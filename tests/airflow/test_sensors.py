"""The sensor in each of its modes, on Jobs that the test makes by hand."""

from __future__ import annotations

from airflow_client import AirflowClient, TaskInstance, times_printed
from one_node_cluster import OneNodeCluster
from plain_job import job


def sense(airflow: AirflowClient, dag_id: str, namespace: str, name: str) -> TaskInstance:
    run_id = airflow.trigger(dag_id, {"namespace": namespace, "name": name})
    return TaskInstance(dag_id, run_id, "sense")


MODES = ["sensed_by_poke", "sensed_by_reschedule", "sensed_deferred"]


def test_sensor_waits_in_each_mode_for_a_job_made_elsewhere_and_fails_with_a_failed_one(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    sensors = {mode: [sense(airflow, mode, namespace, name) for name in ("good", "bad")] for mode in MODES}
    cluster.apply(job("good", "echo all is well; sleep 2"), job("bad", "echo no more; exit 3"), namespace=namespace)
    for good, bad in sensors.values():
        airflow.wait_for_state(good, "success")
        log = airflow.log(good)
        assert log.count("all is well") == 1, log
        assert airflow.xcom(good, "return_value")["state"] == "succeeded"
        airflow.wait_for_state(bad, "failed")
        log = airflow.log(bad)
        assert times_printed(log, "no more") == 1, log
        assert "JobFailedError" in log and "exit code 3" in log, log


def test_time_of_a_deferred_sensor_is_over_although_no_job_came_and_soft_fail_skips(
    airflow: AirflowClient, namespace: str
) -> None:
    ti = sense(airflow, "sensed_deferred_with_time_limit", namespace, "never-made")
    airflow.wait_for_state(ti, "skipped")
    assert "no such Job yet" in airflow.log(ti)
