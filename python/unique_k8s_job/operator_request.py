"""From an operator and its context to the request that starts its run. Reads templates and settings; asks no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unique_k8s_job import identity
from unique_k8s_job.arguments import FINISHES, fixed_name, given, one_of, per_outcome, seconds, text, ttl
from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.request import names_a_file, one_job, read_manifest

if TYPE_CHECKING:
    from unique_k8s_job._compat import Context
    from unique_k8s_job.known_names import KnownNames
    from unique_k8s_job.log_writer import LogWriter
    from unique_k8s_job.operator import UniqueK8sJobOperator
    from unique_k8s_job.settings import Settings


def request_of(
    task: UniqueK8sJobOperator, context: Context, options: Settings, known: KnownNames, log: LogWriter
) -> dict[str, Any]:
    """Collect the request of this try, see `unique_k8s_job.request`.

    :raises UniqueK8sJobError: if an argument cannot be used, naming it
    """
    deployment = identity.deployment()
    attempt = identity.attempt(context, deployment, task.retries)
    names = known.names if attempt["try_number"] > 1 else []
    if not deployment.known and not names and attempt["try_number"] > 1:
        log.say(
            "This Airflow cannot be told from others (no fernet key, default URLs), so Jobs of earlier tries are not "
            "looked for: set `[unique_k8s_job] deployment_id`",
            "warning",
        )
    return {
        "attempt": attempt,
        "slug": text("name", task.name) if task.name else task.task_id,
        "fixed_name": fixed_name(task.name_policy, task.name),
        "run_time": identity.run_time(context),
        "namespace": task.namespace or None,
        "manifest": manifest_of(task, context),
        "arguments": given(task),
        "ttl": per_outcome("ttl_seconds_after_finished", task.ttl_seconds_after_finished, ttl),
        "on_finish": per_outcome("on_finish", task.on_finish, lambda name, word: one_of(name, word, *FINISHES)),
        "safe_ttl_seconds": options.safe_ttl_seconds,
        "patch_jobs": options.patch_jobs,
        "policy": task.reattach,
        "lookup": deployment.known,
        "known_names": names,
        "startup_timeout_seconds": seconds("startup_timeout_seconds", task.startup_timeout_seconds),
        "handover_timeout_seconds": seconds("handover_timeout_seconds", task.handover_timeout_seconds),
        "replace_lost": task.replace_lost,
        "release_stuck": task.release_stuck,
        "release_after_seconds": seconds("release_after_seconds", task.release_after_seconds),
        "on_lingering_sidecar": task.on_lingering_sidecar,
        "get_logs": task.get_logs,
        "running_clear_is_visible": identity.clears_are_counted(),
    }


def manifest_of(task: UniqueK8sJobOperator, context: Context) -> dict[str, Any] | None:
    """Return the user's Job; a file is found beside the DAG and rendered, as Airflow does with templates.

    :raises InvalidManifestError: if it is not one Job, or the file is not there
    """
    manifest = task.manifest
    if not isinstance(manifest, str):
        return None if manifest is None else one_job(manifest)
    if not names_a_file(manifest):
        return read_manifest(manifest)
    from jinja2 import TemplateNotFound

    environment = task.get_template_env()
    try:
        rendered = environment.get_template(manifest.strip()).render(context)
    except TemplateNotFound as error:
        folders = getattr(environment.loader, "searchpath", None) or ["(the task is in no DAG file)"]
        raise InvalidManifestError(
            f"The manifest file `{manifest}` was not found",
            seen=[f"looked for `{error.name}` in {', '.join(folders)}"],
            hint="name it relative to the folder of the DAG file, or to one of the DAG's `template_searchpath`",
            path="manifest",
        ) from error
    # Where the DAG renders native objects, the text may have become one.
    return read_manifest(rendered, manifest) if isinstance(rendered, str) else one_job(rendered, manifest)
