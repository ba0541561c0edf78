"""Jobs that hand something on: a result, a skip, a Job to the operators of cncf.kubernetes. `conf`: `namespace`."""

from __future__ import annotations

from typing import Any

from airflow import DAG

from unique_k8s_job import UniqueK8sJobOperator
from unique_k8s_job.compat import KubernetesDeleteJobOperator, KubernetesJobOperator, KubernetesPatchJobOperator

try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task

NAMESPACE = "{{ dag_run.conf['namespace'] }}"
IMAGE = "local.test/busybox:1"
MODES: dict[str, dict[str, Any]] = {
    "blocking": {"deferrable": False},
    "deferred": {"deferrable": True, "defer_after_seconds": 0},
}
#: A JSON text of 15,002 bytes, which is too much for a termination message.
MUCH = 'printf \'"%s"\' "$(head -c 15000 /dev/zero | tr "\\0" x)" > /airflow/xcom/return.json'


@task
def told(value: Any) -> None:
    print(f"was told {len(str(value))} characters: {str(value)[:40]}")


for mode, how in MODES.items():
    job: dict[str, Any] = {"image": IMAGE, "namespace": NAMESPACE, "retries": 0, **how}

    with DAG(f"result_{mode}", schedule=None):
        rows = UniqueK8sJobOperator(
            task_id="work",
            cmds=["sh", "-c", "echo '{\"rows\": [3, 4]}' > /airflow/xcom/return.json"],
            xcom="termination-message",
            **job,
        )
        told(rows.output)

    with DAG(f"large_result_{mode}", schedule=None):
        text = UniqueK8sJobOperator(
            task_id="work", cmds=["sh", "-c", MUCH], xcom="sidecar", xcom_sidecar_image=IMAGE, **job
        )
        told(text.output)

    with DAG(f"skipped_{mode}", schedule=None):
        UniqueK8sJobOperator(task_id="work", cmds=["sh", "-c", "exit 99"], skip_on_exit_code=99, **job)

    with DAG(f"queued_{mode}", schedule=None):
        UniqueK8sJobOperator(task_id="work", cmds=["sh", "-c", "echo let in"], queue_name="team-a", **job)

    with DAG(f"swapped_import_{mode}", schedule=None):
        work = KubernetesJobOperator(
            task_id="work",
            name="swapped",
            cmds=["sh", "-c", 'echo from the job; echo "[1, 2]" > /airflow/xcom/return.json'],
            do_xcom_push=True,
            wait_until_job_complete=True,
            **job,
        )
        made = "{{ ti.xcom_pull('work', key='job_name') }}"
        patch = KubernetesPatchJobOperator(
            task_id="patch",
            name=made,
            namespace=NAMESPACE,
            body={"metadata": {"labels": {"patched": "yes"}}},
        )
        delete = KubernetesDeleteJobOperator(task_id="delete", name=made, namespace=NAMESPACE)
        work >> patch >> delete
