"""What a subclass may know of the classes of cncf.kubernetes and does not find here, each with what to use instead.

Promise: an override of such a method is refused as the class is defined, because it would never be called, and what it does
would be missing in silence. `READS` has the words for whoever only reads such a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unique_k8s_job.exceptions import ConfigurationError

_MANIFEST = "give the fields as arguments, or a whole Job as `manifest` or `full_job_spec`"
_JOB = "give `manifest`, or override `manifest_parts`, which returns the parts of the Job"
_START = (
    "`startup_timeout_seconds` and `init_timeout_seconds` limit the start, and a Job that cannot start fails at once"
)
_FOLLOW = "override `execute`, call `super().execute(context)`, and use the summary that it returns"
_RETRY = "use `reattach`: a retry takes over the Job of the try before"
_END = "use `on_finish` and `ttl_seconds_after_finished`"
_CLIENT = (
    "use `UniqueK8sJobHook`, or the arguments `kubernetes_conn_id`, `config_file`, `in_cluster` and `cluster_context`"
)
_LOG = "use `get_logs`, `container_logs`, `init_container_logs` and `log_formatter`"
_RESULT = "use the return value of the task"
_STOP = "use `on_stop`, or override `on_kill` and call `super().on_kill()`"
_NAME = (
    "it has only `metadata.name`, `metadata.namespace` and `metadata.uid`. How the Job ended is in the summary that `execute` returns, "
    "and after a failure, or with `do_xcom_push=True`, in the XCom `job_outcome`"
)
_POD = (
    "there is no Pod object: the summary that `execute` returns, and after a failure, or with `do_xcom_push=True`, the XCom "
    "`job_outcome`, have the Pods of the Job as `pods`"
)
_LABELS = "use `labels`; the configuration option `task_labels` says which labels each Job has"

#: The methods of `KubernetesJobOperator` and of what it inherits that a subclass may have overridden, and what replaces each.
OF_A_JOB: Mapping[str, str] = {
    "build_pod_request_obj": _MANIFEST,
    "build_job_request_obj": _JOB,
    "create_job": _JOB,
    "deserialize_job_template_file": _JOB,
    "reconcile_jobs": _JOB,
    "reconcile_job_specs": _JOB,
    "dry_run": "override `manifest_parts`, which returns the parts of the Job",
    "get_or_create_pod": _RETRY,
    "find_pod": _RETRY,
    "get_pods": _FOLLOW,
    "process_duplicate_label_pods": _RETRY,
    "log_matching_pod": _RETRY,
    "patch_already_checked": _RETRY,
    "await_pod_start": _START,
    "await_init_containers_completion": _START,
    "await_pod_completion": _FOLLOW,
    "execute_sync": _FOLLOW,
    "execute_async": _FOLLOW,
    "execute_deferrable": _FOLLOW,
    "invoke_defer_method": _FOLLOW,
    "trigger_reentry": "override `execute_complete`, and call `super().execute_complete(context, event)`",
    "extract_xcom": _RESULT,
    "post_complete_action": _END,
    "cleanup": _END,
    "process_pod_deletion": _END,
    "is_istio_enabled": "use `on_lingering_sidecar`",
    "kill_istio_sidecar": "use `on_lingering_sidecar`",
    "convert_config_file_to_dict": _CLIENT,
    "pod_manager": _CLIENT,
    "hook": _CLIENT,
    "client": _CLIENT,
    "job_client": _CLIENT,
    "_set_name": "use `name`",
    "_get_ti_pod_labels": _LABELS,
    "_build_find_pod_label_selector": _LABELS,
    "_write_logs": _LOG,
    "_clean": _END,
    "_cleanup_monitoring_pods": _END,
    "_push_xcom_with_fan_out": _RESULT,
    "_handle_api_exception": _CLIENT,
    "_refresh_cached_properties": _CLIENT,
    "POD_CHECKED_KEY": _RETRY,
    "POST_TERMINATION_TIMEOUT": _LOG,
    "ISTIO_CONTAINER_NAME": "use `on_lingering_sidecar`",
}
#: What `KubernetesJobOperator` sets on itself while it runs.
_OF_A_RUN: Mapping[str, str] = {
    "job": _NAME,
    "job_request_obj": _JOB,
    "pods": _POD,
    "pod": _POD,
    "_pod": _POD,
    "remote_pod": _POD,
    "pod_request_obj": _JOB,
    "_config_dict": _CLIENT,
}
#: The parameters that our operator keeps under another name. Others are attributes under both, see `attributes`.
_RENAMED: Mapping[str, str] = {
    "durable": "use `reattach`",
    "xcom_sidecar_container_security_context": "use `xcom_sidecar_security_context`",
}
#: The names that a subclass of `KubernetesJobOperator` may have read of `self`, and what replaces each. Every operator of
#: Airflow has a `dry_run`.
READS: Mapping[str, str] = {
    **{name: what for name, what in OF_A_JOB.items() if name != "dry_run"},
    **_OF_A_RUN,
    **_RENAMED,
}
#: The overrides, and the reads, of the operators that delete and change Jobs.
OF_OTHERS: Mapping[str, str] = {"hook": _CLIENT, "client": _CLIENT}


def refuse(subclass: type, parent: str, replaced: Mapping[str, str], given: Iterable[str]) -> None:
    """Refuse a subclass that overrides one of these.

    :param parent: the name of the class that it is of
    :param replaced: what replaces each
    :param given: the names that the subclass defines
    :raises ConfigurationError: naming each override, and what replaces it
    """
    found = [name for name in given if name in replaced]
    if found:
        names = ", ".join(f"`{name}`" for name in found)
        raise ConfigurationError(
            f"`{subclass.__qualname__}` overrides {names} of cncf.kubernetes, which `{parent}` of unique-k8s-job does not call",
            seen=[f"`{name}`: {replaced[name]}" for name in found],
            hint="docs/differences.md has the replacement of each",
        )
