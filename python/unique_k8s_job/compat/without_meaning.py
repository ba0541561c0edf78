"""Warns of parameters of cncf.kubernetes that cannot mean anything here, and says what to use instead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

_WATCHED = "nothing is polled: the Job is watched, and each change is seen at once. Leave it out"

#: The parameters of `KubernetesJobOperator` without a meaning, and what to do.
OF_A_JOB: Mapping[str, str] = {
    "job_poll_interval": _WATCHED,
    "poll_interval": _WATCHED,
    "startup_check_interval_seconds": _WATCHED,
    "base_container_status_polling_interval": _WATCHED,
    "discover_pods_retry_number": "no Pod is searched for: the Job decides, and its Pods are followed as they come. Leave "
    "it out",
    "logging_interval": "the log of a deferred task is live. Leave it out",
    "trigger_kwargs": "the trigger takes no arguments of yours. Leave it out",
    "selector": "Kubernetes makes a selector that matches the Pods of this Job only. Leave it out, and use `labels`",
    "manual_selector": "Kubernetes makes a selector that matches the Pods of this Job only. Leave it out",
    "log_pod_spec_on_failure": "the spec is not written into the log, because it can hold secrets. The error says why the "
    "Pod failed; use `unique-k8s-job doctor --job NAME`, or `kubectl describe`",
    "is_delete_operator_pod": 'the provider does not read it either. Give `on_finish_action="delete_pod"` to delete the Job '
    "with its Pods once it has ended",
    "container_name_log_prefix_enabled": "a prefix stands only where several containers or Pods write. Leave it out, and "
    "choose the containers with `container_logs`",
}

#: The parameters that have a meaning only beside the sidecar of `xcom="sidecar"`, and what to do where there is none.
OF_THE_SIDECAR: Mapping[str, str] = {
    "xcom_sidecar_container_security_context": "the task has no sidecar, because its result needs none. Leave it out, or give "
    '`xcom="sidecar"`',
}


#: What is harmless, and stands in most DAG files: said once in a process, which is once for each parse of a file.
_ONCE = frozenset(name for name, what in OF_A_JOB.items() if what is _WATCHED)
_said: set[str] = set()


class MigrationWarning(UserWarning):
    """A parameter of cncf.kubernetes has no meaning here."""


def warn(task_id: str, parameters: Mapping[str, str], stacklevel: int) -> None:
    """Warn once of all these parameters of a task, each with what to do instead; of an interval only at the first task.

    :param stacklevel: that of the line in the DAG file, as for `warnings.warn` called from the caller
    """
    parameters = {name: what for name, what in parameters.items() if name not in _said}
    _said.update(_ONCE & set(parameters))
    if parameters:
        lines = "".join(f"\n  `{name}`: {what}" for name, what in sorted(parameters.items()))
        text = f"Task `{task_id}`: these parameters of cncf.kubernetes have no effect in unique-k8s-job:{lines}"
        warnings.warn(text, MigrationWarning, stacklevel=stacklevel + 1)
