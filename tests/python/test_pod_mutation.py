"""The installation's `pod_mutation_hook`: what it sees, what of it is in the Job, and what is said where it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kubernetes_client
from unique_k8s_job import UniqueK8sJobOperator, _core
from unique_k8s_job.compat import KubernetesJobOperator
from unique_k8s_job.compat.pod_mutation import mutated
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task.compat import moved_exception
from unique_k8s_job.task.job_request import request_of
from unique_k8s_job.task.settings import settings

#: Never connected to.
NOWHERE = _core.Cluster(
    {
        "source": "text",
        "text": json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "namespace": "etl"}}],
                "current-context": "c",
            }
        ),
    }
)


def request(kind: type[UniqueK8sJobOperator] = KubernetesJobOperator, **arguments: Any) -> Any:
    """The request that `execute` would run, and the Job of it."""
    task = kind(**{"task_id": "train", "image": "a:1", **arguments})
    ti = SimpleNamespace(dag_id="etl", run_id="r", task_id="train", map_index=-1, try_number=1, max_tries=2, id="u")
    run = SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0)
    context: Any = {"ti": ti, "dag_run": run}
    known: Any = SimpleNamespace(names=[])
    log: Any = SimpleNamespace()
    return task.final_request(plain_request(request_of(task, context, settings(), known, log)), NOWHERE)


def job(kind: type[UniqueK8sJobOperator] = KubernetesJobOperator, **arguments: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(_core.assemble(request(kind, **arguments)))
    return made


Installed = Callable[[Callable[[Any], object]], Any]


@pytest.fixture(params=[36, 37], ids="kubernetes {}".format)
def install(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Make a function the hook of this installation; returns `kubernetes.client`."""

    def install(hook: Callable[[Any], object]) -> Any:
        monkeypatch.setattr("airflow.settings.pod_mutation_hook", hook)
        return kubernetes_client.install(monkeypatch, request.param)

    return install


