"""A sensor for a Job that the test makes, in each of its modes.

`conf`: `namespace`, `name`.
"""

from airflow import DAG

from unique_k8s_job import UniqueK8sJobSensor

VARIANTS = {
    "sensed_by_poke": {"deferrable": False},
    "sensed_by_reschedule": {"deferrable": False, "mode": "reschedule"},
    "sensed_deferred": {"deferrable": True},
    "sensed_deferred_with_time_limit": {"deferrable": True, "timeout": 12, "soft_fail": True},
}

for dag_id, variant in VARIANTS.items():
    with DAG(dag_id, schedule=None):
        UniqueK8sJobSensor(
            task_id="sense",
            namespace="{{ dag_run.conf['namespace'] }}",
            name="{{ dag_run.conf['name'] }}",
            poke_interval=2,
            logs=True,
            retries=0,
            **variant,  # type: ignore[arg-type]
        )
