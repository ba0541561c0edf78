"""The result of a Job as a task returns it: read, carried by the trigger, or an error that shows what was written."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import JobFailedError, JobResultError, UniqueK8sJobOperator, _core, native
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task import deferral, job_result, trigger_event
from unique_k8s_job.task.log_writer import LogWriter

JOB = {"namespace": "etl", "name": "work-1", "uid": "u"}


def outcome(result: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    told = {"kind": "outcome", "state": "succeeded", "job": JOB, "summary": "Job `etl/work-1` succeeded", **more}
    return {**told, "containers": [], "timeline": "", **({} if result is None else {"result": result})}


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ({"text": '{"rows": [1, 2]}'}, {"rows": [1, 2]}),
        ({"text": "null"}, None),
        ({"text": None}, None),
        ({"text": "7" * 4000}, int("7" * 4000)),
        ({"texts": ["1", None, '"x"']}, [1, None, "x"]),
        ({"text_by_index": {"0": "[0]", "7": None}}, {"0": [0], "7": None}),
    ],
)
def test_result_is_the_value_that_was_written(result: dict[str, Any], value: Any) -> None:
    assert job_result.result(outcome(result)) == value


def test_what_pythons_json_writes_is_read_also_where_json_itself_has_no_word_for_it() -> None:
    assert math.isnan(job_result.result(outcome({"text": json.dumps(math.nan)})))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"text": "three rows"}, ["is no JSON", "has: three rows", "`json.dumps`"]),
        ({"text": "[" * 4000}, ["is no JSON", "[" * job_result.SHOWN + "..."]),
        ({"texts": ["1", "x"]}, ["(2 of 2) is no JSON"]),
        ({"text_by_index": {"0": "1", "7": "{"}}, ["of index 7 is no JSON", "has: {"]),
        (None, ["was not read", "clear the task"]),
        (
            {"unusable": {"message": "It is too large", "seen": ["4096 bytes"], "hint": "write less", "facts": {}}},
            ["It is too large\n  seen: 4096 bytes\n  hint: write less"],
        ),
    ],
)
def test_result_that_cannot_be_used_is_an_error_that_shows_it(result: dict[str, Any] | None, words: list[str]) -> None:
    with pytest.raises(JobResultError) as caught:
        job_result.result(outcome(result))
    error = caught.value
    assert [word for word in words if word not in str(error)] == [], str(error)
    assert (error.name, error.namespace, error.uid) == ("work-1", "etl", "u")
    assert error.outcome is not None and error.outcome["state"] == "succeeded" and "result" not in error.outcome


def test_trigger_carries_the_largest_result_whole_however_large_the_outcome_is() -> None:
    texts = {str(index): json.dumps("7" * 4000) for index in range(4)}
    many = [{"pod": f"p{number}", "exit_code": 0, "message": "m" * 500} for number in range(200)]
    event = json.loads(json.dumps(trigger_event.of_outcome({**outcome({"text_by_index": texts}), "containers": many})))
    assert job_result.result(deferral.outcome(event)) == {index: "7" * 4000 for index in texts}
    del event["outcome"]["result"]
    assert len(json.dumps(event)) < trigger_event.LIMIT


class Ended:
    """A run that ends with this outcome."""

    def __init__(self, ends_with: dict[str, Any]) -> None:
        self.events = [[ends_with], [{"kind": "submitted", "origin": "created", "try_number": 1, **JOB}]]
        self.acknowledged = False

    def next(self, _: float) -> list[dict[str, Any]]:
        return self.events.pop()

    def acknowledge(self) -> list[Any]:
        self.acknowledged = True
        return []

    def close(self) -> None: ...


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a task whose Job ends so, in the worker or after a deferral; what it returned, pushed and said."""

    def run(how: str, ends_with: dict[str, Any], *, stores_xcoms: bool = True, **arguments: Any) -> SimpleNamespace:
        ended, pushed, said = Ended(ends_with), {}, []
        requests: list[Any] = []

        def checked(request: Any, check: Any = _core.CheckedRequest) -> Any:
            requests.append(request)
            return check(request)

        monkeypatch.setattr(native.loaded(), "CheckedRequest", checked)
        for name in ("Run", "resume"):
            monkeypatch.setattr(native.loaded(), name, lambda *_: ended)
        monkeypatch.setattr(UniqueK8sJobHook, "get_conn", lambda _: None)
        monkeypatch.setattr(LogWriter, "message", lambda _, text, level="info": said.append(text))
        ids = {"dag_id": "etl", "run_id": "r", "task_id": "work", "map_index": -1, "try_number": 1, "id": "u"}

        def push(key: str, value: Any) -> None:
            if key == "job_outcome" and not stores_xcoms:
                raise ConnectionError
            pushed[key] = value

        ti = SimpleNamespace(**ids, max_tries=0, xcom_push=push)
        context: Any = {
            "ti": ti,
            "dag_run": SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0),
        }
        task = UniqueK8sJobOperator(task_id="work", image="a:1", kubernetes_conn_id=None, **arguments)
        value = error = None
        try:
            if how == "in the worker":
                value = task.execute(context)
            else:
                event = trigger_event.of_outcome(ends_with)
                value = task.execute_complete(context, {**event, "job": json.dumps({"version": 1, "job": JOB})})
        except (JobResultError, JobFailedError) as unusable:
            error = unusable
        assert ended.acknowledged, "good or bad, it is a verdict"
        return SimpleNamespace(value=value, error=error, pushed=pushed, said=said, request=(requests or [None])[0])

    return run


