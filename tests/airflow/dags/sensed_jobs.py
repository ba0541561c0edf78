"""A sensor for a Job that the test makes, in each of its modes.

`conf`: `namespace`, `name`.
"""

from typing import Any

from airflow import DAG

from unique_k8s_job import UniqueK8sJobSensor

# Airflow fails a rescheduled task as killed from outside where its next poke is due before the scheduler has read that the
# process of the last one ended (`process_executor_events`): on a busy machine that takes seconds.
VARIANTS: dict[str, dict[str, Any]] = {
    "sensed_by_poke": {"deferrable": False, "poke_interval": 2},
    "sensed_by_reschedule": {"deferrable": False, "poke_interval": 20, "mode": "reschedule"},
    "sensed_deferred": {"deferrable": True, "poke_interval": 2},
    "sensed_deferred_with_time_limit": {"deferrable": True, "poke_interval": 2, "timeout": 12, "soft_fail": True},
}

for dag_id, variant in VARIANTS.items():
    with DAG(dag_id, schedule=None):
        UniqueK8sJobSensor(
            task_id="sense",
            namespace="{{ dag_run.conf['namespace'] }}",
            name="{{ dag_run.conf['name'] }}",
            logs=True,
            retries=0,
            **variant,
        )
