"""What Airflow does after a Job, in one run of one DAG: callbacks, a teardown, a branch on how it ended."""

from __future__ import annotations

from airflow_client import AirflowClient, TaskInstance

DAG_ID = "after_a_job"


def test_callbacks_teardown_and_branch_know_how_the_job_has_ended(airflow: AirflowClient, namespace: str) -> None:
    run_id = airflow.trigger(DAG_ID, {"namespace": namespace})
    airflow.wait_for_run(DAG_ID, run_id)

    def ti(task: str) -> TaskInstance:
        return TaskInstance(DAG_ID, run_id, task)

    states = airflow.states(DAG_ID, run_id)
    wanted = {"make": "success", "work": "failed", "clean": "success", "choose": "success", "celebrate": "skipped"}
    assert states == {**wanted, "repair": "success"}, "\n".join(f"{task}\n{airflow.log(ti(task))}" for task in states)

    name, log = airflow.xcom(ti("make"), "job_name"), airflow.log(ti("make"))
    assert "callback: make begins" in log and f"callback: make is done by {name}" in log

    name, log = airflow.xcom(ti("work"), "job_name"), airflow.log(ti("work"))
    assert "The triggerer follows the Job from now on" in log
    assert "callback: JobFailedError with exit code 3: Job `" in log
    outcome = airflow.xcom(ti("work"), "job_outcome")
    assert (outcome["state"], outcome["exit_code"], outcome["job"]["name"]) == ("failed", 3, name)

    assert f"repairs {name}" in airflow.log(ti("repair"))
