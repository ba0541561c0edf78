"""The path by which DAG files, loggers and serialized DAGs know `UniqueK8sJobSensor`; the class is in `sensors.job`."""

from __future__ import annotations

from unique_k8s_job.sensors.job import UniqueK8sJobSensor

__all__ = ["UniqueK8sJobSensor"]
