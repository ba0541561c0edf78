"""Functions that run in Jobs, one of them mapped over the result of another, and one that returns a Job's command."""

import json
import os
from typing import Any

from airflow import DAG

try:
    from airflow.sdk import task
except ImportError:  # Airflow 2
    from airflow.decorators import task

#: The arguments of a Job for functions. Its image needs `python3`, and nothing else.
PYTHON = json.loads(os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_PYTHON", '{"image": "python:3.12-slim"}'))
IMAGE = os.environ.get("UNIQUE_K8S_JOB_EXAMPLE_IMAGE", "busybox:1.36")

with DAG("functions_as_jobs", schedule=None, tags=["example"]):

    @task.unique_k8s_job(**PYTHON, ttl_seconds_after_finished=600)
    def cities() -> list[str]:
        return ["Lima", "Nairobi", "Osaka"]

    # A Job for each city, which the triggerer follows.
    @task.unique_k8s_job(**PYTHON, ttl_seconds_after_finished=600, deferrable=True, defer_after_seconds=0)
    def measure(city: str) -> dict[str, Any]:
        from collections import Counter

        letters = Counter(city.lower())
        print(f"{city} has {letters.total()} letters")
        return {"city": city, "letters": letters.total()}

    # This function runs in the worker, and its Job runs the command that it returns.
    @task.unique_k8s_job_cmd(image=IMAGE, ttl_seconds_after_finished=600)
    def report(measured: list[dict[str, Any]]) -> list[str]:
        longest = max(measured, key=lambda city: city["letters"])
        return ["echo", f"The longest name is {longest['city']}, with {longest['letters']} letters"]

    report(measure.expand(city=cities()))