HOW = pytest.mark.parametrize("how", ["in the worker", "after a deferral"])


@HOW
def test_task_returns_the_result_alone_and_its_outcome_has_a_key_of_its_own(how: str, end: Any) -> None:
    ended = end(how, outcome({"text": "[1, 2]"}), xcom="termination-message")
    assert ended.value == [1, 2]
    assert ended.pushed["job_outcome"]["job"] == JOB and "result" not in ended.pushed["job_outcome"]


@HOW
def test_task_that_asks_for_no_result_returns_the_summary_as_before(how: str, end: Any) -> None:
    ended = end(how, outcome())
    assert ended.value["state"] == "succeeded" and ended.value["job"] == JOB
    assert "job_outcome" not in ended.pushed


@HOW
def test_outcome_of_a_job_that_failed_is_left_for_the_tasks_behind(how: str, end: Any) -> None:
    ended = end(how, {**outcome(), "state": "failed", "exit_code": 3})
    assert ended.error.exit_code == 3
    assert ended.pushed["job_outcome"]["exit_code"] == 3


@HOW
def test_xcom_that_airflow_does_not_store_does_not_hide_why_the_job_failed(how: str, end: Any) -> None:
    ended = end(how, {**outcome(), "state": "failed", "exit_code": 3}, stores_xcoms=False)
    assert isinstance(ended.error, JobFailedError)
    assert "The XCom `job_outcome` was not stored: ConnectionError" in ended.said


@HOW
def test_result_that_is_no_json_fails_the_task_and_is_acknowledged_so_that_a_retry_runs_anew(
    how: str, end: Any
) -> None:
    ended = end(how, outcome({"text": "three rows"}), xcom="termination-message")
    assert "has: three rows" in str(ended.error)
    assert "job_outcome" not in ended.pushed


@HOW
def test_job_that_wrote_nothing_has_the_result_none_and_the_log_says_so(how: str, end: Any) -> None:
    ended = end(how, outcome({"text": None}), xcom="termination-message")
    assert ended.value is None and "job_outcome" in ended.pushed
    assert "Its base container wrote no result to /airflow/xcom/return.json, so the result is None" in ended.said


def test_source_of_a_result_that_does_not_exist_is_refused_as_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match="termination-message"):
        UniqueK8sJobOperator(task_id="work", xcom="file")  # type: ignore[arg-type]


def test_sidecar_that_nobody_would_tell_to_end_is_refused_as_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match="exclude each other"):
        UniqueK8sJobOperator(task_id="work", xcom="sidecar", on_lingering_sidecar="finish")


ATTEMPT = {"deployment": "d", "dag_id": "etl", "run_id": "r", "task_id": "work", "map_index": -1, "try_number": 1}
REQUEST = {"attempt": {**ATTEMPT, "instance": "i"}, "run_time": "2026-01-01T00:00:00Z"}
OF_THE_CONNECTION: dict[str, Any] = {
    "image": "mirror/busybox",
    "resources": {"limits": {"cpu": 1}},
    "security_context": {"runAsUser": 7},
}


