"""Lets the installation's `pod_mutation_hook` change the Pods of a Job, as cncf.kubernetes does.

Promise: the hook sees the Pod template as it would be sent, as a `V1Pod`, and what it changes goes into the Job. Without a
hook the package `kubernetes` is not imported. If the hook cannot be called, or fails, nothing is sent.
"""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from unique_k8s_job import native
from unique_k8s_job.compat.templates import of_a_pod
from unique_k8s_job.described import failure
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.manifest.plain import fields_of, is_list, plain
from unique_k8s_job.task.compat import moved_exception
from unique_k8s_job.task.compat.pod_mutation_hook import files_of, pod_mutation_hook

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster, JobRequest

#: Raised by a hook they decide about the task, as they do for the provider's operator.
_DECISIONS = ("AirflowSkipException", "AirflowFailException")


def mutated(request: JobRequest, cluster: Cluster) -> JobRequest:
    """Return the request with the Pod template that the installation's hook has left; without a hook the same request.

    :raises ConfigurationError: if the hook cannot be called, or fails, naming it
    :raises InvalidManifestError: if what the hook has left cannot be a part of a Job
    """
    hook = pod_mutation_hook()
    if hook is None:
        return request
    files = files_of(hook)
    name = f"`pod_mutation_hook` ({', '.join(files)})" if files else "`pod_mutation_hook`"
    if request.get("from_cron_job"):
        raise ConfigurationError(
            f"{name} of this installation cannot be called for a Job that is made from a CronJob of the cluster",
            hint="give `manifest` instead of `from_cron_job`, or use `UniqueK8sJobOperator`, which does not call the hook",
            path="from_cron_job",
        )
    checked = native.CheckedRequest(request)
    template = json.loads(native.assemble(checked))["spec"]["template"]
    namespace, job = native.destination(cluster, checked)
    metadata = {**(template.get("metadata") or {}), "name": job, "namespace": namespace}
    pod = _model_of({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}, name)
    _call(hook, pod, name, files)
    changed = of_a_pod(plain("pod_mutation_hook", pod))
    return {**request, "pod_template": changed["spec"]["template"]}


def _model_of(pod: dict[str, Any], hook: str) -> Any:
    """Return a Pod as the model of the Kubernetes client, with the fields that this version of it does not know.

    :raises ConfigurationError: if the client cannot be imported
    """
    try:
        client = import_module("kubernetes.client")
    except ImportError as error:
        raise ConfigurationError(
            f"{hook} of this installation cannot be called: its argument is a `V1Pod` of the package `kubernetes`",
            seen=[failure(error)],
            hint="install `kubernetes` where the tasks run, or use `UniqueK8sJobOperator`, which does not call the hook",
        ) from error
    options = client.Configuration()
    # What is wrong with a Pod is said by the API server.
    options.client_side_validation = False
    try:
        model = _deserialized(client.ApiClient(options), json.dumps(pod))
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidManifestError(
            f"The Pod template cannot be given to {hook}: the package `kubernetes` cannot read it",
            seen=[failure(error)],
            hint="correct the types of its fields",
            path="spec.template",
        ) from error
    _keep_unknown(pod, model)
    return model


def _deserialized(client: Any, pod: str) -> Any:
    """Read a Pod as the API client does. Before version 37 it took the response, since then the text of one."""
    if "content_type" in inspect.signature(client.deserialize).parameters:
        return client.deserialize(pod, "V1Pod", "application/json")
    return client.deserialize(SimpleNamespace(data=pod), "V1Pod")


def _keep_unknown(given: Any, model: Any) -> None:
    """Give each model the fields that it has dropped as attributes of its own, so that they leave and come with it.

    An old client drops what is newer than itself: without its `restartPolicy` a sidecar would never end.
    """
    if is_list(given) and is_list(model):
        for item, of_item in zip(given, model):
            _keep_unknown(item, of_item)
    elif isinstance(given, Mapping):
        known = fields_of(model)
        if known is None:
            return
        for field, value in given.items():
            if field in known:
                _keep_unknown(value, known[field])
            elif value is not None and known is not model:
                attribute = f"_unknown_{field}"
                # Since version 37 of the client a model refuses to set what it does not declare.
                object.__setattr__(model, "attribute_map", {**model.attribute_map, attribute: field})
                object.__setattr__(model, attribute, value)


def _call(hook: Callable[[Any], object], pod: Any, name: str, files: list[str]) -> None:
    try:
        hook(pod)
    except tuple(moved_exception(decision) for decision in _DECISIONS):
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = next((frame for frame in reversed(frames) if frame.filename in files), frames[-1])
        raise ConfigurationError(
            f"{name} of this installation failed, so no Job was made",
            seen=[f"{failure(error)} at {place.filename}:{place.lineno}"],
            hint="correct the hook; the traceback has the text of its error",
        ) from error