def test_hook_sees_the_pod_as_it_would_be_sent_and_what_it_changes_is_in_the_job(install: Installed) -> None:
    seen: dict[str, Any] = {}

    def hook(pod: Any) -> None:
        seen.update(name=pod.metadata.name, namespace=pod.metadata.namespace, labels=dict(pod.metadata.labels))
        seen.update(image=pod.spec.containers[0].image)
        pod.metadata.labels = {"team": "platform", "unique-k8s-job/task": "forged"}
        pod.metadata.name, pod.metadata.namespace = "mine", "other"
        pod.spec.tolerations = [client.V1Toleration(key="gpu", operator="Exists"), {"operator": "Exists"}]
        pod.spec.containers.insert(0, client.V1Container(name="side", image="s:1"))
        pod.spec.containers[1].image = f"mirror/{pod.spec.containers[1].image}"

    before = job(ttl_seconds_after_finished=60)
    client = install(hook)
    after = job(ttl_seconds_after_finished=60)
    pod = after["spec"]["template"]
    assert seen["name"] == before["metadata"]["name"] and seen["namespace"] == "etl" and seen["image"] == "a:1"
    assert seen["labels"] == before["spec"]["template"]["metadata"]["labels"] and seen["labels"]["dag_id"] == "etl"
    ours = {key: text for key, text in seen["labels"].items() if key.startswith(("unique-k8s-job/", "app."))}
    assert len(ours) == 3 and pod["metadata"]["labels"] == {"team": "platform", **ours}
    assert "name" not in pod["metadata"] and "namespace" not in pod["metadata"]
    assert pod["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}, {"operator": "Exists"}]
    assert [item["image"] for item in pod["spec"]["containers"]] == ["s:1", "mirror/a:1"]
    # All else is as it was, and a retry compares the manifests of the user.
    del before["spec"]["template"], after["spec"]["template"]
    assert after == before


def test_hook_that_changes_nothing_and_a_client_that_is_older_than_a_field_leave_the_job_as_it_is(
    install: Installed,
) -> None:
    spec = {
        "fieldOfTomorrow": {"x": [1]},
        "initContainers": [{"name": "first", "image": "a:1", "restartPolicy": "Always", "zebra": 0}],
        "containers": [{"name": "main", "resources": {"limits": {"cpu": "1"}}, "unknown": True}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    arguments: dict[str, Any] = {
        "full_pod_spec": {"metadata": {"labels": {"a": "b"}}, "spec": spec},
        "do_xcom_push": True,
        "wait_until_job_complete": True,
        "xcom": "sidecar",
    }
    before = job(**arguments)
    install(lambda pod: pod.spec.init_containers.insert(0, pod.spec.init_containers.pop(0)))
    assert job(**arguments) == before
    install(lambda pod: pod.spec.init_containers.pop(0))
    del before["spec"]["template"]["spec"]["initContainers"][0]
    assert job(**arguments) == before


def test_hook_cannot_take_away_what_the_result_needs(install: Installed) -> None:
    def hook(pod: Any) -> None:
        pod.spec.init_containers = None

    install(hook)
    arguments = {"do_xcom_push": True, "wait_until_job_complete": True, "xcom": "sidecar"}
    with pytest.raises(InvalidManifestError, match="`pod_mutation_hook` has removed"):
        job(**arguments)


def test_operator_of_our_own_does_not_call_the_hook(install: Installed) -> None:
    install(lambda _: pytest.fail("called"))
    job(UniqueK8sJobOperator)


def test_hook_that_fails_fails_the_task_with_its_place_and_its_own_decisions_are_kept(install: Installed) -> None:
    def hook(pod: Any) -> None:
        pod.metadata.labels["absent"]

    install(hook)
    with pytest.raises(ConfigurationError) as failed:
        request()
    place = f"{__file__}:{hook.__code__.co_firstlineno + 1}"
    assert str(failed.value).splitlines() == [
        f"`pod_mutation_hook` ({__file__}) of this installation failed, so no Job was made",
        f"  seen: KeyError at {place}",
        "  hint: correct the hook; the traceback has the text of its error",
    ]
    for decision in ("AirflowSkipException", "AirflowFailException"):
        kind = moved_exception(decision)

        def decide(_: Any, kind: type[Exception] = kind) -> None:
            raise kind("not here")

        install(decide)
        with pytest.raises(kind, match="not here"):
            request()


def test_hook_for_a_value_that_is_no_part_of_a_job_names_the_field(install: Installed) -> None:
    def hook(pod: Any) -> None:
        pod.spec.containers[0].image = object()

    install(hook)
    # Since version 37 the real client refuses it in the hook itself.
    refused = r"`pod_mutation_hook\.spec\.containers\[0\]\.image`|`pod_mutation_hook` .* failed"
    with pytest.raises((InvalidManifestError, ConfigurationError), match=refused):
        request()


def test_hook_without_the_package_kubernetes_or_with_a_cron_job_of_the_cluster_fails_the_task(
    install: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(lambda _: None)
    with pytest.raises(ConfigurationError, match="a CronJob of the cluster") as refused:
        request(image=None, from_cron_job="nightly")
    assert refused.value.path == "from_cron_job"
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(ConfigurationError) as failed:
        request()
    assert f"({__file__})" in failed.value.message and "`V1Pod` of the package `kubernetes`" in failed.value.message
    assert failed.value.seen[0].startswith("ModuleNotFoundError") and "install `kubernetes`" in str(failed.value.hint)


def test_installation_without_a_hook_changes_nothing() -> None:
    wanted: Any = {}
    assert mutated(wanted, NOWHERE) is wanted


def test_hook_is_that_of_airflow_local_settings_and_kubernetes_is_not_imported_to_find_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    local = tmp_path / "config" / "airflow_local_settings.py"
    local.write_text("def pod_mutation_hook(pod):\n    print('called with', pod)\n")
    program = textwrap.dedent(
        """
        import sys
        from unique_k8s_job.compat import KubernetesJobOperator
        from unique_k8s_job.task.compat.pod_mutation_hook import files_of, pod_mutation_hook
        hook = pod_mutation_hook()
        hook("a Pod")
        print(files_of(hook))
        assert "kubernetes" not in sys.modules
        """
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["called with a Pod", str([str(local)])]
