"""`K8sJobDeleteOperator`: deletes Jobs, and succeeds only once they are gone and their work has stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unique_k8s_job import native
from unique_k8s_job.events import events
from unique_k8s_job.exceptions import ConfigurationError, StoppedError
from unique_k8s_job.request.arguments import connection, seconds
from unique_k8s_job.request.delete import (
    OnlyIf,
    PropagationPolicy,
    ReleaseStuck,
    WaitFor,
    delete_request,
    sentence,
)
from unique_k8s_job.request.literals import judge_connection
from unique_k8s_job.task.compat import BaseOperator, Context
from unique_k8s_job.task.settings import default_deferrable

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, DeleteRequest, Work
    from unique_k8s_job.task.log_writer import LogWriter

#: Seconds between two checks whether the rest can be left to the triggerer.
CHECK_EVERY = 10.0


class K8sJobDeleteOperator(BaseOperator):
    """Delete Kubernetes Jobs, whoever made them, and wait until they are gone.

    "Gone" means: the API server knows no Job of that uid any more, and no Pod of it still runs, except Pods that were
    orphaned on purpose (`pods_kept`). A Job that does not exist is gone. A Job of the same name with another uid is
    never touched. The task returns `deleted`, `released`, `skipped`, `pods_deleted` and `pods_kept`.

    A retry with a `label_selector` cannot know of Pods whose Jobs are gone already: the error of the first try names
    them.

    :param name: the Job's name; with `uid` only exactly that Job
    :param uid: the Job's uid; alone it costs a list of the namespace's Jobs
    :param label_selector: all Jobs with these labels, as in `kubectl -l`. Jobs that a task of `UniqueK8sJobOperator`
        owns and that have not finished, or whose outcome it has not recorded, are left alone unless `include_owned`
    :param namespace: the namespace of the Jobs; else that of the connection or the context, else `default`
    :param wait_for: `gone`, or `accepted`, which proves nothing
    :param timeout: seconds for the whole order; then the task fails and says what holds each Job that is still there
    :param release_stuck: whether a Job that waits for the garbage collector (`orphan`, `foregroundDeletion`) is
        released by a second DELETE with the policy Background: `ours` if this task asked for its deletion or an
        operator of this package made it, `gc` in any case, `never`. Finalizers of others are never touched. A Job that
        somebody else orphaned keeps its Pods unless `gc`
    :param release_after_seconds: seconds of deletion without progress after which it is released
    :param propagation_policy: `Background`, `Foreground`, or `Orphan`, which leaves the Pods
    :param only_if: delete only Jobs that are `finished`, `succeeded` or `failed`
    :param include_owned: let a selector also select Jobs that a task owns and that are unfinished or unrecorded
    :param deferrable: wait in the triggerer for a Job that is not gone at once. Orders by `label_selector` stay in the
        worker. Default: `[operators] default_deferrable`
    :param defer_after_seconds: how many seconds the worker waits before it defers
    :param kubernetes_conn_id: a connection of type `kubernetes`; the default one need not exist
    :param in_cluster: use the service account of the worker's Pod
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    :raises DeletionUnconfirmedError: a Job is still there, or a Pod of it may still run
    :raises ApiRefusedError: the API server refuses the deletion
    """

    #: Airflow stores this path, and names the logger by it, as with `UniqueK8sJobOperator`.
    __module__ = "unique_k8s_job.delete_operator"

    template_fields: Sequence[str] = (
        "name",
        "uid",
        "label_selector",
        "namespace",
        "kubernetes_conn_id",
        "config_file",
        "cluster_context",
    )
    ui_color = "#ffe4db"

    # These are attributes of the class, because a signal may come before `execute` has begun.
    _killed = False
    _work: Work | None = None

    def __init__(
        self,
        *,
        name: str | None = None,
        uid: str | None = None,
        label_selector: str | None = None,
        namespace: str | None = None,
        wait_for: WaitFor = "gone",
        timeout: int = 300,
        release_stuck: ReleaseStuck = "ours",
        release_after_seconds: int = 60,
        propagation_policy: PropagationPolicy = "Background",
        only_if: OnlyIf = "any",
        include_owned: bool = False,
        deferrable: bool | None = None,
        defer_after_seconds: int = 10,
        kubernetes_conn_id: str | None = "kubernetes_default",
        in_cluster: bool | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        #: The arguments that must still be there once the templates are rendered.
        self._given = {
            key
            for key, value in (
                ("name", name),
                ("uid", uid),
                ("label_selector", label_selector),
                ("namespace", namespace),
            )
            if value is not None
        }
        self.name = name
        self.uid = uid
        self.label_selector = label_selector
        self.namespace = namespace
        self.wait_for = wait_for
        self.timeout = timeout
        self.release_stuck = release_stuck
        self.release_after_seconds = release_after_seconds
        self.propagation_policy = propagation_policy
        self.only_if = only_if
        self.include_owned = include_owned
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.defer_after_seconds = seconds("defer_after_seconds", defer_after_seconds)
        self.kubernetes_conn_id = kubernetes_conn_id
        self.in_cluster = in_cluster
        self.config_file = config_file
        self.cluster_context = cluster_context
        judge_connection(self)

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete Jobs, and return which were deleted, released and skipped."""
        return self._carry_out(self._request(), context)

    def execute_complete(self, context: Context, event: Any = None, **_: Any) -> dict[str, Any]:
        """Carry the order to its end after the deferral, whatever the event says: the Job itself shows more."""
        from unique_k8s_job.task.delete_deferral import passed_in, seconds_left

        job, asked = passed_in(event)
        done = self._carry_out(
            self._request(
                **job,
                timeout=seconds_left(context, self.timeout),
                # To a second order, the first one's deletion looks like that of somebody else.
                release_stuck="gc" if asked and self.release_stuck == "ours" else self.release_stuck,
            )
        )
        if job["name"] not in done["deleted"]:  # the Job went while only the trigger was watching
            done["deleted"] = [*done["deleted"], job["name"]]
        return done

    def on_kill(self) -> None:
        """Wake `execute`; what was deleted stays deleted."""
        self._killed = True
        if self._work is not None:
            self._work.wake()

    def _request(self, **instead: Any) -> DeleteRequest:
        for key in self._given:
            if getattr(self, key) is None:
                raise ConfigurationError(
                    f"`{key}` was given and is None now; perhaps a template rendered to nothing", path=key
                )
        order: dict[str, Any] = {
            "name": self.name,
            "uid": self.uid,
            "label_selector": self.label_selector,
            "namespace": self.namespace,
            "wait_for": self.wait_for,
            "timeout": self.timeout,
            "release_stuck": self.release_stuck,
            "release_after_seconds": self.release_after_seconds,
            "propagation_policy": self.propagation_policy,
            "only_if": self.only_if,
            "include_owned": self.include_owned,
        }
        return delete_request(**{**order, **instead})

    def _carry_out(self, request: DeleteRequest, context: Context | None = None) -> dict[str, Any]:
        """Carry the order out to its end; with a context perhaps only until the task defers."""
        from unique_k8s_job import debug_log
        from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
        from unique_k8s_job.task.log_writer import LogWriter

        if self._killed:
            raise StoppedError("The task was stopped before anything was deleted")
        log = LogWriter.of_task(self.log)
        cluster = UniqueK8sJobHook(**connection(self)).get_conn()
        may_defer = context is not None and self.deferrable and self.wait_for == "gone" and not self.label_selector
        asked = may_defer and not self._deleting(cluster)
        work = self._work = native.delete_jobs(cluster, request)
        try:
            ended = self._follow(work, log, self.defer_after_seconds if may_defer else math.inf, cluster)
        finally:
            work.close()
            self._work = None
            debug_log.flush()
        if ended["kind"] == "waits" and context is not None:
            from unique_k8s_job.task.delete_deferral import defer

            log.message("The triggerer waits until the Job is gone")
            defer(self, context, ended["job"], asked=asked)
        return {key: value for key, value in ended.items() if key != "kind"}

    def _deleting(self, cluster: Cluster) -> bool:
        from unique_k8s_job.task.delete_deferral import only_waits

        return only_waits(cluster, self) is not None

    def _follow(self, work: Work, log: LogWriter, defer_after: float, cluster: Cluster) -> dict[str, Any]:
        from unique_k8s_job.task.delete_deferral import only_waits

        check_at = time.monotonic() + defer_after

        def left() -> float:
            return check_at - time.monotonic()

        while not self._killed:
            for event in events(work, left, stopped=lambda: self._killed):
                if event["kind"] == "message":
                    log.message(event["text"], event["level"])
                elif event["kind"] == "deleted":
                    log.message(sentence(event, gone=self.wait_for == "gone"))
                else:
                    return dict(event)
            if not self._killed and (job := only_waits(cluster, self)):
                return {"kind": "waits", "job": job}
            check_at = time.monotonic() + CHECK_EVERY
        raise StoppedError("The task was stopped before the deletion was confirmed; what was deleted stays deleted")
