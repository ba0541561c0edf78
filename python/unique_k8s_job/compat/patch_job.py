"""`KubernetesPatchJobOperator` of cncf.kubernetes, as a subclass of `K8sJobPatchOperator`."""

from __future__ import annotations

from typing import Any

from unique_k8s_job.compat import replaced
from unique_k8s_job.operators.patch_job import K8sJobPatchOperator


class KubernetesPatchJobOperator(K8sJobPatchOperator):
    """Change a Kubernetes Job, with the parameters of `KubernetesPatchJobOperator` of cncf.kubernetes.

    :param name: the name of the Job
    :param namespace: its namespace
    :param body: a part of a Job, such as `{"spec": {"suspend": False}}`
    """

    __module__ = "unique_k8s_job.compat"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that overrides what is never called."""
        super().__init_subclass__(**kwargs)
        replaced.refuse(cls, "KubernetesPatchJobOperator", replaced.OF_OTHERS, vars(cls))

    def __init__(self, *, name: Any, namespace: Any, body: Any, **kwargs: Any) -> None:
        super().__init__(name=name, namespace=namespace, body=body, **kwargs)
