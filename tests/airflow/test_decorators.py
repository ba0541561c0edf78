"""Functions of a DAG file that run in Jobs, in one run of one DAG."""

from __future__ import annotations

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import OneNodeCluster, names

DAG_ID = "decorated_jobs"


def test_function_runs_in_a_job_and_what_it_returns_is_the_result_of_the_task(
    airflow: AirflowClient, cluster: OneNodeCluster, namespace: str
) -> None:
    run_id = airflow.trigger(DAG_ID, {"namespace": namespace})
    airflow.wait_for_run(DAG_ID, run_id)
    states = airflow.states(DAG_ID, run_id)

    def ti(task: str, index: int = -1) -> TaskInstance:
        return TaskInstance(DAG_ID, run_id, task, index)

    failed = {task for task, state in states.items() if state != "success"}
    assert failed == {"fails", "is_too_large"}, "\n".join(
        f"{task}: {state}\n{airflow.log(ti(task))}" for task, state in states.items() if "[" not in task
    )

    assert f"counts 2 tables of {namespace} in {run_id}" in airflow.log(ti("count"))
    assert airflow.xcom(ti("count"), "rows") == [6, 8]
    assert airflow.xcom(ti("count"), "of") == namespace
    assert airflow.xcom(ti("count"), "text") == "$HOME $(HOME) $$\n# ö {{ ds }}"

    assert "The triggerer follows the Job from now on" in airflow.log(ti("square", 1))
    assert airflow.xcom(ti("lengths"), "return_value") == [5000, 15000]
    assert f"/{airflow.xcom(ti('square', 1), 'job_name')}?" in str(airflow.links(ti("square", 1))["Kubernetes Job"])

    # The function had the run as an argument, and a template in what it returned.
    assert f"got [6, 8] in {run_id} {run_id}\n" in airflow.log(ti("command"))

    log = airflow.log(ti("fails"))
    assert 'raise LookupError(f"no table {table}")' in log, "the traceback has the line of the function"
    assert "function_in_job" not in log
    assert "container `base` ended with exit code 1" in log
    assert "LookupError: no table orders" in log.split("the last line of the log of Pod")[1].split("\n")[0]

    log = airflow.log(ti("is_too_large"))
    assert "The arguments of `is_too_large` cannot be sent to a Job: too large" in log
    assert "200028 bytes, and at most 131071 fit" in log
    assert not [name for name in names(cluster.jobs(namespace)) if name.startswith("is-too-large")]
