"""The path by which DAG files, loggers and serialized DAGs know `UniqueK8sJobHook`; the class is in
`hooks.kubernetes`."""

from __future__ import annotations

from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

__all__ = ["UniqueK8sJobHook"]
