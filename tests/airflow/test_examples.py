"""The shipped examples, exactly as shipped, run green on a real Airflow and a real cluster."""

from __future__ import annotations

import pytest

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster, names

EXAMPLES = ["hello_job", "from_manifest", "mapped_jobs", "the_incident_cured"]


def run(airflow: AirflowClient, dag_id: str) -> str:
    run_id = airflow.trigger(dag_id)
    state = airflow.wait_for_run(dag_id, run_id)
    assert state == "success", f"{dag_id}: {airflow.states(dag_id, run_id)}\n" + "\n".join(
        airflow.log(TaskInstance(dag_id, run_id, task_id), 1)
        for task_id, ended in airflow.states(dag_id, run_id).items()
        if ended != "success" and "[" not in task_id
    )
    return run_id


def test_hello_job_shows_the_line_of_its_container(airflow: AirflowClient) -> None:
    run_id = run(airflow, "hello_job")
    assert "Hello from a Job of its own" in airflow.log(TaskInstance("hello_job", run_id, "hello"))


def test_from_manifest_runs_both_indexes_and_what_the_task_says_wins(airflow: AirflowClient) -> None:
    run_id = run(airflow, "from_manifest")
    log = airflow.log(TaskInstance("from_manifest", run_id, "count"))
    for index in (0, 1):
        for step in (1, 2, 3):
            assert log.count(f"index {index}, step {step} of 3") == 1


def test_mapped_jobs_run_one_job_for_each_entry(airflow: AirflowClient) -> None:
    run_id = run(airflow, "mapped_jobs")
    jobs = set()
    for index, city in enumerate(("Lima", "Nairobi", "Osaka")):
        ti = TaskInstance("mapped_jobs", run_id, "greet", index)
        assert f"Greetings to {city}" in airflow.log(ti)
        jobs.add(airflow.xcom(ti, "job_name"))
    assert len(jobs) == 3


def test_deferred_jobs_show_their_log_and_the_sensor_sees_them_end(airflow: AirflowClient) -> None:
    run_id = run(airflow, "deferred_jobs")
    log = airflow.log(TaskInstance("deferred_jobs", run_id, "report"))
    assert [log.count(f"step {step} of 3") for step in (1, 2, 3)] == [1, 1, 1]
    found = airflow.xcom(TaskInstance("deferred_jobs", run_id, "reports_are_done"), "return_value")
    assert {job["state"] for job in found} == {"succeeded"}


def test_job_results_reach_the_next_task_from_the_worker_and_from_the_triggerer(airflow: AirflowClient) -> None:
    run_id = run(airflow, "job_results")
    count, split, load = (TaskInstance("job_results", run_id, task) for task in ("count", "split", "load"))
    assert airflow.xcom(count, "return_value") == {"rows": 3, "of": "orders"}
    assert airflow.xcom(split, "return_value") == {"0": "part-0", "1": "part-1"}
    for ti in (count, split):
        outcome = airflow.xcom(ti, "job_outcome")
        assert (outcome["state"], outcome["job"]["name"]) == ("succeeded", airflow.xcom(ti, "job_name"))
    assert "The triggerer follows the Job from now on" in airflow.log(split)
    assert "loads 3 rows of part-0, part-1" in airflow.log(load)


def test_functions_as_jobs_hand_what_their_functions_return_to_the_next_task(airflow: AirflowClient) -> None:
    run_id = run(airflow, "functions_as_jobs")
    cities = airflow.xcom(TaskInstance("functions_as_jobs", run_id, "cities"), "return_value")
    assert cities == ["Lima", "Nairobi", "Osaka"]
    mapped = [TaskInstance("functions_as_jobs", run_id, "measure", index) for index in range(3)]
    measured = [airflow.xcom(ti, "return_value") for ti in mapped]
    assert measured == [{"city": city, "letters": len(city)} for city in cities]
    assert len({airflow.xcom(ti, "job_name") for ti in mapped}) == 3
    log = airflow.log(mapped[1])
    assert "Nairobi has 7 letters" in log and "The triggerer follows the Job from now on" in log
    report = TaskInstance("functions_as_jobs", run_id, "report")
    assert "The longest name is Nairobi, with 7 letters" in airflow.log(report)


def test_the_incident_cured_gives_equal_slugs_two_jobs_and_deletes_the_first_at_once(
    airflow: AirflowClient, cluster: OneNodeCluster, examples_namespace: str
) -> None:
    run_id = run(airflow, "the_incident_cured")
    yesterday, today = (
        airflow.xcom(TaskInstance("the_incident_cured", run_id, f"report_of_{day}"), "job_name")
        for day in ("yesterday", "today")
    )
    assert yesterday != today
    assert yesterday.startswith("nightly-report-") and today.startswith("nightly-report-")
    cluster.wait_until_gone(examples_namespace, yesterday)
    assert today in names(cluster.jobs(examples_namespace))


@pytest.mark.parametrize("dag_id", EXAMPLES)
def test_a_second_run_of_an_example_meets_nothing_of_the_first(airflow: AirflowClient, dag_id: str) -> None:
    run(airflow, dag_id)
