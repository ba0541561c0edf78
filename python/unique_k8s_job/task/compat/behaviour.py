"""Answers how the Airflow that runs us behaves where its versions differ. Nobody else asks for the version."""

from __future__ import annotations

from unique_k8s_job.task.compat import airflow_version, configuration


def base_url() -> str:
    """Return the URL at which this Airflow is reached; a version warns of the option of another one."""
    return configuration("api" if airflow_version() >= (3, 0) else "webserver", "base_url", "")


def records_have_fields() -> bool:
    """Whether the records of a task log may carry fields and a time of their own."""
    return airflow_version() >= (3, 0)


def sigkill_is_near() -> bool:
    """Whether a task process is killed 5 s after its signal; Airflow 2 waits for 60 s."""
    return airflow_version() >= (3, 0)


def deferred_tasks_are_timed_out() -> bool:
    """Whether Airflow itself fails a deferred task at its `execution_timeout`, without calling the task's code."""
    return airflow_version() < (3, 0)


def clears_are_counted() -> bool:
    """Whether the run's `clear_number` grows when a running task is cleared. Before 3.2 only finished runs grow it."""
    return airflow_version() >= (3, 2)


def airflow_calls_on_kill() -> bool:
    """Whether this Airflow tells a trigger of a user's stop; if it does not, each cancellation may be one."""
    return airflow_version() >= (3, 3)
