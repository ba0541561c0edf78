"""Which Jobs are deleted because a stop has left them behind, and what Airflow is asked for it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from unique_k8s_job import native
from unique_k8s_job.exceptions import ApiUnreachableError
from unique_k8s_job.task import stop_in_trigger, triggerer
from unique_k8s_job.task.compat.task_state import Answer
from unique_k8s_job.triggers import left_behind
from unique_k8s_job.triggers.left_behind import is_left_behind


@pytest.mark.parametrize(
    ("circumstance", "answer", "expected"),
    [
        ("marked failed while no trigger lived", Answer("failed", "our-uid"), True),
        ("marked success while no trigger lived", Answer("success", "our-uid"), True),
        ("skipped with its run", Answer("skipped", "our-uid"), True),
        ("its task is not in the DAG any more", Answer("removed", "our-uid"), True),
        ("another triggerer follows it, or its trigger has not begun", Answer("deferred", "our-uid"), False),
        ("the task goes on with it", Answer("running", "our-uid"), False),
        ("on its way to a worker", Answer("queued", "our-uid"), False),
        ("its next try takes it over", Answer("up_for_retry", "our-uid"), False),
        ("cleared: the next try deletes it", Answer(None, "our-uid"), False),
        ("it was never left to a triggerer: a worker may have left it on purpose", Answer("failed", None), False),
        ("a newer try has deferred: it has seen to its predecessors", Answer("failed", "its-uid"), False),
        ("another Airflow with the same id and the same runs", Answer("failed", "uid-of-that-one"), False),
        ("the run was deleted, or another Airflow has it", Answer(None, None), False),
        ("no answer", None, False),
    ],
)
def test_job_is_left_behind_by_this_table(circumstance: str, answer: Answer | None, expected: bool) -> None:
    assert is_left_behind(answer, "our-uid") is expected, circumstance


def job(uid: str, **more: Any) -> dict[str, Any]:
    task = {"dag_id": "etl", "run_id": "r", "task_id": uid, "map_index": -1, "try_number": 1}
    return {"job": {"namespace": "etl", "name": uid, "uid": uid}, "owner": f"owner of {uid}", **task, **more}


class World:
    """Jobs that nobody waits for, an Airflow, and what was asked and done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.states: dict[str, str] = {}
        #: XCom `job_deferred` by task.
        self.deferred: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.deleted: list[str] = []
        self.looks = 0
        monkeypatch.setattr(stop_in_trigger, "ask_for_states", self.ask_for_states)
        monkeypatch.setattr(stop_in_trigger, "ask", self.ask)
        seen = SimpleNamespace(jobs=lambda: self.unattended())
        module = SimpleNamespace(Unattended=lambda _cluster, _namespace: seen, Waiter=self.waiter)
        monkeypatch.setattr(native, "loaded", lambda: module)

    def unattended(self) -> list[dict[str, Any]]:
        self.looks += 1
        return [job for job in self.jobs if job["job"]["uid"] not in self.deleted]

    async def ask_for_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> Any:
        self.asked.append(task_ids)
        return {"r": {task: self.states.get(task, "deferred") for task in task_ids}}

    async def ask(self, task: Any, *, key: str) -> Answer:
        assert key == "job_deferred"
        return Answer(self.states.get(task.task_id, "deferred"), self.deferred.get(task.task_id))

    def waiter(self, _: object, request: str) -> Any:
        asked = json.loads(request)

        async def delete(_: float) -> str:
            assert asked["owner"] == f"owner of {asked['job']['uid']}"
            self.deleted.append(asked["job"]["uid"])
            return "It is gone"

        return SimpleNamespace(delete=delete, close=lambda: None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def looked(world: World, *moments: float) -> None:
    """Look at these moments, in seconds."""

    async def main() -> None:
        with left_behind.searching(object(), {}, "etl"):  # type: ignore[arg-type]
            (search,) = left_behind._searches[asyncio.get_running_loop()].values()
            for moment in moments:
                await search._check(moment)

    asyncio.run(main())


def test_job_whose_task_was_stopped_before_its_trigger_began_is_deleted_and_named(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.jobs = [job("stopped"), job("followed-elsewhere")]
    world.states, world.deferred = {"stopped": "failed"}, {"stopped": "stopped"}
    looked(world, 0, 60)
    assert world.deleted == ["stopped"]
    (said,) = caplog.messages
    assert "`etl/stopped` was left behind" in said
    assert "etl/r/stopped/-1 is failed" in said
    assert said.endswith("It is gone")


def test_job_is_asked_about_only_once_nobody_has_waited_for_it_for_a_while(world: World) -> None:
    world.jobs = [job("new")]
    world.states, world.deferred = {"new": "failed"}, {"new": "new"}
    looked(world, 0, 59)
    assert world.asked == [] and world.deleted == []


def test_job_of_another_airflow_is_asked_about_and_left(world: World) -> None:
    world.jobs = [job("theirs")]
    world.states, world.deferred = {"theirs": "failed"}, {"theirs": "the-uid-of-ours"}
    looked(world, 0, 60)
    assert world.asked == [["theirs"]] and world.deleted == []


def test_job_of_a_test_run_whose_state_airflow_does_not_keep_is_not_asked_about(world: World) -> None:
    world.jobs = [job("of-tasks-test", try_number=0)]
    looked(world, 0, 60)
    assert world.asked == []


def test_jobs_that_others_follow_are_asked_about_less_and_less_often(world: World) -> None:
    world.jobs = [job("followed-elsewhere")]
    looked(world, *range(0, 3600, 60))
    assert 8 <= len(world.asked) <= 10


def test_jobs_of_a_dag_are_asked_about_together_and_all_get_their_turn(world: World) -> None:
    world.jobs = [job(f"j{number:03}") for number in range(120)]
    looked(world, 0, 60, 120, 180)
    assert [len(tasks) for tasks in world.asked] == [50, 50, 50]
    assert len({task for tasks in world.asked for task in tasks}) == 120


def test_failure_to_delete_is_said_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.jobs = [job("stopped")]
    world.states, world.deferred = {"stopped": "failed"}, {"stopped": "stopped"}
    real, failures = world.waiter, [ApiUnreachableError("the API server is away")]

    def waiter(cluster: object, request: str) -> Any:
        if failures:
            raise failures.pop()
        return real(cluster, request)

    monkeypatch.setattr(native.loaded(), "Waiter", waiter)
    looked(world, 0, 60, 120, 180)
    assert "may still run: the API server is away" in caplog.messages[0]
    assert world.deleted == ["stopped"]


def test_looking_goes_on_for_a_while_after_the_last_trigger_and_then_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_behind, "CHECK_EVERY", 0.001)
    monkeypatch.setattr(left_behind, "LINGER", 0.01)

    async def main() -> None:
        of_loop = left_behind._searches.setdefault(asyncio.get_running_loop(), {})
        with (
            left_behind.searching(object(), {}, "etl"),  # type: ignore[arg-type]
            left_behind.searching(object(), {}, "etl"),  # type: ignore[arg-type]
        ):
            (search,) = of_loop.values()
            assert search.waiting == 2
            await asyncio.sleep(0.1)
            assert of_loop, "a trigger waits"
        assert of_loop
        await search._task
        assert not of_loop

    asyncio.run(main())


def test_look_that_fails_is_said_and_the_next_one_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(left_behind, "CHECK_EVERY", 0.001)
    looks = 0

    def jobs() -> Any:
        nonlocal looks
        looks += 1
        raise RuntimeError("whatever it is")

    async def main() -> None:
        with left_behind.searching(object(), {}, "etl"):  # type: ignore[arg-type]
            while looks < 3:
                await asyncio.sleep(0)

    monkeypatch.setattr(world, "unattended", jobs)
    asyncio.run(main())
    assert "RuntimeError" in caplog.messages[0]


def test_triggerer_that_ends_looks_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggerer, "ends", lambda *_: True)

    async def main() -> None:
        with left_behind.searching(object(), {}, "etl"):  # type: ignore[arg-type]
            (search,) = left_behind._searches[asyncio.get_running_loop()].values()
            await search._task

    asyncio.run(main())
    assert world.looks == 0
