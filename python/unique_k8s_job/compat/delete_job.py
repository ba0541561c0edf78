"""`KubernetesDeleteJobOperator` of cncf.kubernetes, as a subclass of `K8sJobDeleteOperator`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unique_k8s_job import native
from unique_k8s_job.compat import replaced
from unique_k8s_job.exceptions import StoppedError
from unique_k8s_job.operators.delete_job import K8sJobDeleteOperator
from unique_k8s_job.request.arguments import connection, one_of
from unique_k8s_job.task.compat import Context

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster
    from unique_k8s_job.task.log_writer import LogWriter

#: Seconds after which a wait notices at the latest that the task was stopped.
_NOTICE = 5.0


class KubernetesDeleteJobOperator(K8sJobDeleteOperator):
    """Delete a Kubernetes Job, with the parameters of `KubernetesDeleteJobOperator` of cncf.kubernetes.

    The task is green once the Job is gone and its Pods have stopped.

    :param name: the name of the Job
    :param namespace: its namespace
    :param kubernetes_conn_id: a connection of type `kubernetes`; the default one need not exist
    :param config_file: use this kubeconfig file
    :param in_cluster: use the service account of the worker's Pod
    :param cluster_context: use this context of the kubeconfig
    :param delete_on_status: `Complete` or `Failed`: delete the Job only if it has ended so
    :param wait_for_completion: wait first until the Job has ended
    :param poll_interval: without a meaning, because the Job is watched
    """

    __module__ = "unique_k8s_job.compat"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that overrides what is never called."""
        super().__init_subclass__(**kwargs)
        replaced.refuse(cls, "KubernetesDeleteJobOperator", replaced.OF_OTHERS, vars(cls))

    def __init__(
        self,
        *,
        name: Any,
        namespace: Any,
        kubernetes_conn_id: str | None = "kubernetes_default",
        config_file: Any = None,
        in_cluster: bool | None = None,
        cluster_context: Any = None,
        delete_on_status: str | None = None,
        wait_for_completion: bool = False,
        poll_interval: float | None = None,
        **kwargs: Any,
    ) -> None:
        del poll_interval
        of_status: Mapping[Any, Any] = {None: "any", "Complete": "succeeded", "Failed": "failed"}
        super().__init__(
            **{
                "name": name,
                "namespace": namespace,
                "kubernetes_conn_id": kubernetes_conn_id,
                "config_file": config_file,
                "in_cluster": in_cluster,
                "cluster_context": cluster_context,
                "only_if": of_status[one_of("delete_on_status", delete_on_status, *of_status)],
                **kwargs,
            }
        )
        self.wait_for_completion = wait_for_completion

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the Job, if wanted after its end."""
        if self.wait_for_completion:
            from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
            from unique_k8s_job.task.log_writer import LogWriter

            log = LogWriter.of_task(self.log)
            self._wait(UniqueK8sJobHook(**connection(self)).get_conn(), log)
        return super().execute(context)

    def _wait(self, cluster: Cluster, log: LogWriter) -> None:
        found = native.find_jobs(cluster, {"namespace": self.namespace, "name": self.name})
        for seen in found:
            job = seen["job"]
            # Only this Job is deleted, and no later one of its name.
            self.uid = job["uid"]
            if not seen["outcome"]:
                log.message(f"Waiting until Job `{job['namespace']}/{job['name']}` has ended")
                asyncio.run(self._ended(cluster, job, log))

    async def _ended(self, cluster: Cluster, job: Mapping[str, Any], log: LogWriter) -> None:
        from unique_k8s_job.request.job import foreign_job
        from unique_k8s_job.task.log_writer import write_down

        waiter = native.Waiter(cluster, foreign_job(job, until="finished", get_logs=False))
        try:
            while not self._killed:
                if outcome := await write_down(waiter, log, _NOTICE):
                    log.message(outcome["summary"])
                    return
        finally:
            waiter.close()
        raise StoppedError("The task was stopped before the Job had ended; nothing was deleted")
