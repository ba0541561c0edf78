"""Makes the request of a run from an operator and its context. It reads templates and settings, and asks no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unique_k8s_job.described import failure
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.request.arguments import (
    FINISHES,
    fixed_name,
    flag,
    given,
    one_of,
    per_outcome,
    result_sidecar,
    seconds,
    text,
    ttl,
)
from unique_k8s_job.task import identity
from unique_k8s_job.task.compat.behaviour import clears_are_counted

if TYPE_CHECKING:
    from unique_k8s_job._core import JobRequest, Marking
    from unique_k8s_job.operators.job import UniqueK8sJobOperator
    from unique_k8s_job.task.compat import Context
    from unique_k8s_job.task.known_names import KnownNames
    from unique_k8s_job.task.log_writer import LogWriter
    from unique_k8s_job.task.settings import Settings


def chosen(argument: bool | None, option: bool) -> bool:
    """Return what the task says, or else the installation."""
    return option if argument is None else argument


def limit(name: str, given: Any) -> int | None:
    """Return a limit in seconds; none is no limit."""
    return None if given is None else seconds(name, given)


def request_of(
    task: UniqueK8sJobOperator, context: Context, options: Settings, known: KnownNames, log: LogWriter
) -> JobRequest:
    """Collect the request of this try, see `unique_k8s_job.request.job`.

    :raises UniqueK8sJobError: if an argument cannot be used, naming it
    """
    deployment = identity.deployment()
    attempt = identity.attempt(context, deployment, task.retries)
    names = known.names if attempt["try_number"] > 1 else []
    parts = task.manifest_parts(context)
    if not deployment.known and not names and attempt["try_number"] > 1:
        log.message(
            "This Airflow cannot be told from others (no fernet key, default URLs), so Jobs of earlier tries are not "
            "looked for: set `[unique_k8s_job] deployment_id`",
            "warning",
        )
    return {
        "attempt": attempt,
        "slug": text("name", task.name) if task.name else None,
        "default_slug": task.task_id,
        "fixed_name": fixed_name(task.name_policy, task.name),
        "run_time": identity.run_time(context),
        "namespace": text("namespace", task.namespace) if task.namespace else None,
        "manifest": parts[0] if parts else None,
        "overlays": parts[1:],
        "from_cron_job": text("from_cron_job", task.from_cron_job) if task.from_cron_job else None,
        "field_validation": task.field_validation or options.field_validation,
        "arguments": given(task),
        "ttl": per_outcome("ttl_seconds_after_finished", task.ttl_seconds_after_finished, ttl),
        "on_finish": per_outcome("on_finish", task.on_finish, lambda name, word: one_of(name, word, *FINISHES)),
        # Where nobody waits for the outcome, nobody will record it either.
        "safe_ttl_seconds": options.safe_ttl_seconds if task.follows else 0,
        "patch_jobs": options.patch_jobs,
        "marking": _marking(task, context, options),
        "policy": task.reattach,
        "lookup": deployment.known,
        "known_names": names,
        "startup_timeout_seconds": seconds("startup_timeout_seconds", task.startup_timeout_seconds),
        "init_timeout_seconds": limit("init_timeout_seconds", task.init_timeout_seconds),
        "queue_name": text("queue_name", task.queue_name) if task.queue_name else None,
        "queue_timeout_seconds": limit("queue_timeout_seconds", task.queue_timeout_seconds),
        "handover_timeout_seconds": seconds("handover_timeout_seconds", task.handover_timeout_seconds),
        "replace_lost": flag("replace_lost", task.replace_lost),
        "release_stuck": task.release_stuck,
        "release_after_seconds": seconds("release_after_seconds", task.release_after_seconds),
        "on_lingering_sidecar": task.on_lingering_sidecar,
        "result": task.xcom,
        "result_sidecar": result_sidecar(task),
        "get_logs": flag("get_logs", task.get_logs),
        "container_logs": task.log_sources("container_logs"),
        "init_container_logs": task.log_sources("init_container_logs"),
        "log_format": {
            "line_levels": flag("log_levels", chosen(task.log_levels, options.log_levels)),
            "line_times": flag("log_line_times", chosen(task.log_line_times, options.log_line_times)),
        },
        "running_clear_is_visible": clears_are_counted(),
    }


def _marking(task: UniqueK8sJobOperator, context: Context, options: Settings) -> Marking:
    """Render the labels and annotations that the installation wants.

    :raises ConfigurationError: if a template cannot be rendered, naming the option
    """

    def rendered(option: str) -> dict[str, str]:
        texts: dict[str, str] = getattr(options, option)
        try:
            # A DAG may render native objects: a number is the text of it here.
            return {key: str(task.render_template(text, context)) for key, text in texts.items()}
        except Exception as error:
            raise ConfigurationError(
                f"A template of `[unique_k8s_job] {option}` cannot be rendered", seen=[failure(error)], path=option
            ) from error

    return {
        "task_label_prefix": options.task_label_prefix,
        "default_labels": rendered("default_labels"),
        "default_annotations": rendered("default_annotations"),
    }
