"""The incident: a Job of a fixed name that hangs in Terminating. Two ways to live with it, side by side.

A run deletes the Job of the run before and creates it again under the same name. One day the deleted Job stays: the
deletion was accepted, but nobody removes its finalizer `orphan`. A delete task that takes "accepted" for "deleted" is
green, each create is answered with 409 "object is being deleted", and everything stands still until a person looks.

`delete_report >> create_report` keeps that plan and makes it safe: the delete task is green only once the Job is gone
and its work has stopped, says what holds it, and frees it from the garbage collector's finalizers where it stands still.
`create_report` keeps the fixed name for those who look for it, and waits for a predecessor instead of failing.

`report_without_delete` is the cure: a name that no other run ever has. There is nothing to delete, nothing to wait for,
and nothing that a stuck Job could hold up; the Job cleans itself up.
"""

import os

from airflow import DAG

from unique_k8s_job import K8sJobDeleteOperator, UniqueK8sJobOperator

REPORT = 'echo "report of $HOSTNAME"; for table in customers orders payments; do sleep 1; echo "  $table: read"; done'

with DAG("the_incident", schedule=None, tags=["example"]):
    report = {
        "name": "nightly-report",
        "image": os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        "cmds": ["sh", "-c", REPORT],
        "backoff_limit": 0,
        "ttl_seconds_after_finished": 600,
    }

    delete_report = K8sJobDeleteOperator(
        task_id="delete_report",
        name="nightly-report",
        # Free it also where somebody else's deletion left it stuck, after ten seconds without progress.
        release_stuck="gc",
        release_after_seconds=10,
    )
    create_report = UniqueK8sJobOperator(task_id="create_report", name_policy="fixed", **report)
    delete_report >> create_report

    UniqueK8sJobOperator(task_id="report_without_delete", **report)
