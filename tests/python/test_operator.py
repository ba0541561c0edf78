"""What Airflow sees of the operator before and beside its Job; the Job itself is for the tests on a real cluster."""

from __future__ import annotations

import inspect
import json
import os
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import UniqueK8sJobOperator, _core, native
from unique_k8s_job.exceptions import (
    AirflowUnreachableError,
    ApiRefusedError,
    ApiUnreachableError,
    ConfigurationError,
    DeletionUnconfirmedError,
    InvalidManifestError,
    JobFailedError,
    JobStartupError,
    StoppedError,
    TakenOverError,
    UniqueK8sJobError,
)
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task import stop_in_worker, trigger_event
from unique_k8s_job.task.compat import airflow_version
from unique_k8s_job.task.compat.task_state import Answer
from unique_k8s_job.task.job_request import request_of
from unique_k8s_job.task.log_writer import LogWriter
from unique_k8s_job.task.settings import Settings
from unique_k8s_job.task.stop_in_worker import Asked, Cause, cause_of

#: Of the arguments that shape the Job, those that Airflow's users find templated in its Pod and Job operators.
TEMPLATED = {
    "annotations",
    "arguments",
    "cluster_context",
    "cmds",
    "config_file",
    "container_resources",
    "env_from",
    "env_vars",
    "image",
    "kubernetes_conn_id",
    "labels",
    "name",
    "namespace",
    "node_selector",
    "volume_mounts",
    "volumes",
}


def context() -> dict[str, Any]:
    """As much of Airflow's as is needed before anything is asked of a cluster."""
    ti = SimpleNamespace(dag_id="etl", run_id="r", task_id="work", map_index=-1, try_number=1, max_tries=2, id="u")
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0)}


def test_templated_fields_are_those_that_users_know_and_each_is_an_argument() -> None:
    fields = set(UniqueK8sJobOperator.template_fields)
    assert fields >= TEMPLATED
    assert {name for name, _ in _core.job_arguments()} - fields == {
        "suspend",
        "hostnetwork",
        "automount_service_account_token",
        "secrets",
    }
    assert fields <= set(inspect.signature(UniqueK8sJobOperator.__init__).parameters)
    assert set(UniqueK8sJobOperator.template_fields_renderers) <= fields


