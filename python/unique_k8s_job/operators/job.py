"""`UniqueK8sJobOperator`: one try of a task, one Kubernetes Job.

This layer is thin: the Rust core handles names, manifests, requests, watches, logs and outcomes. This file shows them
to Airflow.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from unique_k8s_job import native
from unique_k8s_job.events import events
from unique_k8s_job.exceptions import (
    StoppedError,
)
from unique_k8s_job.manifest.plain import without_models
from unique_k8s_job.request.arguments import (
    FIELD_VALIDATIONS,
    FINISHES,
    NAME_POLICIES,
    NOT_GIVEN,
    NotGiven,
    connection,
    exit_codes,
    fixed_name,
    log_sources,
    one_of,
    per_outcome,
    result_source,
    seconds,
    ttl,
)
from unique_k8s_job.request.literals import is_literal, judge, judge_queue, judge_ways_to_run
from unique_k8s_job.task.compat import BaseOperator, Context, moved_exception
from unique_k8s_job.task.settings import default_deferrable, job_url_template

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobRequest, Run, SubmittedEvent
    from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
    from unique_k8s_job.task.known_names import KnownNames
    from unique_k8s_job.task.log_writer import LogWriter
    from unique_k8s_job.task.settings import Settings

#: Arguments that are no templates; all others are.
_NOT_TEMPLATES = frozenset(
    {
        "name_policy",
        "skip_on_exit_code",
        "xcom",
        "suspend",
        "automount_service_account_token",
        "hostnetwork",
        "on_finish",
        "field_validation",
        "startup_timeout_seconds",
        "init_timeout_seconds",
        "queue_timeout_seconds",
        "handover_timeout_seconds",
        "reattach",
        "replace_lost",
        "release_stuck",
        "release_after_seconds",
        "on_lingering_sidecar",
        "on_process_end",
        "on_stop",
        "secrets",
        "get_logs",
        "container_logs",
        "init_container_logs",
        "log_levels",
        "log_line_times",
        "deferrable",
        "defer_after_seconds",
        "in_cluster",
    }
)


class _ExtraLinks:
    """The links of the operator: none unless the installation has a template. Airflow asks the class of a mapped task."""

    def __get__(self, task: object, kind: type[object]) -> Collection[Any]:
        if not job_url_template():
            return ()
        from unique_k8s_job.links.job import KubernetesJobLink

        return (KubernetesJobLink(),)


class UniqueK8sJobOperator(BaseOperator):
    """Run a Kubernetes Job to its end, under a name that no other try ever has.

    An argument that is not given leaves the manifest as it is. A given argument wins over the manifest, even if it is
    0, False or empty. The task returns a summary of the outcome: `state`, `job`, `containers`, `times`, ... With `xcom`
    it returns the result of the Job, and the summary is the XCom `job_outcome`, as it is after a failure. The XComs
    `job_name`, `job_namespace` and `job_uid` exist from the moment the Job exists; `job_deferred`, with the uid again,
    from the moment the triggerer has the Job.

    :param image: image of the base container
    :param base_container_name: the name of the base container, which comes first among the containers then; default:
        the one named `base`, else the first of the manifest
    :param cmds: its command
    :param arguments: its arguments
    :param env_vars: its environment, `{"NAME": "value"}` or a list as in a manifest; merged by name
    :param env_from: its `envFrom`
    :param configmaps: names of ConfigMaps whose keys are variables of it, besides those of `env_from`
    :param secrets: Secrets whose values it gets, as variables or as files: dicts such as `{"deploy_type": "env",
        "deploy_target": "PASSWORD", "secret": "database", "key": "password"}`, without `deploy_target` and `key` for all
        keys, or `{"deploy_type": "volume", "deploy_target": "/keys", "secret": "database"}`
    :param volumes: volumes of the Pod; merged by name
    :param volume_mounts: its mounts; merged by mount path
    :param container_resources: its resources, `{"requests": {...}, "limits": {...}}`
    :param service_account_name: service account of the Pod
    :param image_pull_policy: `Always`, `IfNotPresent` or `Never`
    :param image_pull_secrets: names of secrets, or a list as in a manifest; merged by name
    :param node_selector: labels a node must have
    :param affinity: affinity of the Pod
    :param tolerations: tolerations of the Pod
    :param namespace: the namespace of the Job; else that of the manifest, the connection, or the context, else
        `default`
    :param name: the beginning of the Job's name (at most 22 letters of it are kept); default: the `name` or
        `generateName` of the manifest, else the task id
    :param name_policy: `unique`, or `fixed`: then `name` is the whole name, for users who still need one. A finished
        Job of the same task in any run is deleted first. An unfinished or terminating one is waited for, at most
        `startup_timeout_seconds`. If the Job is anybody else's, the task fails and leaves the Job alone
    :param labels: labels of the Job and its Pods
    :param annotations: annotations of the Job and its Pods
    :param backoff_limit: how many failed Pods Kubernetes itself retries; without a manifest and without
        `backoff_limit_per_index` the default is 0, because Airflow has retries of its own
    :param completions: how many Pods have to succeed
    :param parallelism: how many Pods run at once
    :param completion_mode: `NonIndexed` or `Indexed`
    :param suspend: create the Job suspended, for a queue that resumes it
    :param active_deadline_seconds: Kubernetes fails the Job after this many seconds
    :param pod_failure_policy: which failures of Pods fail the Job at once, do not count, or fail their index
    :param success_policy: which indexes have to succeed, of an `Indexed` Job
    :param backoff_limit_per_index: how many failed Pods of each index Kubernetes retries, of an `Indexed` Job
    :param max_failed_indexes: with more failed indexes than this Kubernetes fails the Job
    :param pod_replacement_policy: `TerminatingOrFailed`: a new Pod starts when the old one begins to end; `Failed`:
        when it has ended
    :param managed_by: the controller that runs the Job instead of Kubernetes' own
    :param ports: ports of the base container; merged by `containerPort`
    :param container_security_context: security context of the base container
    :param termination_message_policy: of the base container, `File` or `FallbackToLogsOnError`
    :param init_containers: containers that run before the others, spelled as in a manifest; one with `restartPolicy:
        Always` is a sidecar that does not keep the Job from ending; merged by name
    :param security_context: security context of the Pod
    :param termination_grace_period: how many seconds a Pod has to end once it is deleted
    :param automount_service_account_token: whether the Pod gets the token of its service account
    :param priority_class_name: priority class of the Pod
    :param runtime_class_name: runtime class of the Pod
    :param schedulername: the scheduler of the Pod
    :param hostnetwork: use the network of the node
    :param host_aliases: lines of the Pod's `/etc/hosts`; merged by IP address
    :param hostname: host name of the Pod
    :param subdomain: the subdomain of its full host name
    :param dnspolicy: `ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`
    :param dns_config: DNS servers, search domains and options of the Pod
    :param ttl_seconds_after_finished: how many seconds the finished Job is kept, once its outcome is recorded. Not
        given: the manifest's TTL, else one day. None: for ever. By outcome: `{"succeeded": 60, "failed": 86400}`
    :param on_finish: `keep` the finished Job for its TTL, or `delete` it once its outcome is recorded, and confirm the
        deletion. By outcome: `{"succeeded": "delete", "failed": "keep"}`
    :param manifest: a whole Job: a dict, YAML text, or a `.yaml`, `.yml` or `.json` file, which is a template: an
        absolute path, or one relative to the DAG file or to `template_searchpath`. It may also be a CronJob, whose
        `jobTemplate` is run once, or a List with exactly one of them
    :param from_cron_job: the name of a CronJob in `namespace`, instead of `manifest`: its present `jobTemplate` is run
        once, as by `kubectl create job --from`. This needs the verb `get` on `cronjobs`
    :param field_validation: what becomes of a Job with fields that the API server does not know, such as misspelled
        ones: `strict` refuses it and names all of them; `warn` runs it without them and writes each into the log;
        `ignore` runs it without them and says nothing. Default: `[unique_k8s_job] field_validation`, `strict`
    :param startup_timeout_seconds: how many seconds nothing may run before the task fails and the Job is deleted. Until
        anything has started, the time counts from the Job's creation, its resumption, or the oldest Pod it has, by the
        clock of the API server, even if another process has waited meanwhile; a retry or a triggerer that comes late
        still waits 30 s. The time does not count while the Job is suspended, or has Pods that this identity may not
        list
    :param init_timeout_seconds: how many seconds the init containers of a Pod may run before the task fails and the Job is
        deleted. Without it there is no limit, because `startup_timeout_seconds` does not count while an init container
        runs. The time counts from the start of the first init container, by the clock of the API server, until another
        container of the Pod has started; a native sidecar (an init container with `restartPolicy: Always`) counts as
        one of the others. It does not count while the Job is suspended. A Job with several Pods fails with the first
        Pod whose time is over
    :param queue_name: the queue of Kueue that the Job waits in, a LocalQueue of its namespace. The Job is made suspended, and
        Kueue resumes it when it admits it; until then the log says why it waits, as far as the identity may list
        Workloads
    :param queue_timeout_seconds: how many seconds the Job may be held in the queue before the task fails and the Job is
        deleted; after an eviction they count anew. Without it there is no limit
    :param handover_timeout_seconds: how many seconds to wait for the Pods of a Job of an earlier try that is being
        deleted
    :param reattach: what a retry does with Jobs of earlier tries: `reattach` takes over a running Job and uses a
        success that no task recorded, `replace` deletes a running Job, `ignore` does not look for Jobs. A cleared task
        always starts afresh
    :param replace_lost: start a new Job although a Pod on a lost node may still run
    :param release_stuck: with a fixed name: which Jobs are released by a second DELETE if their deletion is stuck on
        the finalizers `orphan` or `foregroundDeletion`: `never` any, `ours` only, or `gc`: any Job
    :param release_after_seconds: how many seconds nothing must have changed before that
    :param on_lingering_sidecar: what to do if the base container has ended and another container keeps its Pod running:
        `wait`, or `finish`: the base container's exit code is the outcome, and the Job is deleted
    :param on_process_end: what becomes of the Job when the worker process ends: `leave` or `delete`. Default: the Job
        is left if another try will come, else deleted
    :param on_stop: what becomes of the Job when a user stops the task, or `execution_timeout` is over: `delete`, or
        `leave`: it goes on, and nobody follows it
    :param skip_on_exit_code: an exit code, or several, with which the container that decides the outcome skips the task
        instead of failing it; the Job counts as failed all the same
    :param xcom: what the task returns. Not given: the summary of the outcome. `termination-message`: the JSON value that
        the base container writes to `/airflow/xcom/return.json`, of which Kubernetes hands over less than 4096 bytes,
        and less if the Pod has more than three containers. `sidecar`: the same file, up to 256 KiB of it, which a
        sidecar prints when the base container has ended. The task fails if the value is cut or is no JSON. Without a
        value it is None; of an `Indexed` Job it is a dict by index, of a Job with several completions a list
    :param xcom_sidecar_image: image of that sidecar, which needs a shell. Default: the extra
        `xcom_sidecar_container_image` of the connection, else `busybox:1.36`
    :param xcom_sidecar_resources: its `requests` and `limits`. Default: the extra `xcom_sidecar_container_resources` of the
        connection, else 1m CPU and 10Mi, with limits if the base container has some
    :param xcom_sidecar_security_context: its security context. Default: the extra
        `xcom_sidecar_container_security_context` of the connection, else that of the base container
    :param get_logs: write the containers' logs into the task log
    :param container_logs: of which containers: True for all of them, one name, or several
    :param init_container_logs: of which init containers, in the same way
    :param log_levels: give a line of a container the level that it names (`ERROR`, `level=warn`, `"level": "error"`),
        so that Airflow's filter finds it; False makes all of them `info`. Default: `[unique_k8s_job] log_levels`, True
    :param log_line_times: write the container's time before each line that shares a record with others. Default:
        `[unique_k8s_job] log_line_times`, False
    :param deferrable: wait in the triggerer and not in a worker; the log stays live. Default: `[operators]
        default_deferrable`
    :param defer_after_seconds: how many seconds the worker follows the Job before it defers, so that short Jobs never
        defer. Use 0 for many mapped tasks at once, because each holds its worker slot that long
    :param kubernetes_conn_id: a connection of type `kubernetes`; the default one need not exist
    :param in_cluster: use the service account of the worker's Pod
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    :raises JobFailedError: the Job failed
    :raises JobVanishedError: the Job is gone and nobody saw it end
    :raises JobStartupError: the Job cannot start; it is deleted
    :raises JobResultError: the Job succeeded, and its result (`xcom`) cannot be used
    """

    #: Airflow stores this path in serialized DAGs, and names the logger by it, so it stays that of the first version.
    __module__ = "unique_k8s_job.operator"

    template_fields_renderers: ClassVar[dict[str, str]] = {
        "manifest": "yaml",
        "env_vars": "json",
        "container_resources": "json",
    }
    ui_color = "#dbe9ff"
    operator_extra_links: Any = _ExtraLinks()

    #: Whether the task waits for the end of its Job.
    follows = True

    # These are attributes of the class, because a signal may come before `execute` has begun, and after it has ended.
    _killed = False
    _over = False
    _run: Run | None = None
    _job_uid: str | None = None
    #: Its namespace and its name.
    _job_reference = ("", "")
    #: The page of the Job in a dashboard, once there is a Job.
    job_url = ""

    def __init__(
        self,
        *,
        base_container_name: str | None = None,
        image: str | None = None,
        cmds: Sequence[str] | None = None,
        arguments: Sequence[str] | None = None,
        env_vars: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        env_from: Sequence[Mapping[str, Any]] | None = None,
        configmaps: Sequence[str] | None = None,
        secrets: Sequence[Any] | None = None,
        volumes: Sequence[Mapping[str, Any]] | None = None,
        volume_mounts: Sequence[Mapping[str, Any]] | None = None,
        container_resources: Mapping[str, Any] | None = None,
        service_account_name: str | None = None,
        image_pull_policy: str | None = None,
        image_pull_secrets: Sequence[str | Mapping[str, Any]] | None = None,
        node_selector: Mapping[str, str] | None = None,
        affinity: Mapping[str, Any] | None = None,
        tolerations: Sequence[Mapping[str, Any]] | None = None,
        namespace: str | None = None,
        name: str | None = None,
        name_policy: Literal["unique", "fixed"] = "unique",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        backoff_limit: int | str | None = None,
        completions: int | str | None = None,
        parallelism: int | str | None = None,
        completion_mode: str | None = None,
        suspend: bool | None = None,
        active_deadline_seconds: int | str | None = None,
        pod_failure_policy: Mapping[str, Any] | None = None,
        success_policy: Mapping[str, Any] | None = None,
        backoff_limit_per_index: int | str | None = None,
        max_failed_indexes: int | str | None = None,
        pod_replacement_policy: str | None = None,
        managed_by: str | None = None,
        ports: Sequence[Mapping[str, Any]] | None = None,
        container_security_context: Mapping[str, Any] | None = None,
        termination_message_policy: str | None = None,
        init_containers: Sequence[Mapping[str, Any]] | None = None,
        security_context: Mapping[str, Any] | None = None,
        termination_grace_period: int | str | None = None,
        automount_service_account_token: bool | None = None,
        priority_class_name: str | None = None,
        runtime_class_name: str | None = None,
        schedulername: str | None = None,
        hostnetwork: bool | None = None,
        host_aliases: Sequence[Mapping[str, Any]] | None = None,
        hostname: str | None = None,
        subdomain: str | None = None,
        dnspolicy: str | None = None,
        dns_config: Mapping[str, Any] | None = None,
        ttl_seconds_after_finished: int | str | Mapping[str, int | str | None] | NotGiven | None = NOT_GIVEN,
        on_finish: str | Mapping[str, str] = "keep",
        manifest: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        from_cron_job: str | None = None,
        field_validation: Literal["strict", "warn", "ignore"] | None = None,
        startup_timeout_seconds: int = 600,
        init_timeout_seconds: int | None = None,
        queue_name: str | None = None,
        queue_timeout_seconds: int | None = None,
        handover_timeout_seconds: int = 60,
        reattach: Literal["reattach", "replace", "ignore"] = "reattach",
        replace_lost: bool = False,
        release_stuck: Literal["never", "ours", "gc"] = "ours",
        release_after_seconds: int = 60,
        on_lingering_sidecar: Literal["wait", "finish"] = "wait",
        on_process_end: Literal["leave", "delete"] | None = None,
        on_stop: Literal["delete", "leave"] = "delete",
        skip_on_exit_code: int | Collection[int] | None = None,
        xcom: Literal["termination-message", "sidecar"] | None = None,
        xcom_sidecar_image: str | None = None,
        xcom_sidecar_resources: Mapping[str, Any] | None = None,
        xcom_sidecar_security_context: Mapping[str, Any] | None = None,
        get_logs: bool = True,
        container_logs: Literal[True] | str | Sequence[str] = True,
        init_container_logs: Literal[True] | str | Sequence[str] = True,
        log_levels: bool | None = None,
        log_line_times: bool | None = None,
        deferrable: bool | None = None,
        defer_after_seconds: int = 10,
        kubernetes_conn_id: str | None = "kubernetes_default",
        in_cluster: bool | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = locals()
        super().__init__(**kwargs)
        # Each argument becomes an attribute of its name. The lines below check some, or set a default that only Airflow
        # knows.
        for argument in self._arguments:
            setattr(self, argument, without_models(given[argument]))
        self.namespace = namespace
        self.name = name
        self.name_policy = one_of("name_policy", name_policy, *NAME_POLICIES)
        if name is None:
            fixed_name(name_policy, name)
        self.ttl_seconds_after_finished = ttl_seconds_after_finished
        per_outcome("on_finish", on_finish, lambda argument, word: one_of(argument, word, *FINISHES))
        self.on_finish = on_finish
        self.manifest = without_models(manifest)
        self.from_cron_job = from_cron_job
        self.field_validation = field_validation and one_of("field_validation", field_validation, *FIELD_VALIDATIONS)
        self.startup_timeout_seconds = startup_timeout_seconds
        self.init_timeout_seconds = init_timeout_seconds
        self.queue_name = queue_name
        self.queue_timeout_seconds = queue_timeout_seconds
        self.handover_timeout_seconds = handover_timeout_seconds
        self.reattach = one_of("reattach", reattach, "reattach", "replace", "ignore")
        self.replace_lost = replace_lost
        self.release_stuck = one_of("release_stuck", release_stuck, "never", "ours", "gc")
        self.release_after_seconds = release_after_seconds
        self.on_lingering_sidecar = one_of("on_lingering_sidecar", on_lingering_sidecar, "wait", "finish")
        self.on_process_end = on_process_end and one_of("on_process_end", on_process_end, "leave", "delete")
        self.on_stop = one_of("on_stop", on_stop, "delete", "leave")
        for logs in ("container_logs", "init_container_logs"):
            log_sources(logs, given[logs])
        self.skip_on_exit_code = exit_codes("skip_on_exit_code", skip_on_exit_code)
        self.xcom = result_source(xcom, on_lingering_sidecar)
        self.xcom_sidecar_image = xcom_sidecar_image
        self.xcom_sidecar_resources = without_models(xcom_sidecar_resources)
        self.xcom_sidecar_security_context = without_models(xcom_sidecar_security_context)
        self.get_logs = get_logs
        self.log_levels = log_levels
        self.log_line_times = log_line_times
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.defer_after_seconds = seconds("defer_after_seconds", defer_after_seconds)
        self.kubernetes_conn_id = kubernetes_conn_id
        self.in_cluster = in_cluster
        self.config_file = config_file
        self.cluster_context = cluster_context
        judge(self)
        judge_ways_to_run(manifest, from_cron_job)
        judge_queue(queue_name, suspend)
        for limit in ("startup_timeout_seconds", "handover_timeout_seconds", "release_after_seconds"):
            seconds(limit, getattr(self, limit))
        if is_literal(ttl_seconds_after_finished):
            per_outcome("ttl_seconds_after_finished", ttl_seconds_after_finished, ttl)

    _arguments: ClassVar[Sequence[str]] = tuple(inspect.signature(__init__).parameters)[1:-1]
    template_fields: Sequence[str] = tuple(name for name in _arguments if name not in _NOT_TEMPLATES)

    def execute(self, context: Context) -> Any:
        """Run the Job and return its result, or the summary of its outcome."""
        from unique_k8s_job.request.job import plain_request
        from unique_k8s_job.task.job_request import request_of
        from unique_k8s_job.task.known_names import KnownNames
        from unique_k8s_job.task.log_writer import LogWriter
        from unique_k8s_job.task.settings import settings

        _load_what_the_end_needs()
        options = settings()
        self._over, self._job_uid = False, None
        log = LogWriter.of_task(self.log)
        hook = self._hook()
        cluster = hook.get_conn()
        names = KnownNames(context.get("task_state_store"), lambda text: log.message(text, "warning"))
        wanted = request_of(self, context, options, names, log)
        if self.xcom == "sidecar":
            wanted["result_sidecar"] = {**hook.xcom_sidecar(), **wanted["result_sidecar"]}
        request = native.CheckedRequest(self.final_request(plain_request(wanted), cluster))
        names.add(native.job_name(request))
        if self._killed:
            raise StoppedError("The task was stopped before its Job was made")
        run = self._run = native.Run(cluster, request)
        end = self._judged(run, context, options, log, lambda: self._follow(run, context, names, log))
        if end["kind"] == "handed_over":
            self._defer(context, end["job"], log)
        if end["kind"] == "made":
            log.message("The task does not wait for the Job: it is green now, and the Job goes on")
            return {"state": "made", "job": end["job"]}
        return self._conclude(end, context, log)

    def execute_complete(self, context: Context, event: Any = None, **_: Any) -> Any:
        """Go on after the deferral, as `execute` does once it knows how the Job ended.

        :param event: the event of the trigger
        """
        from unique_k8s_job.task import deferral
        from unique_k8s_job.task.log_writer import LogWriter
        from unique_k8s_job.task.settings import settings

        _load_what_the_end_needs()
        self._over = False
        log = LogWriter.of_task(self.log)
        request = deferral.resumed(event)
        run = self._run = native.resume(self._hook().get_conn(), json.dumps(request))
        self._know(request["job"])
        self._link(context)
        end = self._judged(run, context, settings(), log, lambda: deferral.outcome(event))
        return self._conclude(end, context, log)

    def manifest_parts(self, context: Context) -> list[dict[str, Any]]:
        """Return the parts of the manifest; each is laid over the one before, and the arguments over the last."""
        from unique_k8s_job.task.manifest_file import manifest_of

        manifest = manifest_of(self, context)
        return [] if manifest is None else [manifest]

    def argument(self, name: str) -> Any:
        """Return what is given for an argument that goes into the Job; None is not given."""
        return getattr(self, name)

    def final_request(self, request: JobRequest, cluster: Cluster) -> JobRequest:
        """Return the request as it is run; a class of `compat` lets the installation change it first."""
        return request

    def log_sources(self, argument: str) -> Any:
        """Return whose logs an argument means, as a request says it."""
        return log_sources(argument, getattr(self, argument))

    def write_log(self, event: Mapping[str, Any], log: LogWriter) -> None:
        """Write lines of a container into the task log."""
        log.lines(event)

    def on_kill(self) -> None:
        """Wake `execute`, which decides: the thread of a signal must neither wait nor ask Airflow anything."""
        if not self._over:  # Airflow also calls it after a timeout has passed through `execute`
            self._killed = True
        if self._run is not None:
            self._run.wake()

    # --- the story of execute, step by step -------------------------------------------------------------------------

    def _hook(self) -> UniqueK8sJobHook:
        from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

        return UniqueK8sJobHook(**connection(self))

    def _judged(
        self, run: Run, context: Context, options: Settings, log: LogWriter, wait: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Wait for the end of the Job and acknowledge it, or decide about the Job if the task ends first."""
        from unique_k8s_job import debug_log
        from unique_k8s_job.task import metrics
        from unique_k8s_job.task.early_end import Made, end_early

        try:
            end = wait()
            if end["kind"] == "outcome":
                metrics.ended(context["ti"], end)
                log.message(end["timeline"])
                for said in run.acknowledge():
                    log.message(said["text"], said["level"])
        except BaseException as error:
            action = self.on_process_end or options.on_process_end
            job = Made(self._job_uid, *self._job_reference)
            end_early(
                context,
                run,
                error,
                log,
                job=job,
                killed=self._killed,
                on_process_end=action,
                on_stop=self.on_stop,
                limit=self.execution_timeout,
            )
            raise
        finally:
            run.close()
            self._run = None
            self._over = True
            # Airflow ends the process of a task without Python's normal exit, which would flush this.
            debug_log.flush()
        return end

    def _defer(self, context: Context, job: str, log: LogWriter) -> NoReturn:
        from unique_k8s_job.task import deferral

        log.message("The triggerer follows the Job from now on")
        self.defer(trigger=deferral.trigger(self, context, job), method_name="execute_complete")

    def _follow(self, run: Run, context: Context, names: KnownNames, log: LogWriter) -> dict[str, Any]:
        """Write the log until the outcome is there, or it is time to defer.

        :raises StoppedError: after `on_kill`
        """
        from unique_k8s_job.task import metrics

        defer_at = time.monotonic() + self.defer_after_seconds if self.deferrable else math.inf

        def left() -> float:
            return math.inf if self._job_uid is None else defer_at - time.monotonic()

        for event in events(run, left, stopped=lambda: self._killed):
            if self._killed:
                break
            if event["kind"] == "log":
                self.write_log(event, log)
            elif event["kind"] == "message":
                metrics.said(context["ti"], event["code"])
                log.message(event["text"], event["level"])
            elif event["kind"] == "submitted":
                self._submitted(event, context, names, log)
                if not self.follows:
                    run.hand_over()
                    return {"kind": "made", "job": {key: event[key] for key in ("namespace", "name", "uid")}}
            else:
                return dict(event)
        if self._killed:
            raise StoppedError("The task was stopped before its Job had ended")
        return self._hand_over(run, context)

    def _hand_over(self, run: Run, context: Context) -> dict[str, Any]:
        from unique_k8s_job.task import stop_in_worker
        from unique_k8s_job.triggers.left_behind import DEFERRED_UID

        # This XCom is how the Job is found, and deleted, if the task is stopped before its trigger has begun.
        ti: Any = context["ti"]
        if self.on_stop == "delete":
            ti.xcom_push(key=DEFERRED_UID, value=self._job_uid)
        # A stopped task may not know of the stop yet: Airflow would refuse its deferral, and nobody would follow its
        # Job.
        if stop_in_worker.stopped(context):
            self._killed = True
        job = run.hand_over()
        if self._killed or job is None:
            raise StoppedError("The task was stopped before its Job had ended")
        return {"kind": "handed_over", "job": job}

    def _submitted(self, event: SubmittedEvent, context: Context, names: KnownNames, log: LogWriter) -> None:
        from unique_k8s_job.task import metrics

        self._know(event)
        ti: Any = context["ti"]
        ti.xcom_push(key="job_name", value=event["name"])
        ti.xcom_push(key="job_namespace", value=event["namespace"])
        ti.xcom_push(key="job_uid", value=event["uid"])  # the last: who finds it finds the others
        self._link(context)
        self._store_link(context, log)
        names.add(event["name"])
        metrics.submitted(ti, event["origin"])
        how = {
            "created": "Created",
            "adopted": "Found, made by this same try:",
            "taken_over": f"Taken over from try {event['try_number']}, still at work:",
            "outcome_used": f"Try {event['try_number']} left a finished Job, whose outcome is used:",
        }[event["origin"]]
        namespace, name = event["namespace"], event["name"]
        log.message(
            f"{how} Job `{namespace}/{name}` (uid {event['uid']}); "
            f"to see it: kubectl -n {namespace} describe job {name}"
        )

    def _know(self, job: Mapping[str, Any]) -> None:
        self._job_uid, self._job_reference = job["uid"], (job["namespace"], job["name"])

    def _link(self, context: Context) -> None:
        """Make the link to the Job, if the installation has a template."""
        if not (template := job_url_template()):
            return
        from unique_k8s_job.links.job import job_url

        ti: Any = context["ti"]
        namespace, job = self._job_reference
        own = {"namespace": namespace, "job": job, "uid": self._job_uid}
        cluster = self.cluster_context or self.kubernetes_conn_id
        ids = {name: getattr(ti, name, "") for name in ("dag_id", "task_id", "run_id", "map_index", "try_number")}
        self.job_url = job_url(template, {**own, "cluster": cluster or "", **ids})

    def _store_link(self, context: Context, log: LogWriter) -> None:
        if self.job_url:
            from unique_k8s_job.links.job import JOB_URL

            self._store(context, JOB_URL, self.job_url, log)

    def _store(self, context: Context, key: str, value: Any, log: LogWriter) -> None:
        """Store an XCom that only tells. This never fails the task, and never hides another error."""
        from unique_k8s_job.described import failure

        try:
            ti: Any = context["ti"]
            ti.xcom_push(key=key, value=value)
        except Exception as error:  # noqa: BLE001
            log.message(f"The XCom `{key}` was not stored: {failure(error)}", "warning")

    def _conclude(self, outcome: dict[str, Any], context: Context, log: LogWriter) -> Any:
        """Return what the task returns after a success, or raise the error of any other outcome, or a skip."""
        from unique_k8s_job.task import job_result

        if self._killed:
            # A return would make a task succeed that Airflow or its user has stopped.
            raise StoppedError("The task was stopped as its Job ended", seen=outcome["summary"].splitlines()[:1])
        if outcome["state"] == "succeeded":
            log.message(outcome["summary"])
            if self.xcom is None:
                return job_result.summary(outcome)
            result = job_result.result(outcome)
            if result is None:
                log.message(f"Its base container wrote no result to {native.RESULT_FILE}, so the result is None")
            ti: Any = context["ti"]
            ti.xcom_push(key=job_result.JOB_OUTCOME, value=job_result.summary(outcome))
            return result
        failure = job_result.failure(outcome)
        self._store(context, job_result.JOB_OUTCOME, job_result.summary(outcome), log)
        if failure.exit_code in self.skip_on_exit_code:
            raise moved_exception("AirflowSkipException")(f"Skipped for its exit code {failure.exit_code}: {failure}")
        raise failure


def _load_what_the_end_needs() -> None:
    """Import the modules of the end of a task before there is a Job: a stop leaves no time for it.

    They are not imported with this module, because every parse of a DAG file would pay for them.
    """
    for module in ("debug_log", "task.early_end", "task.job_result", "task.metrics"):
        import_module(f"unique_k8s_job.{module}")
