"""Ends a task before its Job has ended: decides what becomes of the Job, does it, and says so.

`task/stop_in_worker.py` has the decision.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from unique_k8s_job.events import events
from unique_k8s_job.exceptions import (
    ConfigurationError,
    DeletionUnconfirmedError,
    InvalidManifestError,
    JobStartupError,
    UniqueK8sJobError,
)
from unique_k8s_job.task import stop_in_worker
from unique_k8s_job.task.compat import Context, moved_exception
from unique_k8s_job.task.compat.behaviour import sigkill_is_near
from unique_k8s_job.task.stop_in_worker import Cause, JobAction

if TYPE_CHECKING:
    from unique_k8s_job._core import Run
    from unique_k8s_job.task.log_writer import LogWriter

#: Seconds to confirm a deletion where Airflow kills the task process soon after its signal.
CONFIRM_BEFORE_SIGKILL = 2.0
#: The same in all other cases: longer than the default grace period of Pods, 30 s.
CONFIRM_OTHERWISE = 60.0


class Made(NamedTuple):
    """The Job that this try has made or taken over; its uid is None as long as there is none."""

    uid: str | None
    namespace: str
    name: str


def end_early(
    context: Context,
    run: Run,
    error: BaseException,
    log: LogWriter,
    *,
    job: Made,
    killed: bool,
    on_process_end: str | None,
    on_stop: str,
    limit: timedelta | None,
) -> None:
    """Decide what becomes of the Job, and do it. This never hides `error`.

    :param limit: the `execution_timeout` of the task
    """
    cause = stop_in_worker.cause_of(error, killed=killed, made=job.uid is not None)
    another_try = stop_in_worker.another_try(context)
    asked = stop_in_worker.ask(context) if cause is Cause.KILLED else None
    # A Job that does not start is no work that could go on.
    leave = on_stop == "leave" and not isinstance(error, JobStartupError)
    action = stop_in_worker.action_of(
        cause,
        answer=asked.answer if asked else None,
        job_uid=job.uid,
        another_try=another_try,
        on_process_end=on_process_end,
        on_stop=JobAction.LEAVE if leave else JobAction.DELETE,
    )
    why = stop_in_worker.reason(cause, error, asked, limit.total_seconds() if limit else None)
    if action is JobAction.DELETE:
        result = _delete(run, why, log, soon=cause is Cause.KILLED and sigkill_is_near())
        if result is None:
            # An error of the arguments never came to the point of making one.
            result = "" if isinstance(error, (ConfigurationError, InvalidManifestError)) else "No Job was made"
            if result and cause is not Cause.ERROR:
                log.message(f"{why}. {result}")
    elif job.uid is None:
        result = ""
    elif cause is Cause.LOST:
        result = stop_in_worker.lost(job.namespace, job.name, another_try=another_try)
        log.message(f"{why}. {result}", "warning")
    else:
        result = stop_in_worker.left(job.namespace, job.name, action, another_try=another_try)
        log.message(f"{why}. {result}")
    if result and isinstance(error, UniqueK8sJobError):
        error.seen.append(result)
    elif result and isinstance(error, moved_exception("AirflowTaskTimeout")):
        error.args = (f"{error}. {result}",)


def _delete(run: Run, why: str, log: LogWriter, *, soon: bool) -> str | None:
    """Delete the Job and say so meanwhile; return what became of it, None if there is none.

    The DELETE is sent before the first message: Airflow may be away and accept none, and SIGKILL may be near.

    :param soon: whether SIGKILL is near, so that there is no time to see the deletion to its end
    """
    said: list[str] = []
    result, level = None, "info"
    try:
        with closing(run.delete(CONFIRM_BEFORE_SIGKILL if soon else CONFIRM_OTHERWISE)) as work:
            for event in events(work):
                if event["kind"] == "message":
                    log.message(event["text"] if said else f"{why}. {event['text']}", event["level"])
                    said.append(event["text"])
                elif event["kind"] == "removed":
                    result = event["text"]
        if result is None:
            return None
    except DeletionUnconfirmedError as failure:
        if soon and said:
            return said[0]
        result, level = str(failure), "warning"
    except UniqueK8sJobError as failure:
        result, level = f"The deletion of its Job failed, and the Job may still run: {failure}", "warning"
    log.message(result if said else f"{why}. {result}", level)
    return result
