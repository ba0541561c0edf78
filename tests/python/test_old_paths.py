"""Paths and names that users have written, or that Airflow has stored, from before the package had folders."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from importlib import import_module

import pytest

import unique_k8s_job
from unique_k8s_job.operators.job import UniqueK8sJobOperator
from unique_k8s_job.triggers.job import UniqueK8sJobTrigger
from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

OLD = {
    "unique_k8s_job.operator.UniqueK8sJobOperator": "unique_k8s_job.operators.job",
    "unique_k8s_job.delete_operator.K8sJobDeleteOperator": "unique_k8s_job.operators.delete_job",
    "unique_k8s_job.sensor.UniqueK8sJobSensor": "unique_k8s_job.sensors.job",
    "unique_k8s_job.hook.UniqueK8sJobHook": "unique_k8s_job.hooks.kubernetes",
    "unique_k8s_job.triggers.UniqueK8sJobTrigger": "unique_k8s_job.triggers.job",
    "unique_k8s_job.sensor_trigger.UniqueK8sJobSensorTrigger": "unique_k8s_job.triggers.sensor",
}


@pytest.mark.parametrize(("path", "home"), OLD.items())
def test_old_path_is_the_same_class_and_the_one_that_airflow_stores(path: str, home: str) -> None:
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    assert found is getattr(import_module(home), name)
    assert f"{found.__module__}.{found.__qualname__}" == path
    assert pickle.loads(pickle.dumps(found)) is found


def test_old_paths_load_no_native_module() -> None:
    modules = sorted({path.rpartition(".")[0] for path in OLD})
    script = f"import sys, {', '.join(modules)}; print('unique_k8s_job._core' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=400, check=True)
    assert ended.stdout.split()[-1] == "False"


def test_names_of_the_package_and_of_its_exceptions_stay() -> None:
    assert {path.rpartition(".")[2] for path in OLD} - set(unique_k8s_job.__all__) == {"UniqueK8sJobSensorTrigger"}
    exceptions = import_module("unique_k8s_job.exceptions")
    assert unique_k8s_job.UniqueK8sJobError is exceptions.UniqueK8sJobError


@pytest.mark.parametrize("kind", [UniqueK8sJobTrigger, UniqueK8sJobSensorTrigger])
def test_trigger_that_airflow_has_stored_is_made_again_by_its_path(
    kind: type[UniqueK8sJobTrigger | UniqueK8sJobSensorTrigger],
) -> None:
    path, kwargs = kind().serialize()
    assert path in OLD
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert type(again) is kind
    assert again.serialize() == (path, kwargs)


def test_trigger_of_a_user_that_extends_ours_is_stored_by_its_own_path() -> None:
    class Mine(UniqueK8sJobTrigger):
        pass

    assert Mine().serialize()[0] == f"{__name__}.{Mine.__qualname__}"


def test_loggers_keep_the_names_that_users_may_have_configured() -> None:
    operator = UniqueK8sJobOperator(task_id="job", image="busybox")
    operator.log.debug("made")
    for module in (
        "task.stop_in_worker",
        "task.stop_in_trigger",
        "task.triggerer",
        "task.identity",
        "triggers.left_behind",
    ):
        import_module(f"unique_k8s_job.{module}")
    loggers = set(logging.Logger.manager.loggerDict)
    ours = {name.removeprefix("unique_k8s_job.") for name in loggers if name.startswith("unique_k8s_job.")}
    assert {"core", "triggers", "stop", "cancellation", "triggerer", "identity", "left_behind"} <= ours | {"core"}
    assert not {name for name in ours if name.startswith(("task.", "cli.", "hooks.", "operators.", "sensors."))}
