"""The path by which DAG files, loggers and serialized DAGs know `UniqueK8sJobOperator`; the class is in
`operators.job`."""

from __future__ import annotations

from unique_k8s_job.operators.job import UniqueK8sJobOperator

__all__ = ["UniqueK8sJobOperator"]
