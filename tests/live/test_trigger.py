"""The trigger's own coroutine with a real Job on the real cluster, without a triggerer around it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

import numbered_lines
from native_run import request
from native_waiter import started_and_handed_over
from one_node_cluster import OneNodeCluster
from roles import rules_without
from unique_k8s_job import _core
from unique_k8s_job.triggers import job as triggers
from unique_k8s_job.triggers.job import UniqueK8sJobTrigger

LINES = 2_000


@pytest.fixture(autouse=True)
def no_event_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """No triggerer runs these triggers, so they send their events at once, as in `dag.test()`; else no test would end."""
    monkeypatch.setattr(triggers, "HOLD_EVENT", 3600.0)
    monkeypatch.setattr(triggers, "LOG_SETTLES", 3600.0)


def handed_over(kubeconfig: Path, namespace: str, script: str) -> str:
    native = _core.Cluster({"source": "file", "path": str(kubeconfig)})
    return started_and_handed_over(native, request(namespace, script))


def trigger(kubeconfig: Path, job: str) -> UniqueK8sJobTrigger:
    return UniqueK8sJobTrigger(job=job, connection={"kubernetes_conn_id": None, "config_file": str(kubeconfig)})


async def event_of(of: UniqueK8sJobTrigger) -> dict[str, Any]:
    (event,) = [event.payload async for event in of.run()]
    return dict(event)


def test_two_triggers_of_one_job_at_once_send_the_same_event_and_both_have_the_whole_log(
    cluster: OneNodeCluster, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = handed_over(cluster.kubeconfig(), namespace, numbered_lines.script(LINES, seconds=3))

    async def both() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(event_of(trigger(cluster.kubeconfig(), job)) for _ in range(2))))

    first, second = asyncio.run(both())
    assert first["outcome"]["state"] == "succeeded"
    assert first["outcome"]["job"] == second["outcome"]["job"] == json.loads(job)["job"]
    seen = numbered_lines.numbers(capsys.readouterr().out)
    assert sorted(seen) == sorted([*range(1, LINES + 1)] * 2)


def test_trigger_that_is_cancelled_half_way_and_made_anew_of_the_same_kwargs_repeats_no_line(
    cluster: OneNodeCluster, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = handed_over(cluster.kubeconfig(), namespace, numbered_lines.script(LINES, seconds=6))
    text = ""

    async def half_way() -> None:
        nonlocal text
        task = asyncio.create_task(event_of(trigger(cluster.kubeconfig(), job)))
        while len(numbered_lines.numbers(text)) < LINES / 4:
            await asyncio.sleep(0.1)
            text += capsys.readouterr().out
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(half_way())
    event = asyncio.run(event_of(trigger(cluster.kubeconfig(), job)))
    assert event["kind"] == "outcome"
    numbered_lines.check_whole(text + capsys.readouterr().out, LINES)


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_missing_right_on_pods_costs_the_log_and_not_the_outcome(
    cluster: OneNodeCluster, namespace: str, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    cluster.allow(namespace, rules_without("pods", verb))
    job = handed_over(cluster.kubeconfig(), namespace, "exit 3")
    event = asyncio.run(event_of(trigger(cluster.kubeconfig("airflow"), job)))
    assert event["outcome"]["state"] == "failed"
    assert f'cannot {verb} resource "pods"' in capsys.readouterr().out


def test_place_of_the_cluster_that_does_not_exist_is_the_event(namespace: str, tmp_path: Path) -> None:
    job = json.dumps({"job": {"namespace": namespace, "name": "train", "uid": "u"}})
    event = asyncio.run(event_of(trigger(tmp_path / "absent", job)))
    assert (event["kind"], event["error"]["class"]) == ("error", "ConfigurationError")
    assert "absent" in event["error"]["message"] + "".join(event["error"]["seen"])
