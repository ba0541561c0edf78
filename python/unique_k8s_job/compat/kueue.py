"""`KubernetesStartKueueJobOperator` of cncf.kubernetes: `KubernetesJobOperator` with a queue."""

from __future__ import annotations

from typing import Any

from unique_k8s_job.compat.job import KubernetesJobOperator


class KubernetesStartKueueJobOperator(KubernetesJobOperator):
    """Run a Kubernetes Job once Kueue admits it, with the parameters of `KubernetesStartKueueJobOperator`.

    :param queue_name: the queue of Kueue, a LocalQueue of the Job's namespace
    """

    __module__ = "unique_k8s_job.compat"

    def __init__(self, queue_name: Any, **kwargs: Any) -> None:
        super().__init__(**{"queue_name": queue_name, **kwargs})
