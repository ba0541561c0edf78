"""Reads the templates and specs of Jobs and Pods that a task of cncf.kubernetes names, as parts of a Job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.encoding import missing_file, read_text
from unique_k8s_job.manifest.plain import fields_of, plain
from unique_k8s_job.manifest.read import read_manifest

if TYPE_CHECKING:
    from unique_k8s_job.operators.job import UniqueK8sJobOperator

#: What a Pod of a template is named, and where, is the Job's to say.
_OF_THE_JOB = ("name", "generateName", "namespace")


def read_object(argument: str, value: Any) -> dict[str, Any]:
    """Return a dict or a model of the Kubernetes client as plain values.

    :raises InvalidManifestError: if it is anything else
    """
    fields = fields_of(value)
    if fields is None:
        raise InvalidManifestError(
            f"The argument `{argument}` has to be a dict, or a model of the Kubernetes client",
            seen=[f"a value of type {type(value).__name__}"],
            path=argument,
        )
    values: dict[str, Any] = plain(argument, fields)
    return values


def read_file(task: UniqueK8sJobOperator, argument: str) -> dict[str, Any]:
    """Read the file that an argument names: an absolute path, or one relative to the process or to the DAG file.

    The text of the file is no template of Airflow.

    :raises InvalidManifestError: if it is not there, or cannot be read
    """
    name = os.fspath(getattr(task, argument))
    folders = [Path()]
    bound: Any = task
    if bound.has_dag() and bound.dag.fileloc:
        folders.append(Path(bound.dag.fileloc).parent)
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        what = f"The file `{name}` of `{argument}` was not found"
        if os.path.isabs(name):
            raise missing_file(what, name, argument)
        raise InvalidManifestError(
            what,
            seen=[f"looked in {', '.join(str(folder.absolute()) for folder in folders)}"],
            hint="give an absolute path, or one relative to the folder of the DAG file",
            path=argument,
        )
    return read_manifest(read_text(found), name)


def of_a_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a Pod as the part of a Job that makes such Pods."""
    metadata = {key: value for key, value in (pod.get("metadata") or {}).items() if key not in _OF_THE_JOB}
    template = {"metadata": metadata} if metadata else {}
    if "spec" in pod:
        template["spec"] = pod["spec"]
    return {"spec": {"template": template}}
