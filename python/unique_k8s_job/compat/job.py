"""`KubernetesJobOperator` of cncf.kubernetes, as a subclass of `UniqueK8sJobOperator`.

Promise: every parameter of the provider's class (10.25.0, with those of `KubernetesPodOperator`) is accepted, and means what
its documentation says; one that cannot mean anything gives one warning. What the provider does wrong is done right, and
stands in `docs/differences.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unique_k8s_job.compat import attributes, meanings, replaced, without_meaning
from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.plain import without_models
from unique_k8s_job.operators.job import UniqueK8sJobOperator
from unique_k8s_job.task.compat import Context

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobRequest
    from unique_k8s_job.task.log_writer import LogWriter

#: The arguments that `UniqueK8sJobOperator` has under the same name and with the same meaning.
SAME = (
    "kubernetes_conn_id",
    "namespace",
    "image",
    "cmds",
    "arguments",
    "ports",
    "volume_mounts",
    "volumes",
    "env_vars",
    "env_from",
    "secrets",
    "configmaps",
    "in_cluster",
    "cluster_context",
    "config_file",
    "labels",
    "annotations",
    "get_logs",
    "image_pull_policy",
    "container_resources",
    "affinity",
    "runtime_class_name",
    "node_selector",
    "service_account_name",
    "automount_service_account_token",
    "hostnetwork",
    "host_aliases",
    "tolerations",
    "security_context",
    "container_security_context",
    "dnspolicy",
    "dns_config",
    "hostname",
    "subdomain",
    "schedulername",
    "init_containers",
    "priority_class_name",
    "termination_grace_period",
    "termination_message_policy",
    "active_deadline_seconds",
    "skip_on_exit_code",
    "backoff_limit",
    "completion_mode",
    "completions",
    "parallelism",
    "suspend",
)


class KubernetesJobOperator(UniqueK8sJobOperator):
    """Run a Kubernetes Job, with the parameters of `KubernetesJobOperator` of cncf.kubernetes.

    `docs/parameters.md` says what becomes of each. The arguments of `UniqueK8sJobOperator` are accepted, too, and win.
    """

    __module__ = "unique_k8s_job.compat"

    #: A subclass may name its base container by this.
    BASE_CONTAINER_NAME = "base"

    # Assigned in `__init__`, and again by a subclass that changes its mind.
    wait_until_job_complete = attributes.ProviderAttribute(meanings.waiting)
    random_name_suffix = attributes.ProviderAttribute(meanings.name_policy)
    on_finish_action = attributes.ProviderAttribute(meanings.on_finish)
    on_kill_action = attributes.ProviderAttribute(meanings.on_stop)
    on_kill_propagation_policy = attributes.ProviderAttribute(meanings.on_stop)
    reattach_on_restart = attributes.ProviderAttribute(meanings.reattach)
    schedule_timeout_seconds = attributes.ProviderAttribute(meanings.startup)
    callbacks = attributes.ProviderAttribute(meanings.progress_callbacks)
    progress_callback = attributes.ProviderAttribute(meanings.progress_callbacks)
    job: attributes.JobMade | None = None

    template_fields: Sequence[str] = (
        *UniqueK8sJobOperator.template_fields,
        "job_template_file",
        "pod_template_file",
        "pod_template_dict",
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that overrides what is never called."""
        super().__init_subclass__(**kwargs)
        before = cls.__mro__[: cls.__mro__.index(KubernetesJobOperator)]
        names = [name for kind in before for name in vars(kind)]
        replaced.refuse(cls, "KubernetesJobOperator", replaced.OF_A_JOB, dict.fromkeys(names))

    def __init__(
        self,
        *,
        # Those of KubernetesJobOperator.
        job_template_file: Any = None,
        full_job_spec: Any = None,
        backoff_limit: Any = None,
        completion_mode: Any = None,
        completions: Any = None,
        manual_selector: bool | None = None,
        parallelism: Any = None,
        selector: Any = None,
        suspend: bool | None = None,
        ttl_seconds_after_finished: Any = None,
        wait_until_job_complete: bool = False,
        job_poll_interval: float | None = None,
        deferrable: bool | None = None,
        on_kill_propagation_policy: str | None = None,
        discover_pods_retry_number: int | None = None,
        unwrap_single: bool = True,
        # Those of KubernetesPodOperator.
        kubernetes_conn_id: str | None = "kubernetes_default",
        namespace: Any = None,
        image: Any = None,
        name: Any = None,
        random_name_suffix: bool = True,
        cmds: Any = None,
        arguments: Any = None,
        ports: Any = None,
        volume_mounts: Any = None,
        volumes: Any = None,
        env_vars: Any = None,
        env_from: Any = None,
        secrets: Any = None,
        in_cluster: bool | None = None,
        cluster_context: Any = None,
        labels: Any = None,
        reattach_on_restart: bool | None = None,
        durable: bool | None = None,
        startup_timeout_seconds: int | None = None,
        startup_check_interval_seconds: int | None = None,
        schedule_timeout_seconds: int | None = None,
        get_logs: bool = True,
        base_container_name: Any = None,
        base_container_status_polling_interval: float | None = None,
        init_container_logs: Any = None,
        container_logs: Any = None,
        image_pull_policy: Any = None,
        annotations: Any = None,
        container_resources: Any = None,
        affinity: Any = None,
        config_file: Any = None,
        runtime_class_name: Any = None,
        node_selector: Any = None,
        image_pull_secrets: Any = None,
        service_account_name: Any = None,
        automount_service_account_token: bool | None = None,
        hostnetwork: bool | None = None,
        host_aliases: Any = None,
        tolerations: Any = None,
        security_context: Any = None,
        container_security_context: Any = None,
        xcom_sidecar_container_security_context: Any = None,
        dnspolicy: Any = None,
        dns_config: Any = None,
        hostname: Any = None,
        subdomain: Any = None,
        schedulername: Any = None,
        full_pod_spec: Any = None,
        init_containers: Any = None,
        log_events_on_failure: bool = True,
        log_events_on_startup: bool = True,
        do_xcom_push: bool = False,
        pod_template_file: Any = None,
        pod_template_dict: Any = None,
        priority_class_name: Any = None,
        pod_runtime_info_envs: Any = None,
        termination_grace_period: Any = None,
        configmaps: Any = None,
        skip_on_exit_code: Any = None,
        poll_interval: float | None = None,
        log_pod_spec_on_failure: bool | None = None,
        on_finish_action: str | None = None,
        on_kill_action: str | None = None,
        is_delete_operator_pod: bool | None = None,
        termination_message_policy: Any = None,
        active_deadline_seconds: Any = None,
        callbacks: Any = None,
        progress_callback: Callable[[str], None] | None = None,
        logging_interval: int | None = None,
        trigger_kwargs: Any = None,
        container_name_log_prefix_enabled: bool = True,
        log_formatter: Callable[[str, str], str] | None = None,
        **kwargs: Any,
    ) -> None:
        given = locals()
        given["env_vars"] = with_runtime_envs(env_vars, pod_runtime_info_envs)
        ours: dict[str, Any] = {
            **{argument: given[argument] for argument in SAME},
            "name": name,
            "image_pull_secrets": image_pull_secrets.split(",")
            if isinstance(image_pull_secrets, str)
            else image_pull_secrets,
            "base_container_name": base_container_name or self._named_base_container(),
            "container_logs": container_logs,
            "init_container_logs": init_container_logs,
            "xcom_sidecar_security_context": xcom_sidecar_container_security_context,
            "deferrable": deferrable,
            "do_xcom_push": do_xcom_push,
            **(
                {} if ttl_seconds_after_finished is None else {"ttl_seconds_after_finished": ttl_seconds_after_finished}
            ),
        }
        super().__init__(**{**ours, **kwargs})
        self._own_words = frozenset(kwargs)
        self._provider_words = {"startup_timeout_seconds": startup_timeout_seconds, "do_xcom_push": do_xcom_push}
        self.schedule_timeout_seconds = schedule_timeout_seconds
        self.wait_until_job_complete = wait_until_job_complete
        self.random_name_suffix = random_name_suffix
        self.on_finish_action = on_finish_action
        self.on_kill_action = on_kill_action
        self.on_kill_propagation_policy = on_kill_propagation_policy
        self.reattach_on_restart = reattach_on_restart if durable is None else durable
        self.callbacks = callbacks
        self.progress_callback = progress_callback
        self._left_empty = frozenset(name for name in attributes.EMPTY if getattr(self, name) is None)
        for empty in self._left_empty:
            setattr(self, empty, attributes.EMPTY[empty]())
        self.job_template_file = job_template_file
        self.full_job_spec = full_job_spec
        self.pod_template_file = pod_template_file
        self.pod_template_dict = without_models(pod_template_dict)
        self.full_pod_spec = full_pod_spec
        self.unwrap_single = unwrap_single
        self.log_formatter = log_formatter
        # The caller of this is Airflow's wrapper of `__init__`, and its caller the DAG file.
        without_meaning.warn(self.task_id, self._without_meaning(given), stacklevel=3)

    def _named_base_container(self) -> str | None:
        return None if self.BASE_CONTAINER_NAME == "base" else self.BASE_CONTAINER_NAME

    def _without_meaning(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Return the given parameters that have no effect, with what to do instead."""
        # What is False or empty asks for nothing; only the prefix is switched off by it.
        found = {
            name: what
            for name, what in without_meaning.OF_A_JOB.items()
            if (given[name] is False if name == "container_name_log_prefix_enabled" else given[name])
        }
        if self.xcom != "sidecar":
            found |= {name: what for name, what in without_meaning.OF_THE_SIDECAR.items() if given[name]}
        if given["deferrable"] and not self.follows:
            found["deferrable"] = "the task does not wait for its Job. Give `wait_until_job_complete=True`"
        if self.deferrable and self.follows:
            for name in ("log_formatter", "progress_callback"):
                if given[name]:
                    found[name] = "it is called in the worker only, and not while the task is deferred"
        if given["do_xcom_push"] and not self.follows:
            found["do_xcom_push"] = "the task does not wait for its Job. Give `wait_until_job_complete=True`"
        if unused := meanings.unused_callbacks(given["callbacks"]):
            found["callbacks"] = (
                f"{', '.join(f'`{name}`' for name in unused)} cannot be called, for there is no Python client and no Pod "
                "object. Use Airflow's `on_execute_callback`, `on_success_callback` and `on_failure_callback`, and the "
                "XComs `job_name` and `job_namespace`; `progress_callback` is called for each line"
            )
        return found

    def __getattr__(self, name: str) -> Any:
        raise attributes.not_here(self, name)

    def argument(self, name: str) -> Any:
        """Return what is given for an argument; what was not given, and is still empty, is not given."""
        value = super().argument(name)
        return value if value or name not in self._left_empty else None

    def execute(self, context: Context) -> Any:
        """Run the Job; without `wait_until_job_complete` only until it is made."""
        self._read_do_xcom_push()
        # The provider's names begin with `job-`, and other tools may search for that.
        self.name = f"job-{self._own_name(context)}"
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None, **kwargs: Any) -> Any:
        """Go on after the deferral, see `UniqueK8sJobOperator`."""
        self._read_do_xcom_push()
        return super().execute_complete(context, event, **kwargs)

    def _read_do_xcom_push(self) -> None:
        """Look whether a subclass has changed its mind: this attribute is Airflow's own."""
        if self.do_xcom_push != self._provider_words["do_xcom_push"]:
            self._provider_words["do_xcom_push"] = self.do_xcom_push
            self.wait_until_job_complete = self.wait_until_job_complete

    def _know(self, job: Mapping[str, Any]) -> None:
        super()._know(job)
        self.job = attributes.JobMade(*(job[key] for key in ("namespace", "name", "uid")))

    def _conclude(self, outcome: dict[str, Any], context: Context, log: LogWriter) -> Any:
        value = super()._conclude(outcome, context, log)
        one = self.xcom is not None and "text" in (outcome.get("result") or {})
        return [value] if one and not self.unwrap_single else value

    def _own_name(self, context: Context) -> str:
        names = [self.name, *(part_name(part) for part in reversed(self.manifest_parts(context)))]
        name = next(filter(None, names), None)
        if self.name_policy == "unique":
            return str(name or self.task_id)
        # As the provider does it: a name keeps its hyphens, of a task id two of them are one.
        given = re.sub(r"[^a-z0-9-]+", "-", str(name).lower()) if name else None
        return given or re.sub(r"[^a-z0-9]+", "-", self.task_id.lower()).strip("-")

    def manifest_parts(self, context: Context) -> list[dict[str, Any]]:
        """Return the templates and specs, from the weakest to the strongest."""
        from unique_k8s_job.compat.templates import of_a_pod, read_file, read_object

        # With a manifest, the number of retries that it does not name is Kubernetes' own, as the provider documents it.
        parts: list[dict[str, Any]] = [{"apiVersion": "batch/v1", "kind": "Job"}, *super().manifest_parts(context)]
        if self.job_template_file:
            parts.append(read_file(self, "job_template_file"))
        if self.full_job_spec is not None:
            parts.append(read_object("full_job_spec", self.full_job_spec))
        if self.pod_template_file:
            parts.append(of_a_pod(read_file(self, "pod_template_file")))
        elif self.pod_template_dict:
            parts.append(of_a_pod(read_object("pod_template_dict", self.pod_template_dict)))
        if self.full_pod_spec is not None:
            parts.append(of_a_pod(read_object("full_pod_spec", self.full_pod_spec)))
        return parts

    def final_request(self, request: JobRequest, cluster: Cluster) -> JobRequest:
        """Let the installation's `pod_mutation_hook` change the Pods, as the provider does."""
        from unique_k8s_job.compat.pod_mutation import mutated

        return mutated(request, cluster)

    def log_sources(self, argument: str) -> Any:
        """Return whose logs are meant: not given, those of the base container."""
        if getattr(self, argument) is None:
            return "base" if argument == "container_logs" else {"named": []}
        return super().log_sources(argument)

    def write_log(self, event: Mapping[str, Any], log: LogWriter) -> None:
        """Write lines of a container, as `log_formatter` wants them, and call `progress_callback` for each."""
        if event["mark"]:
            super().write_log(event, log)
            return
        lines = event["text"].split("\n")
        if self.log_formatter is not None:
            # Each line stays one line, because the event says how many there are.
            formatted = [str(self.log_formatter(event["container"], line)) for line in lines]
            event = {**event, "text": "\n".join(" ".join(line.splitlines()) for line in formatted)}
        super().write_log(event, log)
        for call in list(self.progress_callbacks):
            try:
                for line in lines:
                    call(line, event)
            except Exception as error:  # noqa: BLE001  # somebody's callback must not end the Job
                # One that fails once fails for each line.
                self.progress_callbacks.remove(call)
                log.message(
                    f"progress_callback failed, and is not called again: {type(error).__name__}: {error}", "warning"
                )


def with_runtime_envs(env_vars: Any, more: Any) -> Any:
    """Return the environment with that of `pod_runtime_info_envs` after it.

    :raises InvalidManifestError: if both are given and the environment is a template of a whole list
    """
    if not more:
        return env_vars
    more = [item.to_k8s_client_obj() if hasattr(item, "to_k8s_client_obj") else item for item in more]
    if isinstance(env_vars, Mapping):
        env_vars = [{"name": key, "value": value} for key, value in env_vars.items()]
    if env_vars is not None and not isinstance(env_vars, (list, tuple)):
        raise InvalidManifestError(
            "`pod_runtime_info_envs` cannot be added to `env_vars`",
            seen=[f"`env_vars` is a value of type {type(env_vars).__name__}"],
            hint="give `env_vars` as a dict or a list, or put all variables into it",
            path="env_vars",
        )
    return [*(env_vars or ()), *more]


def part_name(part: Mapping[str, Any]) -> str | None:
    """Return the name that a part of a Job gives it."""
    metadata = part.get("metadata")
    return (metadata.get("name") or metadata.get("generateName")) if isinstance(metadata, Mapping) else None