def test_every_argument_that_shapes_the_job_is_documented() -> None:
    documentation = inspect.getdoc(UniqueK8sJobOperator) or ""
    arguments = [
        name
        for name, argument in inspect.signature(UniqueK8sJobOperator.__init__).parameters.items()
        if argument.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    assert {name for name, _ in _core.job_arguments()} <= set(arguments)
    for name in arguments:
        assert f":param {name}:" in documentation


def test_default_connection_is_the_hooks() -> None:
    assert UniqueK8sJobOperator(task_id="work").kubernetes_conn_id == UniqueK8sJobHook.default_conn_name


def test_stop_before_execute_has_begun_makes_no_job() -> None:
    operator = UniqueK8sJobOperator(task_id="work", image="a:1", kubernetes_conn_id=None, config_file="/absent")
    threads = len(os.listdir("/proc/self/task"))
    operator.on_kill()
    with pytest.raises(Exception, match="stopped before its Job was made"):
        operator.execute(context())  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/task")) == threads, "a run has threads"


class AirflowTaskTimeout(BaseException):
    """Airflow's own, whose module differs between its versions."""


class AirflowTaskTerminated(BaseException):
    """What Airflow 2 raises in `execute` after it has called `on_kill`."""


@pytest.mark.parametrize(
    ("error", "killed", "expected"),
    [
        (AirflowTaskTimeout(), False, Cause.TIMEOUT),
        (KeyboardInterrupt(), False, Cause.TIMEOUT),
        (JobStartupError("Unschedulable"), False, Cause.TIMEOUT),
        (JobStartupError("Unschedulable"), True, Cause.TIMEOUT),
        (AirflowTaskTerminated(), False, Cause.KILLED),
        (RuntimeError(), True, Cause.KILLED),
        (RuntimeError(), False, Cause.ERROR),
        (SystemExit(), False, Cause.ERROR),
        (GeneratorExit(), False, Cause.ERROR),
        (TakenOverError("by try 2"), True, Cause.TAKEN_OVER),
    ],
)
def test_cause_of_an_early_end_is_this_table(error: BaseException, killed: bool, expected: Cause) -> None:
    assert cause_of(error, killed=killed) is expected


@pytest.mark.parametrize("kind", [ApiRefusedError, ApiUnreachableError, AirflowUnreachableError])
def test_one_who_cannot_ask_about_a_job_has_lost_it_once_it_is_there(kind: type[UniqueK8sJobError]) -> None:
    assert cause_of(kind("404"), killed=False, made=True) is Cause.LOST
    assert cause_of(kind("404"), killed=False, made=False) is Cause.ERROR, "it is looked for by its name"
    assert cause_of(kind("404"), killed=True, made=True) is Cause.KILLED


JOB = {"namespace": "etl", "name": "work-1", "uid": "u"}


class DeletingWork:
    """The deletion of a run's Job, which ends as `result` says; without a Job it says nothing before its end."""

    def __init__(self, result: str | Exception | None) -> None:
        self.result = result
        said = ("Job `etl/work-1` is being deleted; its Pod may take 30 s", "Waiting for the Pod: 10 s of up to 30 s")
        self.said = [{"kind": "message", "level": "info", "text": text} for text in said if result is not None]

    def next(self, _: float) -> list[dict[str, Any]]:
        if self.said:
            return [self.said.pop(0)]
        if isinstance(self.result, Exception):
            raise self.result
        return [{"kind": "removed", "text": self.result}]

    def close(self) -> None: ...


class LosingRun:
    """A run that makes its Job, and then hears no more of it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = [{"kind": "submitted", "origin": "created", "try_number": 1, **JOB}]
        self.deleted = False

    def next(self, _: float) -> list[dict[str, Any]]:
        if self.events:
            return [self.events.pop()]
        raise ApiRefusedError("the answer is not one that an API server gives", status=404)

    def delete(self, _: float) -> Any:
        self.deleted = True
        return DeletingWork("deleted")

    def wake(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("how", ["in the worker", "after a deferral"])
def test_job_that_is_lost_in_the_last_try_is_left_and_named(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = LosingRun()
    for name in ("Run", "resume"):
        monkeypatch.setattr(native.loaded(), name, lambda *_: run)
    monkeypatch.setattr(UniqueK8sJobHook, "get_conn", lambda _: None)
    operator = UniqueK8sJobOperator(task_id="work", image="a:1", kubernetes_conn_id=None)
    last_try: Any = context()
    last_try["ti"].max_tries, last_try["ti"].xcom_push = 0, lambda **_: None
    with pytest.raises(ApiRefusedError) as caught:
        if how == "in the worker":
            operator.execute(last_try)
        else:
            event = trigger_event.of_error(ApiRefusedError("the answer is not one that an API server gives"))
            operator.execute_complete(last_try, {**event, "job": json.dumps({"version": 1, "job": JOB})})
    assert not run.deleted
    assert "`etl/work-1` is left as it is" in str(caught.value) and "kubectl -n etl delete job work-1" in str(
        caught.value
    )


def test_failed_job_is_an_error_with_its_facts() -> None:
    error = JobFailedError("Job `etl/train` failed", exit_code=3, name="train", namespace="etl", uid="u")
    assert (error.exit_code, error.name, error.namespace, error.uid) == (3, "train", "etl", "u")


@pytest.mark.parametrize(
    ("arguments", "slug", "validation"),
    [
        ({}, "work", "warn"),
        ({"name": " mine ", "field_validation": "ignore"}, "mine", "ignore"),
        ({"manifest": {"metadata": {"name": "load"}}}, "load", "warn"),
        ({"manifest": {"metadata": {"generateName": "nightly-etl-"}}}, "nightly-etl", "warn"),
        (
            {"manifest": {"kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"jobTemplate": {}}}},
            "nightly",
            "warn",
        ),
        ({"from_cron_job": "nightly", "field_validation": "strict"}, "nightly", "strict"),
        ({"from_cron_job": "nightly", "name": "mine"}, "mine", "warn"),
    ],
)
def test_request_has_the_users_choices_and_the_name_begins_with_what_is_nearest_to_him(
    arguments: dict[str, Any], slug: str, validation: str
) -> None:
    task: Any = UniqueK8sJobOperator(task_id="work", **arguments)
    options: Any = Settings(60, True, None, "warn")
    nobody: Any = SimpleNamespace(names=[], say=lambda *_: None)
    request = request_of(task, context(), options, nobody, nobody)  # type: ignore[arg-type]
    assert request["field_validation"] == validation
    assert request["from_cron_job"] == arguments.get("from_cron_job")
    assert _core.job_name(plain_request(request)).startswith(f"{slug}-20260101t000000-")


class EndingRun(LosingRun):
    """A run whose following ends with an error, and whose deletion ends as `result` says."""

    def __init__(self, ends_with: BaseException, result: str | Exception | None, *, makes: bool = True) -> None:
        super().__init__()
        self.ends_with, self.result = ends_with, result
        if not makes:
            self.events = []

    def next(self, _: float) -> list[dict[str, Any]]:
        if self.events:
            return [self.events.pop()]
        raise self.ends_with

    def delete(self, _: float) -> Any:
        return DeletingWork(self.result)


def ended(run: EndingRun, monkeypatch: pytest.MonkeyPatch, *, killed: str | None = None) -> tuple[list[str], Any]:
    """What the log says of a run in the last try that ends so, and its error; `killed` is Airflow's word after `on_kill`."""
    said: list[str] = []
    monkeypatch.setattr(LogWriter, "message", lambda _, text, level="info": said.append(f"{level}: {text}"))
    monkeypatch.setattr(native.loaded(), "Run", lambda *_: run)
    monkeypatch.setattr(UniqueK8sJobHook, "get_conn", lambda _: None)
    monkeypatch.setattr(stop_in_worker, "ask", lambda _: Asked(Answer(killed, "u")))
    operator = UniqueK8sJobOperator(
        task_id="work", image="a:1", kubernetes_conn_id=None, execution_timeout=timedelta(seconds=12)
    )
    last_try: Any = context()

    def push(**_: Any) -> None:
        operator._killed = killed is not None

    last_try["ti"].max_tries, last_try["ti"].xcom_push = 0, push
    with pytest.raises(BaseException) as caught:
        operator.execute(last_try)
    return [text for text in said if "Created Job" not in text], caught.value


def test_timeout_says_what_is_over_what_is_deleted_and_how_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    said, error = ended(EndingRun(AirflowTaskTimeout(), "Job `etl/work-1` is deleted"), monkeypatch)
    assert isinstance(error, AirflowTaskTimeout)
    assert said == [
        "info: execution_timeout of 12 s is over. Job `etl/work-1` is being deleted; its Pod may take 30 s",
        "info: Waiting for the Pod: 10 s of up to 30 s",
        "info: Job `etl/work-1` is deleted",
    ]


def test_users_stop_is_no_failure_of_the_deletion_although_there_is_no_time_to_see_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = EndingRun(RuntimeError(), DeletionUnconfirmedError("The Pods have not ended"))
    said, error = ended(run, monkeypatch, killed="failed")
    assert isinstance(error, StoppedError)
    first = "Job `etl/work-1` is being deleted; its Pod may take 30 s"
    assert said[0] == f"info: Stopped by a user (the task is failed now). {first}"
    if airflow_version() >= (3, 0):
        assert error.seen == [first] and not any("warning" in text for text in said), said


@pytest.mark.parametrize("kind", [InvalidManifestError, ConfigurationError])
def test_error_before_any_job_says_nothing_about_jobs(
    kind: type[UniqueK8sJobError], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, error = ended(EndingRun(kind("`backoff_limit` is no number"), None, makes=False), monkeypatch)
    assert (said, str(error)) == ([], "`backoff_limit` is no number")


def test_deletion_that_fails_is_a_warning_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    run = EndingRun(JobStartupError("It did not start"), DeletionUnconfirmedError("The Pods have not ended"))
    said, error = ended(run, monkeypatch)
    assert said[0].startswith("info: The Job has not started. Job `etl/work-1` is being deleted")
    assert said[-1] == "warning: The Pods have not ended" == f"warning: {error.seen[-1]}"
