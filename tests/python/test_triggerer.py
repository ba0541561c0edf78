"""What is asked of Airflow in a triggerer: what has begun goes to its end, and nothing begins once the triggerer ends."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from typing import Any

import pytest
from airflow.jobs import triggerer_job_runner
from asgiref.sync import async_to_sync

from unique_k8s_job.exceptions import AirflowUnreachableError
from unique_k8s_job.task import stop_in_trigger, triggerer
from unique_k8s_job.task.compat.task_state import Answer
from unique_k8s_job.task.triggerer import off_the_loop, on_the_loop, to_its_end


class Channel:
    """The way from a triggerer's loop to Airflow as 3.0 and 3.1 have it: requests have numbers, answers come in their order.

    An answer that is nobody's is read by the next who asks, which is the end of that triggerer.
    """

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.answers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.lock = asyncio.Lock()
        self.supervisors: set[asyncio.Task[None]] = set()

    async def asend(self, text: str, late: float = 0.0) -> str:
        number = next(self.numbers)
        async with self.lock:
            supervisor = asyncio.create_task(self._supervise(number, text, late))
            self.supervisors.add(supervisor)
            got, answer = await self.answers.get()
            if got != number:
                raise RuntimeError(f"Response read out of order! Got frame.id={got}, expect_id={number}")
            return answer

    def send(self, text: str, late: float = 0.0) -> str:
        answer: str = async_to_sync(self.asend)(text, late)
        return answer

    async def _supervise(self, number: int, text: str, late: float) -> None:
        await asyncio.sleep(late)
        await self.answers.put((number, f"to {text}"))


def test_channel_of_the_tests_is_broken_by_a_request_that_is_given_up() -> None:
    """Else the next test would show nothing."""

    async def main() -> None:
        channel = Channel()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.asend("slow", 0.2), 0.05)
        with pytest.raises(RuntimeError, match="out of order"):
            await channel.asend("next", 0.5)

    asyncio.run(main())


@pytest.mark.parametrize("asked", ["in a thread", "in the loop"])
@pytest.mark.parametrize("left", ["after a while", "by a cancellation"])
def test_answer_that_comes_late_does_not_disturb_the_next_request(asked: str, left: str) -> None:
    async def main() -> None:
        channel = Channel()

        async def ask(text: str, late: float = 0.0) -> str:
            if asked == "in a thread":
                return await off_the_loop(channel.send, text, late)
            return await on_the_loop(channel.asend, text, late)

        if left == "after a while":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ask("slow", 0.2), 0.05)
        else:
            asking = asyncio.create_task(ask("slow", 0.2))
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert await asyncio.gather(ask("one"), ask("two"), channel.asend("Airflow's own")) == [
            "to one",
            "to two",
            "to Airflow's own",
        ]

    asyncio.run(main())


def test_question_about_a_task_that_is_answered_late_does_not_disturb_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[Any]:
        channel = Channel()
        delays = [0.2, 0.0]
        monkeypatch.setattr(
            stop_in_trigger, "answer_in_triggerer", lambda *_: Answer(channel.send("it", delays.pop(0)), None)
        )
        return [await stop_in_trigger.ask(object(), 0.05), await stop_in_trigger.ask(object(), 10)]

    assert asyncio.run(main()) == [None, Answer("to it", None)]


def test_failure_that_comes_late_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def fail() -> None:
            await release.wait()
            raise RuntimeError("the database is away")

        asking = asyncio.create_task(to_its_end(fail()))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        release.set()
        while triggerer._at_work:
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    caplog.set_level(logging.WARNING)
    asyncio.run(main())
    assert [message for message in caplog.messages if message.endswith("has failed: RuntimeError")]


def test_end_of_the_loop_ends_what_has_begun(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> asyncio.Task[str]:
        channel = Channel()
        asking = asyncio.create_task(off_the_loop(channel.send, "never answered", 3600.0))
        await asyncio.sleep(0.05)
        return asking

    assert asyncio.run(main()).cancelled()
    assert caplog.messages == []


class TriggerRunner:
    """As Airflow's, as far as it is looked at."""

    stop = False
    #: Whether its trigger waits for ever.
    waits = False

    async def arun(self, trigger: Any) -> Any:
        """Run one trigger, which has ended by then, or is cancelled with the loop."""
        running = asyncio.create_task(trigger)
        await asyncio.wait({running}, timeout=0.5 if self.waits else 10)
        return running


class RunnerOfAirflow32(TriggerRunner):
    """From 3.2 on a task reads the answers."""

    def __init__(self) -> None:
        self.comms_decoder: Any = self
        self._reader_task: Any = self
        self.reads = True

    def done(self) -> bool:
        return not self.reads


def test_airflow_has_what_the_end_of_a_triggerer_is_told_by() -> None:
    runner: Any = triggerer_job_runner.TriggerRunner
    assert runner.arun.__qualname__ == TriggerRunner.arun.__qualname__ == "TriggerRunner.arun"
    assert runner.stop is False


def test_triggerer_that_is_told_to_stop_ends() -> None:
    runner = TriggerRunner()
    seen: list[bool] = []

    async def trigger() -> None:
        triggerer.notice()
        seen.append(triggerer.ends())
        runner.stop = True
        seen.append(triggerer.ends())

    asyncio.run(runner.arun(trigger())).result()
    assert seen == [False, True]


def test_triggerer_whose_channel_is_read_no_more_ends() -> None:
    runner = RunnerOfAirflow32()
    seen: list[bool] = []

    async def trigger() -> None:
        triggerer.notice()
        seen.append(triggerer.ends())
        runner.reads = False
        seen.append(triggerer.ends())

    asyncio.run(runner.arun(trigger())).result()
    assert seen == [False, True]


def test_triggerer_whose_loop_cancels_what_is_left_ends_and_is_asked_nothing_any_more() -> None:
    """As where it was stopped, and as where it has failed."""
    seen: list[bool] = []
    refused: list[str] = []
    asked: list[str] = []

    async def question() -> None:
        asked.append("in the loop")

    async def trigger() -> None:
        triggerer.notice()
        try:
            seen.append(triggerer.ends())
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append(triggerer.ends())
            for asking in (off_the_loop(asked.append, "in a thread"), on_the_loop(question)):
                with pytest.raises(AirflowUnreachableError) as caught:
                    await asking
                refused.append(str(caught.value))
            raise

    runner = TriggerRunner()
    runner.waits = True
    assert asyncio.run(runner.arun(trigger())).cancelled()
    assert seen == [False, True]
    assert len(refused) == 2
    assert asked == []


def test_question_that_waits_for_a_thread_as_the_triggerer_ends_is_not_asked() -> None:
    runner, asked = TriggerRunner(), []

    async def trigger() -> None:
        triggerer.notice()
        release = threading.Event()
        workers = 40  # more than the threads of a loop
        busy = [asyncio.create_task(off_the_loop(release.wait, 10.0)) for _ in range(workers)]
        await asyncio.sleep(0)
        waiting = asyncio.create_task(off_the_loop(asked.append, "too late"))
        await asyncio.sleep(0.01)
        runner.stop = True
        release.set()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], AirflowUnreachableError)
        await asyncio.gather(*busy, return_exceptions=True)

    asyncio.run(runner.arun(trigger())).result()
    assert asked == []


def test_outside_of_a_triggerer_nothing_ends() -> None:
    async def main() -> bool:
        triggerer.notice()
        return triggerer.ends()

    assert asyncio.run(main()) is False
