"""`K8sJobPatchOperator`: suspends, resumes and scales a Job, and succeeds only once Kubernetes has acted on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unique_k8s_job import native
from unique_k8s_job.exceptions import ConfigurationError, UniqueK8sJobError
from unique_k8s_job.manifest.plain import fields_of, plain, without_models
from unique_k8s_job.request.arguments import connection, filled, flag, integer, seconds
from unique_k8s_job.request.literals import judge_connection
from unique_k8s_job.task.compat import BaseOperator, Context

if TYPE_CHECKING:
    from unique_k8s_job._core import PatchRequest


class K8sJobPatchOperator(BaseOperator):
    """Suspend, resume or scale a Kubernetes Job, whoever made it.

    Exactly the Job that was found is changed: each change is for its uid. A suspension has happened once no Pod of the Job
    works any more, a resumption once the Job controller has taken it up. The task returns `job`, `changed`, `suspended`,
    `parallelism`, `active` and `finished`.

    :param name: the Job's name
    :param uid: its uid; a Job of the same name with another uid is not changed
    :param namespace: its namespace; else that of the connection or the context, else `default`
    :param suspend: True ends its Pods until it is resumed, False resumes it
    :param parallelism: how many Pods run at once
    :param completions: how many Pods have to succeed; Kubernetes takes a change only of an `Indexed` Job, together with
        the same `parallelism`
    :param body: a part of a Job, spelled as in a manifest, for what the others do not say; lists merge by the keys of
        Kubernetes, and null removes a field
    :param timeout: how many seconds to wait until Kubernetes has acted; then the task fails, and the change stays
    :param kubernetes_conn_id: a connection of type `kubernetes`; the default one need not exist
    :param in_cluster: use the service account of the worker's Pod
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    :raises ConfigurationError: there is no such Job
    :raises NameTakenError: the Job of this name has another uid
    """

    template_fields: Sequence[str] = (
        "name",
        "uid",
        "namespace",
        "parallelism",
        "completions",
        "body",
        "kubernetes_conn_id",
        "config_file",
        "cluster_context",
    )
    ui_color = "#dbe9ff"

    def __init__(
        self,
        *,
        name: str,
        uid: str | None = None,
        namespace: str | None = None,
        suspend: bool | None = None,
        parallelism: int | str | None = None,
        completions: int | str | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: int = 120,
        kubernetes_conn_id: str | None = "kubernetes_default",
        in_cluster: bool | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.uid = uid
        self.namespace = namespace
        self.suspend = suspend if suspend is None else flag("suspend", suspend)
        self.parallelism = parallelism
        self.completions = completions
        self.body = without_models(body)
        self.timeout = seconds("timeout", timeout)
        self.kubernetes_conn_id = kubernetes_conn_id
        self.in_cluster = in_cluster
        self.config_file = config_file
        self.cluster_context = cluster_context
        judge_connection(self)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the Job, and return what it is like afterwards."""
        from unique_k8s_job import debug_log
        from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

        request = self.patch_request()
        try:
            patched = native.patch_job(UniqueK8sJobHook(**connection(self)).get_conn(), request)
        finally:
            debug_log.flush()
        job = f"Job `{patched['job']['namespace']}/{patched['job']['name']}` (uid {patched['job']['uid']})"
        state = "suspended" if patched["suspended"] else "not suspended"
        now = f"it is {state}, with parallelism {patched['parallelism']}"
        if not patched["confirmed"]:
            raise UniqueK8sJobError(
                f"{job} was changed, but Kubernetes has not acted on it for {self.timeout} s",
                seen=[now, f"{patched['active']} of its Pods have not ended"],
                hint=f"unique-k8s-job doctor -n {patched['job']['namespace']} --job {patched['job']['name']}",
            )
        if patched["finished"]:
            self.log.info("%s has ended, so the change has no effect any more", job)
        else:
            self.log.info("%s %s; %s", job, "was changed" if patched["changed"] else "is as wanted already", now)
        return {key: value for key, value in patched.items() if key != "confirmed"}

    def patch_request(self) -> PatchRequest:
        """Return the request for the core.

        :raises UniqueK8sJobError: if an argument cannot be used, naming it
        """
        name = filled("name", "" if self.name is None else self.name)
        uid = None if self.uid is None else filled("uid", self.uid)
        namespace = None if self.namespace is None else filled("namespace", self.namespace)
        fields = fields_of(self.body) if self.body is not None else {}
        if fields is None:
            raise ConfigurationError(
                "`body` has to be a part of a Job",
                seen=[f"a value of type {type(self.body).__name__}"],
                hint='give a dict such as {"spec": {"suspend": True}}',
                path="body",
            )
        body: dict[str, Any] = plain("body", fields)
        spec: dict[str, Any] = {} if self.suspend is None else {"suspend": self.suspend}
        for key in ("parallelism", "completions"):
            if getattr(self, key) is not None:
                spec[key] = integer(key, getattr(self, key))
        if spec:
            body["spec"] = {**(body.get("spec") or {}), **spec}
        return {
            "namespace": namespace,
            "name": name,
            "uid": uid,
            "body": body,
            "timeout_seconds": self.timeout,
        }
