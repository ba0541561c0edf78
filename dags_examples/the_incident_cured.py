"""Two Jobs under one name, one right after the other: once an outage, here an ordinary run.

The old way was a Job of a fixed name, deleted and created again by each run. One day the deleted Job stayed: it had a
`deletionTimestamp` and a finalizer that nobody removed. The delete task was green, each create was answered with
409 "object is being deleted", no Pod started, no log said why, and everything stood still until a person looked.

Here both tasks ask for the same name and the second starts in the moment in which the first Job is being deleted. Each
gets a Job that no other try ever had or will have, so there is nothing to collide with, nothing to delete first, and
each Job cleans itself up: the first at once, the second ten minutes after its end.
"""

import os

from airflow import DAG
from airflow.sdk import task

from unique_k8s_job import UniqueK8sJobOperator

REPORT = """
echo "report for $PERIOD: collecting"
for table in customers orders payments shipments; do sleep 1; echo "  $table: read"; done
echo "report for $PERIOD: done by $HOSTNAME"
"""

with DAG("the_incident_cured", schedule=None, tags=["example"], default_args={"retries": 1}):
    report = {
        "name": "nightly-report",
        "image": os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36"),
        "cmds": ["sh", "-c", REPORT],
        "backoff_limit": 0,
    }
    yesterday = UniqueK8sJobOperator(
        task_id="report_of_yesterday",
        env_vars={"PERIOD": "yesterday"},
        ttl_seconds_after_finished=0,
        **report,
    )
    today = UniqueK8sJobOperator(
        task_id="report_of_today",
        env_vars={"PERIOD": "today"},
        ttl_seconds_after_finished=600,
        **report,
    )

    @task
    def compare(first: str, second: str) -> None:
        """Fail if the two Jobs ever shared a name."""
        print(f"yesterday ran as {first}")
        print(f"today ran as     {second}")
        if first == second:
            raise ValueError("both tasks ran under one name")
        print("Two names for one slug: no 409, no delete task, nobody woken up.")

    yesterday >> today >> compare(yesterday.output["job_name"], today.output["job_name"])
