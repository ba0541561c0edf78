"""What a task hands over when it defers, and what it makes of the event."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from unique_k8s_job.exceptions import (
    InternalError,
    JobStartupError,
    TakenOverError,
    UniqueK8sJobError,
)
from unique_k8s_job.task import deferral, trigger_event
from unique_k8s_job.task.compat import behaviour
from unique_k8s_job.triggers.job import without_positions

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("circumstance", "start", "limit", "airflow", "expected"),
    [
        ("no limit", SIX, None, (3, 3), None),
        ("counted from the first start", SIX, timedelta(minutes=5), (3, 3), "2026-01-01T06:05:00+00:00"),
        (
            "a start without a zone is UTC",
            SIX.replace(tzinfo=None),
            timedelta(minutes=5),
            (3, 3),
            "2026-01-01T06:05:00+00:00",
        ),
        ("Airflow 2 would not call us", SIX, timedelta(minutes=5), (2, 11), "2026-01-01T06:04:40+00:00"),
        ("a short limit keeps most of its time", SIX, timedelta(seconds=20), (2, 11), "2026-01-01T06:00:15+00:00"),
    ],
)
def test_deadline_of_a_deferred_task_is_this_table(
    monkeypatch: pytest.MonkeyPatch,
    circumstance: str,
    start: datetime,
    limit: timedelta | None,
    airflow: tuple[int, int],
    expected: str | None,
) -> None:
    monkeypatch.setattr(behaviour, "airflow_version", lambda: airflow)
    assert deferral.deadline(start, limit) == expected, circumstance


def test_resumed_task_gets_the_job_without_its_positions_and_how_it_finished() -> None:
    handed_over = {"version": 1, "job": {"uid": "u"}, "owner": "o", "positions": [{"pod": "p"}], "later": 1}
    kept = {"version": 1, "job": {"uid": "u"}, "owner": "o", "later": 1}
    event = {**trigger_event.of_error(JobStartupError("no")), "job": without_positions(json.dumps(handed_over))}
    assert deferral.resumed(event) == kept
    event = {**trigger_event.of_outcome(outcome(lingering=["proxy"])), "job": json.dumps(kept)}
    assert deferral.resumed(event) == {**kept, "finish": {"state": "failed", "lingering": True}}


def outcome(**more: Any) -> dict[str, Any]:
    job = {"namespace": "etl", "name": "train", "uid": "u"}
    return {"kind": "outcome", "state": "failed", "job": job, "containers": [], "summary": "failed", **more}


def test_outcome_comes_back_whole() -> None:
    told = outcome(exit_code=3, findings=[{"code": "x"}])
    event = json.loads(json.dumps(trigger_event.of_outcome(told)))
    assert deferral.outcome(event) == told


def test_error_comes_back_as_what_it_was() -> None:
    error = JobStartupError("cannot start", seen=["Unschedulable"], hint="add a node", name="train", uid="u")
    with pytest.raises(JobStartupError) as caught:
        deferral.outcome(json.loads(json.dumps(trigger_event.of_error(error))))
    assert str(caught.value) == str(error)
    assert caught.value.facts == error.facts
    with pytest.raises(TakenOverError):
        deferral.outcome(trigger_event.of_error(TakenOverError("by try 2")))


def test_end_of_the_execution_timeout_is_what_airflow_itself_raises() -> None:
    with pytest.raises(BaseException, match="was over before its Job had ended") as caught:
        deferral.outcome(json.loads(json.dumps(trigger_event.of_deadline(-0.1))))
    assert type(caught.value).__name__ == "AirflowTaskTimeout"


@pytest.mark.parametrize(
    "event",
    [
        None,
        "words",
        {},
        {"kind": "outcome"},
        {"kind": "of a later version", "version": 99},
    ],
)
def test_event_that_says_nothing_is_an_error_that_names_its_keys_and_shows_no_value(event: Any) -> None:
    for read in (deferral.outcome, deferral.resumed):
        with pytest.raises(InternalError) as caught:
            read(event)
        said = str(caught.value)
        if isinstance(event, dict):
            assert all(key in said for key in event) and not any(repr(value) in said for value in event.values()), said
        else:
            assert "words" not in said, said


@pytest.mark.parametrize("name", ["ErrorOfALaterVersion", "Sequence", "annotations", None])
def test_error_of_an_unknown_class_is_ours_all_the_same(name: str | None) -> None:
    error = trigger_event.error_in({"kind": "error", "error": {"class": name, "message": "what happened"}})
    assert type(error) is UniqueK8sJobError
    assert str(error) == "what happened"


def container(number: int, exit_code: int) -> dict[str, Any]:
    return {"pod": f"p-{number}", "container": "base", "exit_code": exit_code, "message": "m" * 4096, "words": "w"}


def test_event_is_small_whatever_the_job_was_and_keeps_what_failed() -> None:
    containers = [container(number, 0) for number in range(2000)] + [container(2000, 3)]
    event = trigger_event.of_outcome(outcome(containers=containers, summary="s" * 5000, message="m" * 100_000))
    assert len(json.dumps(event)) <= trigger_event.LIMIT
    assert event["outcome"]["state"] == "failed"
    small = trigger_event.of_outcome(outcome(containers=[{**end, "message": "m"} for end in containers]))
    assert small["outcome"]["containers"][0]["exit_code"] == 3
    assert small["outcome"]["containers_left_out"] + len(small["outcome"]["containers"]) == 2001
    assert (
        len(json.dumps(trigger_event.of_error(JobStartupError("m" * 99999, seen=["s" * 99999] * 99))))
        <= trigger_event.LIMIT
    )


def test_event_of_many_pods_is_small_and_keeps_the_cause() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m" * 4096}
    pods = [{"pod": f"p-{number}", "message": "m" * 4096, "conditions": [condition]} for number in range(2000)]
    event = trigger_event.of_outcome(outcome(pods=pods, containers=[], cause="its Pod was evicted"))
    assert len(json.dumps(event)) <= trigger_event.LIMIT
    told = event["outcome"]
    assert told["cause"] == "its Pod was evicted"
    assert len(told["pods"]) + told["pods_left_out"] == 2000
    endless = trigger_event.of_outcome(outcome(pods=pods, cause="c" * 100_000))
    assert len(json.dumps(endless)) <= trigger_event.LIMIT


def test_event_of_a_sensor_is_small_and_shows_failed_jobs_first() -> None:
    jobs = [{"job": {"name": f"j{number}"}, "outcome": outcome(state="succeeded")} for number in range(5000)]
    jobs.append({"job": {"name": "broken"}, "outcome": outcome()})
    event = trigger_event.of_verdict("failed", jobs)
    assert len(json.dumps(event)) <= trigger_event.LIMIT + 200
    assert event["jobs"][0]["job"]["name"] == "broken"
    assert event["jobs_left_out"] + len(event["jobs"]) == 5001
