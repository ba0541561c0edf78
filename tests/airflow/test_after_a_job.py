"""What Airflow does after a Job, in one run of one DAG: callbacks, a teardown, a branch on how it ended."""

from __future__ import annotations

from urllib.parse import quote

from airflow_client import AirflowClient, TaskInstance
from metrics_listener import MetricsListener

DAG_ID = "after_a_job"


DURATIONS = {"queue_duration", "start_duration", "run_duration", "notice_duration"}


def test_callbacks_teardown_branch_link_and_metrics_know_how_the_job_has_ended(
    airflow: AirflowClient, namespace: str, metrics: MetricsListener
) -> None:
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
    assert "callback: it is an AirflowException: True" in log
    outcome = airflow.xcom(ti("work"), "job_outcome")
    assert (outcome["state"], outcome["exit_code"], outcome["job"]["name"]) == ("failed", 3, name)

    assert f"repairs {name}" in airflow.log(ti("repair"))

    for task in ("make", "work"):
        name, uid = (airflow.xcom(ti(task), key) for key in ("job_name", "job_uid"))
        query = f'{{"run":"{quote(run_id, safe="")}"}}'
        url = f"https://dashboard.example/kubernetes_default/{namespace}/{name}?uid={uid}&query={query}"
        assert airflow.links(ti(task)) == {"Kubernetes Job": url}
    assert airflow.links(ti("celebrate")) == {"Kubernetes Job": None}, "it was skipped"

    for task, state in (("make", "succeeded"), ("work", "failed")):
        sent = metrics.wait_for(DAG_ID, task, "unique_k8s_job.notice_duration")
        names = {name.removeprefix("unique_k8s_job.") for name in sent}
        assert names - {"pull_duration"} == {"created", state, *DURATIONS}, "the pull is known only if Events were read"
        assert all(metric.value >= 0 for metric in sent.values())
        assert {sent[f"unique_k8s_job.{name}"].kind for name in DURATIONS} == {"ms"}
        start = sent["unique_k8s_job.start_duration"].value
        assert start % 1000 == 0 and start < 600_000, "Kubernetes counts seconds, and StatsD milliseconds"
