"""Asks Airflow for the state of a task instance, and for the Job in its XCom. Each version has its own calls.

Every call may take long or raise: the caller gives it a thread and a time limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from unique_k8s_job.task.compat import airflow_version

#: States by run, then by `<task_id>` or `<task_id>_<map_index>`, as Airflow 3 returns them.
States = Mapping[str, Mapping[str, Any]]


class Answer(NamedTuple):
    """Airflow's answer about a task instance."""

    state: str | None
    #: The value of an XCom of the task instance: of `job_uid`, if no other was asked for.
    job_uid: str | None


def answer_in_worker(ti: Any) -> Answer:
    """Ask from the task's own process.

    :param ti: the context's `ti`
    """
    state = state_in_worker(ti)
    mapped = ti.map_index if ti.map_index >= 0 else None
    value = ti.xcom_pull(task_ids=ti.task_id, key="job_uid", map_indexes=mapped)
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return Answer(state, None if value is None else str(value))


def state_in_worker(ti: Any) -> str | None:
    """Ask for the state alone, from the task's own process."""
    if not hasattr(ti, "get_task_states"):  # Airflow 2
        return _plain(ti.current_state())
    mapped = ti.map_index if ti.map_index >= 0 else None
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=mapped)
    return state_of(ti, states)


def answer_in_triggerer(ti: Any, key: str) -> Answer:
    """Ask from a triggerer.

    :param ti: a trigger's `task_instance`, or any object with the same ids
    :param key: of the XCom that names the Job
    """
    mapped = ti.map_index is not None and ti.map_index >= 0
    if airflow_version() < (3, 0):
        states, uid = states_in_triggerer(ti.dag_id, [ti.task_id], [ti.run_id]), _xcom_of_airflow_2(ti, key)
    else:
        from airflow.sdk.execution_time.xcom import XCom

        states = states_in_triggerer(ti.dag_id, [ti.task_id], [ti.run_id], ti.map_index if mapped else None)
        uid = XCom.get_one(
            key=key,
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=ti.map_index if mapped else -1,
        )
    return Answer(state_of(ti, states), None if uid is None else str(uid))


def states_in_triggerer(dag_id: str, task_ids: list[str], run_ids: list[str], map_index: int | None = None) -> States:
    """Ask from a triggerer for the states of these tasks in these runs."""
    if airflow_version() >= (3, 0):
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states: States = RuntimeTaskInstance.get_task_states(
            dag_id=dag_id, task_ids=task_ids, run_ids=run_ids, map_index=map_index
        )
        return states
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    found: dict[str, dict[str, Any]] = {}
    with create_session() as session:
        rows = session.query(
            TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state
        ).filter(TaskInstance.dag_id == dag_id, TaskInstance.task_id.in_(task_ids), TaskInstance.run_id.in_(run_ids))
        for run_id, task_id, index, state in rows:
            found.setdefault(run_id, {})[task_id if index < 0 else f"{task_id}_{index}"] = state
    return found


def state_of(ti: Any, states: States) -> str | None:
    """Pick one task instance out of many."""
    of_run = states.get(ti.run_id, {})
    mapped = ti.map_index is not None and ti.map_index >= 0
    key = f"{ti.task_id}_{ti.map_index}" if mapped else ti.task_id
    return _plain(of_run.get(key, of_run.get(ti.task_id)))


def _xcom_of_airflow_2(ti: Any, key: str) -> Any:
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    with create_session() as session:
        stored = XCom.get_many(
            key=key,
            dag_ids=ti.dag_id,
            task_ids=ti.task_id,
            run_id=ti.run_id,
            map_indexes=ti.map_index,
            session=session,
        ).first()
        # An object that Airflow has loaded has its value already; `deserialize_value` is for rows of the table.
        return None if stored is None else stored.value


def _plain(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))
