"""The path by which Airflow stores `UniqueK8sJobSensorTrigger`; the class is in `triggers.sensor`."""

from __future__ import annotations

from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

__all__ = ["UniqueK8sJobSensorTrigger"]
