"""One try of a task with the operator, as a worker of Airflow runs it, without a scheduler and without a database.

Promise: the Job has the ids that were asked for, and `execute` has returned or raised.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from one_node_cluster import IMAGE, OneNodeCluster


def run_task(
    cluster: OneNodeCluster,
    namespace: str,
    *,
    dag_id: str,
    task_id: str,
    run_id: str = "manual__1",
    map_index: int = -1,
    try_number: int = 1,
    max_tries: int | None = None,
    script: str = "echo done",
    more: dict[str, Any] | None = None,
    operator: type[Any] | None = None,
    **arguments: Any,
) -> Any:
    """Return what `execute` returns.

    :param max_tries: of the task; not given, this try is the last one
    :param more: further names of the context, for templates
    :param operator: a class of ours other than `UniqueK8sJobOperator`
    """
    from unique_k8s_job import UniqueK8sJobOperator

    task: Any = (operator or UniqueK8sJobOperator)(
        task_id=task_id,
        namespace=namespace,
        image=IMAGE,
        cmds=["sh", "-c", script],
        config_file=str(cluster.kubeconfig()),
        **arguments,
    )
    ti = SimpleNamespace(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        try_number=try_number,
        max_tries=try_number - 1 if max_tries is None else max_tries,
        id=uuid.uuid4().hex,
        xcom_push=lambda **_: None,
    )
    run = SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0)
    return task.execute({"ti": ti, "dag_run": run, "run_id": run_id, **(more or {})})