@pytest.mark.parametrize(
    ("given", "extras", "sidecar"),
    [
        ({}, {}, {}),
        ({}, {"xcom_sidecar_container_image": "mirror/busybox"}, {"image": "mirror/busybox"}),
        ({}, {"extra__kubernetes__xcom_sidecar_container_image": "mirror/busybox"}, {"image": "mirror/busybox"}),
        ({"image": "mine:1"}, {"xcom_sidecar_container_image": "mirror/busybox"}, {"image": "mine:1"}),
        ({"image": ""}, {"xcom_sidecar_container_image": "mirror/busybox"}, {"image": "mirror/busybox"}),
        (
            {},
            {
                "xcom_sidecar_container_image": "mirror/busybox",
                "xcom_sidecar_container_resources": {"limits": {"cpu": 1}},
                "xcom_sidecar_container_security_context": '{"runAsUser": 7}',
            },
            OF_THE_CONNECTION,
        ),
        (
            {"security_context": {}, "resources": {"requests": {"cpu": "2m"}}},
            {
                "xcom_sidecar_container_image": "mirror/busybox",
                "xcom_sidecar_container_resources": {"limits": {"cpu": 1}},
                "xcom_sidecar_container_security_context": '{"runAsUser": 7}',
            },
            {"image": "mirror/busybox", "resources": {"requests": {"cpu": "2m"}}, "security_context": {}},
        ),
    ],
)
def test_sidecar_is_as_the_task_or_the_connection_wants_it(
    given: dict[str, Any],
    extras: dict[str, Any],
    sidecar: dict[str, Any],
    end: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(UniqueK8sJobHook, "_extras", lambda _: extras)
    arguments = {f"xcom_sidecar_{name}": value for name, value in given.items()}
    ended = end("in the worker", outcome({"text": "1"}), xcom="sidecar", **arguments)
    assert ended.value == 1
    assert ended.request["result"] == "sidecar" and ended.request["result_sidecar"] == sidecar


@pytest.mark.parametrize(
    ("extra", "value", "words"),
    [
        ("xcom_sidecar_container_image", 3, "is no text"),
        ("xcom_sidecar_container_resources", "{", "is no JSON object"),
        ("xcom_sidecar_container_resources", [], "is no JSON object"),
        ("xcom_sidecar_container_security_context", "[1]", "is no JSON object"),
    ],
)
def test_extra_about_the_sidecar_that_cannot_be_used_is_refused_with_its_name(
    extra: str, value: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UniqueK8sJobHook, "_extras", lambda _: {extra: value})
    with pytest.raises(ConfigurationError, match=f"The extra `{extra}` {words}"):
        UniqueK8sJobHook(None).xcom_sidecar()


@pytest.mark.parametrize(
    ("argument", "value", "wanted"),
    [
        ("xcom_sidecar_image", ["a:1"], "text"),
        ("xcom_sidecar_resources", "10Mi", "a dict"),
        ("xcom_sidecar_security_context", [{"runAsUser": 1}], "a dict"),
    ],
)
def test_argument_about_the_sidecar_of_a_wrong_form_is_refused_as_the_dag_is_parsed(
    argument: str, value: Any, wanted: str
) -> None:
    with pytest.raises(InvalidManifestError, match=f"The argument `{argument}` has to be {wanted}"):
        UniqueK8sJobOperator(task_id="work", xcom="sidecar", **{argument: value})


def test_sidecar_in_the_job_is_as_the_connection_wants_it() -> None:
    wanted = {"arguments": {"image": "a:1"}, "result": "sidecar", "result_sidecar": OF_THE_CONNECTION}
    job = json.loads(_core.assemble(plain_request({**REQUEST, **wanted})))
    (sidecar,) = job["spec"]["template"]["spec"]["initContainers"]
    assert (sidecar["image"], sidecar["resources"]) == ("mirror/busybox", {"limits": {"cpu": 1}})
    assert sidecar["securityContext"] == {"runAsUser": 7}


def test_core_puts_the_file_of_the_result_where_the_texts_say_that_it_is() -> None:
    wanted = {**REQUEST, "arguments": {"image": "a:1"}, "result": "termination-message"}
    job = json.loads(_core.assemble(plain_request(wanted)))
    [base] = job["spec"]["template"]["spec"]["containers"]
    assert base["terminationMessagePath"] == native.RESULT_FILE
