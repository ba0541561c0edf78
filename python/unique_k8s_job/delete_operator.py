"""The path by which DAG files, loggers and serialized DAGs know `K8sJobDeleteOperator`; the class is in
`operators.delete_job`."""

from __future__ import annotations

from unique_k8s_job.operators.delete_job import K8sJobDeleteOperator

__all__ = ["K8sJobDeleteOperator"]
