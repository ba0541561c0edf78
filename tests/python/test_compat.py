"""The classes of cncf.kubernetes under our import: the manifests they make, what they refuse, and what they warn of.

The manifest cases have the intentions of the provider's own unit tests of version 10.25.0 (`tests/unit/cncf/kubernetes/operators/
test_job.py`), written anew: what is asked is what the Job on the API server would be.
"""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from unique_k8s_job import _core
from unique_k8s_job.compat import (
    KubernetesDeleteJobOperator,
    KubernetesJobOperator,
    KubernetesPatchJobOperator,
    KubernetesStartKueueJobOperator,
    MigrationWarning,
    replaced,
    without_meaning,
)
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.operators.job import UniqueK8sJobOperator
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task.job_request import request_of
from unique_k8s_job.task.settings import settings


def context(try_number: int = 1) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="etl", run_id="r", task_id="task", map_index=-1, try_number=try_number, max_tries=2, id="u"
    )
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0)}


def requested(task: KubernetesJobOperator) -> dict[str, Any]:
    """The request that `execute` would send."""
    task.name = f"job-{task._own_name(context())}"  # type: ignore[arg-type]
    known: Any = SimpleNamespace(names=[])
    log: Any = SimpleNamespace(say=lambda *_: None)
    request: dict[str, Any] = plain_request(request_of(task, context(), settings(), known, log))  # type: ignore[arg-type]
    return request


def job_of(task: KubernetesJobOperator) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(_core.assemble(requested(task)))
    return job


def task(**arguments: Any) -> KubernetesJobOperator:
    return KubernetesJobOperator(**{"task_id": "task", "image": "a:1", **arguments})


class Model:
    """What a model of the Kubernetes client is: attributes, and what they are called in JSON."""

    openapi_types: ClassVar[dict[str, str]] = {}

    def __init__(self, **fields: Any) -> None:
        self.attribute_map = {name: re.sub(r"_(\w)", lambda letter: letter[1].upper(), name) for name in fields}
        for name, value in fields.items():
            setattr(self, name, value)


# --- the 26 manifest cases --------------------------------------------------------------------------------------------


_POD = "spec.template.spec"
_BASE = f"{_POD}.containers.0"


@pytest.mark.parametrize(
    ("argument", "value", "field"),
    [
        ("backoff_limit", 6, "spec.backoffLimit"),
        ("completion_mode", "NonIndexed", "spec.completionMode"),
        ("completions", 1, "spec.completions"),
        ("parallelism", 2, "spec.parallelism"),
        ("suspend", True, "spec.suspend"),
        ("active_deadline_seconds", 60, "spec.activeDeadlineSeconds"),
        ("namespace", "etl", "metadata.namespace"),
        ("labels", "nightly", "metadata.labels.mode"),
        ("annotations", "nightly", "metadata.annotations.mode"),
        ("image", "b:2", f"{_BASE}.image"),
        ("image_pull_policy", "Always", f"{_BASE}.imagePullPolicy"),
        ("cmds", ["sh", "-c"], f"{_BASE}.command"),
        ("arguments", ["true"], f"{_BASE}.args"),
        ("ports", [{"containerPort": 80}], f"{_BASE}.ports"),
        ("env_vars", [{"name": "A", "value": "1"}], f"{_BASE}.env"),
        ("env_from", [{"configMapRef": {"name": "c"}}], f"{_BASE}.envFrom"),
        ("volume_mounts", [{"name": "v", "mountPath": "/v"}], f"{_BASE}.volumeMounts"),
        ("container_resources", {"limits": {"cpu": "1"}}, f"{_BASE}.resources"),
        ("container_security_context", {"runAsNonRoot": True}, f"{_BASE}.securityContext"),
        ("termination_message_policy", "FallbackToLogsOnError", f"{_BASE}.terminationMessagePolicy"),
        ("volumes", [{"name": "v", "emptyDir": {}}], f"{_POD}.volumes"),
        ("affinity", {"nodeAffinity": {}}, f"{_POD}.affinity"),
        ("tolerations", [{"operator": "Exists"}], f"{_POD}.tolerations"),
        ("node_selector", {"disk": "ssd"}, f"{_POD}.nodeSelector"),
        ("runtime_class_name", "gvisor", f"{_POD}.runtimeClassName"),
        ("service_account_name", "loader", f"{_POD}.serviceAccountName"),
        ("automount_service_account_token", False, f"{_POD}.automountServiceAccountToken"),
        ("hostnetwork", False, f"{_POD}.hostNetwork"),
        ("host_aliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}], f"{_POD}.hostAliases"),
        ("security_context", {"fsGroup": 0}, f"{_POD}.securityContext"),
        ("dnspolicy", "Default", f"{_POD}.dnsPolicy"),
        ("dns_config", {"nameservers": ["10.0.0.2"]}, f"{_POD}.dnsConfig"),
        ("hostname", "worker", f"{_POD}.hostname"),
        ("subdomain", "workers", f"{_POD}.subdomain"),
        ("schedulername", "volcano", f"{_POD}.schedulerName"),
        ("init_containers", [{"name": "wait", "image": "a:1"}], f"{_POD}.initContainers"),
        ("priority_class_name", "low", f"{_POD}.priorityClassName"),
        ("termination_grace_period", 0, f"{_POD}.terminationGracePeriodSeconds"),
        ("image_pull_secrets", [{"name": "registry"}], f"{_POD}.imagePullSecrets"),
    ],
)
def test_argument_is_a_field_of_the_job(argument: str, value: Any, field: str) -> None:
    given = {"mode": value} if argument in ("labels", "annotations") else value
    found: Any = job_of(task(**{argument: given}))
    for part in field.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    assert found == value


def test_arguments_that_choose_the_cluster_reach_the_hook() -> None:
    chosen = {"kubernetes_conn_id": "other", "in_cluster": False, "cluster_context": "far", "config_file": "/k"}
    hook = task(**chosen)._hook()
    assert {name: getattr(hook, name) for name in chosen} == chosen


def test_manual_selector_that_is_false_says_nothing_and_a_selector_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "manualSelector" not in job_of(task(manual_selector=False))["spec"]
    with pytest.warns(MigrationWarning, match=r"`selector`: Kubernetes makes a selector(.|\n)*use `labels`"):
        chosen = task(selector=Model(match_labels={"foo": "bar"}))
    assert "selector" not in job_of(chosen)["spec"]


def test_ttl_counts_from_the_end_of_a_job_for_which_nobody_waits() -> None:
    assert job_of(task(ttl_seconds_after_finished=5))["spec"]["ttlSecondsAfterFinished"] == 5
    waited = task(ttl_seconds_after_finished=5, wait_until_job_complete=True)
    request = requested(waited)
    # Until its outcome is recorded it is kept for longer.
    assert json.loads(_core.assemble(request))["spec"]["ttlSecondsAfterFinished"] == 604800
    assert request["ttl"]["succeeded"] == {"kind": "seconds", "seconds": 5}


@pytest.mark.parametrize("random", [True, False])
def test_name_begins_with_job_and_is_whole_without_a_suffix(random: bool) -> None:
    name = job_of(task(name="test", random_name_suffix=random))["metadata"]["name"]
    assert re.fullmatch(r"job-test-.+" if random else "job-test", name), name


def job_spec() -> Model:
    pod = Model(containers=[Model(name="base", image="ubuntu:16.04", command=["something"])])
    return Model(
        metadata=Model(name="hello", labels={"foo": "bar"}, namespace="jobspecnamespace"),
        spec=Model(template=Model(metadata=Model(name="world", labels={"foo": "bar"}), spec=pod)),
    )


@pytest.mark.parametrize("random", [True, False])
def test_full_job_spec_is_the_job(random: bool) -> None:
    job = job_of(KubernetesJobOperator(task_id="task", random_name_suffix=random, full_job_spec=job_spec()))
    assert re.fullmatch(r"job-hello-.+" if random else "job-hello", job["metadata"]["name"])
    assert job["metadata"]["namespace"] == "jobspecnamespace"
    (base,) = job["spec"]["template"]["spec"]["containers"]
    assert (base["image"], base["command"]) == ("ubuntu:16.04", ["something"])
    assert job["metadata"]["labels"]["foo"] == "bar"


@pytest.mark.parametrize("random", [True, False])
def test_arguments_win_over_a_full_job_spec(random: bool) -> None:
    job = job_of(
        task(
            full_job_spec=job_spec(),
            name="world",
            random_name_suffix=random,
            image="some.custom.image:andtag",
            labels={"hello": "world"},
        )
    )
    assert re.fullmatch(r"job-world-.+" if random else "job-world", job["metadata"]["name"])
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "some.custom.image:andtag"
    labels = job["metadata"]["labels"]
    assert (labels["foo"], labels["hello"]) == ("bar", "world")


TEMPLATE = """
apiVersion: batch/v1
kind: Job
metadata: {name: hello, namespace: templatenamespace, labels: {foo: bar}}
spec:
  ttlSecondsAfterFinished: 60
  parallelism: 3
  completions: 3
  suspend: true
  backoffLimit: 4
  template:
    spec:
      serviceAccountName: foo
      restartPolicy: OnFailure
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{key: kubernetes.io/role, operator: In, values: [foo, bar]}]
      containers:
        - {name: base, image: "ubuntu:16.04", imagePullPolicy: Always, command: [something]}
"""


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    return file


@pytest.mark.parametrize("random", [True, False])
def test_template_file_is_the_job(random: bool, template_file: Path) -> None:
    job = job_of(KubernetesJobOperator(task_id="task", random_name_suffix=random, job_template_file=template_file))
    assert re.fullmatch(r"job-hello-.+" if random else "job-hello", job["metadata"]["name"])
    assert (job["metadata"]["namespace"], job["metadata"]["labels"]["foo"]) == ("templatenamespace", "bar")
    pod = job["spec"]["template"]["spec"]
    (base,) = pod["containers"]
    assert (base["image"], base["imagePullPolicy"], base["command"]) == ("ubuntu:16.04", "Always", ["something"])
    assert pod["serviceAccountName"] == "foo"
    affinity = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] == ["foo", "bar"]
    # What nobody gave stays as the template has it.
    assert (job["spec"]["parallelism"], pod["restartPolicy"]) == (3, "OnFailure")


@pytest.mark.parametrize("random", [True, False])
def test_arguments_win_over_a_template_file(random: bool, template_file: Path) -> None:
    job = job_of(
        task(
            job_template_file=str(template_file),
            name="world",
            random_name_suffix=random,
            image="some.custom.image:andtag",
            labels={"hello": "world"},
        )
    )
    assert re.fullmatch(r"job-world-.+" if random else "job-world", job["metadata"]["name"])
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "some.custom.image:andtag"
    assert (job["metadata"]["labels"]["foo"], job["metadata"]["labels"]["hello"]) == ("bar", "world")


def test_task_id_is_the_name_where_nothing_else_is() -> None:
    fixed = KubernetesJobOperator(task_id=".hi.-_09HI", image="a:1", random_name_suffix=False)
    assert job_of(fixed)["metadata"]["name"] == "job-hi-09hi"
    unique = job_of(KubernetesJobOperator(task_id=".hi.-_09HI", image="a:1"))["metadata"]["name"]
    assert re.fullmatch(r"job-hi-09hi-[a-z0-9-]+", unique)
    long = job_of(KubernetesJobOperator(task_id="a" * 250, image="a:1"))["metadata"]["name"]
    assert re.match("job-a{18}-", long) and len(long) <= 52
    one = job_of(KubernetesJobOperator(task_id="a_very_reasonable_task_name", image="a:1"))["metadata"]["name"]
    assert one.startswith("job-a-very-reasonable-"), one


@pytest.mark.parametrize("random", [True, False])
def test_name_of_other_characters_becomes_one_of_kubernetes(random: bool) -> None:
    name = job_of(task(name="test_extra-123", random_name_suffix=random))["metadata"]["name"]
    assert re.fullmatch(r"job-test-extra-123-.+" if random else "job-test-extra-123", name), name


def test_template_fields_are_those_of_the_provider_and_models_are_rendered_too() -> None:
    fields = [
        "job_template_file",
        "image",
        "name",
        "hostname",
        "cmds",
        "annotations",
        "arguments",
        "env_vars",
        "labels",
        "config_file",
        "pod_template_file",
        "pod_template_dict",
        "namespace",
        "container_resources",
        "volumes",
        "volume_mounts",
        "cluster_context",
        "env_from",
        "configmaps",
        "node_selector",
        "kubernetes_conn_id",
        "base_container_name",
    ]
    assert set(fields) <= set(KubernetesJobOperator.template_fields)
    assert list(KubernetesJobOperator.template_fields) == list(dict.fromkeys(KubernetesJobOperator.template_fields))
    one = "{{ who }}"
    rendered = task(
        namespace=one,
        container_resources=Model(requests={"memory": one}, limits={"cpu": one}),
        volume_mounts=[Model(name=one, mount_path="/data", sub_path=one)],
        pod_template_dict={"spec": {"containers": [Model(name=one)]}},
        job_template_file=one,
        config_file=one,
        labels=one,
        env_vars=[one],
        arguments=one,
        cmds=one,
        image=one,
        annotations={"dag-id": one},
    )
    rendered.render_template_fields({"who": "etl"})  # type: ignore[typeddict-unknown-key]
    assert rendered.container_resources == {"requests": {"memory": "etl"}, "limits": {"cpu": "etl"}}
    assert rendered.volume_mounts == [{"name": "etl", "mountPath": "/data", "subPath": "etl"}]
    assert rendered.pod_template_dict == {"spec": {"containers": [{"name": "etl"}]}}
    assert (rendered.labels, rendered.env_vars, rendered.cmds, rendered.arguments) == ("etl", ["etl"], "etl", "etl")
    assert (rendered.image, rendered.namespace, rendered.job_template_file) == ("etl", "etl", "etl")
    assert (rendered.config_file, rendered.annotations) == ("etl", {"dag-id": "etl"})


def test_job_of_a_template_file_can_be_pickled(template_file: Path) -> None:
    parts = KubernetesJobOperator(task_id="task", job_template_file=template_file).manifest_parts(context())  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(parts)) == parts


# --- merging --------------------------------------------------------------------------------------------------------------


def test_zero_false_and_empty_win_over_a_template(template_file: Path) -> None:
    spec = job_of(task(job_template_file=template_file, backoff_limit=0, suspend=False, cmds=[]))["spec"]
    assert (spec["backoffLimit"], spec["suspend"]) == (0, False)
    assert spec["template"]["spec"]["containers"][0]["command"] == []


def test_templates_and_specs_merge_in_the_providers_order_by_the_rules_of_kubernetes(template_file: Path) -> None:
    pod_file = template_file.parent / "pod.yaml"
    pod_file.write_text(
        "kind: Pod\nmetadata: {name: p, namespace: n, labels: {of: pod}}\n"
        "spec: {hostNetwork: true, containers: [{name: base, image: 'pod:1', env: [{name: A, value: '1'}]}, "
        "{name: side, image: 'side:1'}]}"
    )
    job = job_of(
        KubernetesJobOperator(
            task_id="task",
            job_template_file=template_file,
            full_job_spec={"spec": {"completions": 5, "template": {"spec": {"dnsPolicy": "Default"}}}},
            pod_template_file=str(pod_file),
            full_pod_spec=Model(
                spec=Model(host_network=False, containers=[Model(name="base", env=[Model(name="A", value="2")])])
            ),
            env_vars={"B": "3"},
        )
    )
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (5, 3)
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["of"] == "pod" and not {"name", "namespace"} & set(template["metadata"])
    pod = template["spec"]
    assert (pod["dnsPolicy"], pod["hostNetwork"], pod["serviceAccountName"]) == ("Default", False, "foo")
    base, side = pod["containers"]
    assert (base["image"], base["command"], side) == ("pod:1", ["something"], {"name": "side", "image": "side:1"})
    assert base["env"] == [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]


def test_retries_of_kubernetes_are_its_own_where_nothing_is_given() -> None:
    assert "backoffLimit" not in job_of(task())["spec"]


def test_file_that_is_missing_is_said_with_its_argument() -> None:
    with pytest.raises(InvalidManifestError, match="`/absent.yaml` of `job_template_file` was not found"):
        job_of(task(job_template_file="/absent.yaml"))


def test_absolute_path_that_is_missing_is_not_called_relative(tmp_path: Path) -> None:
    for path, seen in (("/absent.yaml", "has no such file"), (str(tmp_path), "names a folder")):
        with pytest.raises(InvalidManifestError) as caught:
            job_of(task(job_template_file=path))
        assert seen in caught.value.seen[0]
        assert "an absolute path" not in str(caught.value) and "looked in" not in str(caught.value)


def test_choice_that_is_none_is_shown_with_the_choices() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KubernetesJobOperator(task_id="work", image="a", on_finish_action="delete")
    assert caught.value.seen == ["`delete`"]
    assert "`delete_pod`" in caught.value.message


# --- what else a parameter does -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"on_finish": "keep", "on_stop": "delete", "reattach": "reattach", "startup_timeout_seconds": 600}),
        ({"on_finish_action": "delete_pod"}, {"on_finish": "delete"}),
        ({"on_finish_action": "delete_succeeded_pod"}, {"on_finish": {"succeeded": "delete", "failed": "keep"}}),
        ({"on_finish_action": "keep_pod"}, {"on_finish": "keep"}),
        ({"on_finish_action": "delete_active_pod"}, {"on_finish": "keep"}),
        ({"on_kill_action": "keep_pod"}, {"on_stop": "leave"}),
        ({"on_kill_propagation_policy": "Orphan"}, {"on_stop": "leave"}),
        ({"on_kill_propagation_policy": "Background"}, {"on_stop": "delete"}),
        ({"on_kill_propagation_policy": "Background", "on_kill_action": "keep_pod"}, {"on_stop": "leave"}),
        ({"on_kill_propagation_policy": "Orphan", "on_kill_action": "delete_pod"}, {"on_stop": "leave"}),
        ({"durable": False}, {"reattach": "replace"}),
        ({"reattach_on_restart": False}, {"reattach": "replace"}),
        ({"reattach_on_restart": False, "durable": True}, {"reattach": "reattach"}),
        ({"startup_timeout_seconds": 300}, {"startup_timeout_seconds": 600}),
        ({"startup_timeout_seconds": 60, "schedule_timeout_seconds": 900}, {"startup_timeout_seconds": 960}),
        ({"image_pull_secrets": "a,b"}, {"image_pull_secrets": ["a", "b"]}),
        ({"wait_until_job_complete": True}, {"follows": True}),
        ({"deferrable": True, "wait_until_job_complete": True}, {"follows": True, "deferrable": True}),
        ({"skip_on_exit_code": 99}, {"skip_on_exit_code": [99]}),
        ({}, {"do_xcom_push": False, "xcom": None}),
        (
            {"do_xcom_push": True, "wait_until_job_complete": True},
            {"do_xcom_push": True, "xcom": "termination-message"},
        ),
        ({"on_finish": "delete"}, {"on_finish": "delete"}),
    ],
)
def test_parameter_means_an_argument_of_ours(given: dict[str, Any], expected: dict[str, Any]) -> None:
    made = task(**given)
    assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.parametrize(
    "wrong", [{"on_finish_action": "keep"}, {"on_kill_action": "none"}, {"on_kill_propagation_policy": "orphan"}]
)
def test_word_that_is_none_of_the_providers_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        task(**wrong)


@pytest.mark.parametrize(
    ("result", "unwrapped", "listed"),
    [
        ({"text": '{"rows": 3}'}, {"rows": 3}, [{"rows": 3}]),
        ({"text": None}, None, [None]),
        ({"texts": ["1", "2"]}, [1, 2], [1, 2]),
    ],
)
def test_result_of_one_pod_is_a_list_only_if_wanted(result: Any, unwrapped: Any, listed: Any) -> None:
    pushed: Any = SimpleNamespace(xcom_push=lambda **_: None)
    outcome = {"state": "succeeded", "summary": "it succeeded", "job": {}, "result": result}
    for unwrap, expected in ((True, unwrapped), (False, listed)):
        made = task(do_xcom_push=True, wait_until_job_complete=True, unwrap_single=unwrap)
        log: Any = Log()
        assert made._conclude(outcome, {"ti": pushed}, log) == expected  # type: ignore[typeddict-item]


def test_default_args_reach_every_parameter() -> None:
    made = KubernetesJobOperator(
        task_id="task",
        default_args={"on_finish_action": "delete_pod", "image": "b:2", "retries": 7, "on_stop": "leave"},
    )
    assert (made.on_finish, made.image, made.retries, made.on_stop) == ("delete", "b:2", 7, "leave")


def test_logs_are_those_of_the_base_container_unless_others_are_named() -> None:
    request = requested(task())
    assert (request["container_logs"], request["init_container_logs"]) == ("base", {"named": []})
    request = requested(task(container_logs=["base", "proxy"], init_container_logs=True))
    assert (request["container_logs"], request["init_container_logs"]) == ({"named": ["base", "proxy"]}, "all")
    assert [requested(task(get_logs=wanted))["get_logs"] for wanted in (True, False)] == [True, False]


def test_environment_of_the_pod_is_added() -> None:
    of_pod = Model(name="POD", value_from=Model(field_ref=Model(field_path="metadata.name")))
    old_style = SimpleNamespace(to_k8s_client_obj=lambda: Model(name="NODE", value="n"))
    job = job_of(task(env_vars={"A": "1"}, pod_runtime_info_envs=[of_pod, old_style]))
    assert job["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "A", "value": "1"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "NODE", "value": "n"},
    ]
    with pytest.raises(InvalidManifestError, match="`pod_runtime_info_envs` cannot be added"):
        task(env_vars="{{ params.env }}", pod_runtime_info_envs=[of_pod])


def test_subclass_names_its_base_container() -> None:
    class Sidecars(KubernetesJobOperator):
        BASE_CONTAINER_NAME = "main"

    job = job_of(Sidecars(task_id="task", image="a:1"))
    assert job["spec"]["template"]["spec"]["containers"] == [{"name": "main", "image": "a:1"}]
    job = job_of(Sidecars(task_id="task", image="a:1", base_container_name="worker"))
    assert job["spec"]["template"]["spec"]["containers"] == [{"name": "worker", "image": "a:1"}]


@pytest.mark.parametrize(
    ("parameter", "value", "instead"),
    [
        ("job_poll_interval", 5, "the Job is watched"),
        ("poll_interval", 5, "the Job is watched"),
        ("startup_check_interval_seconds", 1, "the Job is watched"),
        ("base_container_status_polling_interval", 1, "the Job is watched"),
        ("discover_pods_retry_number", 9, "Leave it out"),
        ("xcom_sidecar_container_security_context", {"runAsUser": 1}, 'give `xcom="sidecar"`'),
        ("logging_interval", 60, "is live"),
        ("trigger_kwargs", {"a": 1}, "takes no arguments"),
        ("manual_selector", True, "Kubernetes makes a selector"),
        ("log_pod_spec_on_failure", True, "doctor --job"),
        ("is_delete_operator_pod", True, 'Give `on_finish_action="delete_pod"`'),
        ("container_name_log_prefix_enabled", False, "`container_logs`"),
        ("deferrable", True, "wait_until_job_complete=True"),
        ("do_xcom_push", True, "wait_until_job_complete=True"),
    ],
)
def test_parameter_that_can_mean_nothing_is_warned_of_once_at_the_line_of_the_dag_file(
    parameter: str, value: Any, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_meaning, "_said", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task(**{parameter: value})
    (warning,) = caught
    assert warning.category is MigrationWarning and warning.filename == __file__
    assert f"`{parameter}`" in str(warning.message) and instead in str(warning.message)


def test_interval_is_warned_of_at_the_first_task_of_a_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(without_meaning, "_said", set())
    with pytest.warns(MigrationWarning, match="`job_poll_interval`"):
        task(job_poll_interval=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task(job_poll_interval=5)
    with pytest.warns(MigrationWarning) as caught:
        task(job_poll_interval=5, logging_interval=9)
    assert "`job_poll_interval`" not in str(caught[0].message)


def test_plain_task_of_the_provider_gets_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task(
            cmds=["a"], do_xcom_push=False, log_events_on_failure=True, log_events_on_startup=False, unwrap_single=False
        )


def test_security_context_of_the_sidecar_is_passed_on_where_there_is_one() -> None:
    context = Model(run_as_user=7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = task(
            container_security_context={"runAsUser": 1},
            xcom_sidecar_container_security_context=context,
            xcom="sidecar",
            wait_until_job_complete=True,
        )
    pod = job_of(made)["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["securityContext"] == {"runAsUser": 7}
    assert pod["containers"][0]["securityContext"] == {"runAsUser": 1}
    ours = task(xcom_sidecar_security_context={}, xcom_sidecar_container_security_context=context, xcom="sidecar")
    assert ours.xcom_sidecar_security_context == {}
    for without in ({"do_xcom_push": True}, {"xcom": "termination-message"}):
        with pytest.warns(MigrationWarning, match="the task has no sidecar, because its result needs none"):
            task(xcom_sidecar_container_security_context=context, wait_until_job_complete=True, **without)


@pytest.mark.parametrize(
    ("word", "value", "attribute", "meant"),
    [
        ("wait_until_job_complete", True, "follows", True),
        ("random_name_suffix", False, "name_policy", "fixed"),
        ("on_finish_action", "delete_pod", "on_finish", "delete"),
        ("on_kill_action", "keep_pod", "on_stop", "leave"),
        ("on_kill_propagation_policy", "Orphan", "on_stop", "leave"),
        ("reattach_on_restart", False, "reattach", "replace"),
        ("schedule_timeout_seconds", 30, "startup_timeout_seconds", 150),
    ],
)
def test_attribute_of_the_provider_that_is_assigned_later_counts_as_if_it_had_been_given(
    word: str, value: Any, attribute: str, meant: Any
) -> None:
    class Own(KubernetesJobOperator):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            setattr(self, word, value)

    given, assigned = task(**{word: value}), Own(task_id="task", image="a:1")
    assert getattr(given, attribute) == getattr(assigned, attribute) == meant
    assert getattr(given, word) == getattr(assigned, word) == value
    assert getattr(copy.deepcopy(assigned), word) == value


def test_attribute_in_our_words_wins_over_one_of_the_provider() -> None:
    made = task(on_stop="delete", on_kill_action="keep_pod", on_finish="keep")
    made.on_finish_action = "delete_pod"
    assert (made.on_stop, made.on_finish) == ("delete", "keep")
    with pytest.raises(ConfigurationError, match="on_finish_action"):
        made.on_finish_action = "burn"


def test_result_that_is_asked_for_later_is_read_before_and_after_a_deferral(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("execute", "execute_complete"):
        monkeypatch.setattr(UniqueK8sJobOperator, method, lambda task, *_: task.xcom)
        made = task()
        made.wait_until_job_complete = made.do_xcom_push = True
        assert getattr(made, method)(context()) == "termination-message"


def test_containers_that_the_provider_makes_empty_can_be_added_to_and_say_nothing_if_they_stay_empty() -> None:
    made = task()
    made.labels["team"] = "data"
    made.tolerations.append({"operator": "Exists"})
    made.env_vars.append({"name": "A", "value": "1"})
    spec = {"nodeSelector": {"disk": "ssd"}, "volumes": [{"name": "v", "emptyDir": {}}]}
    made.full_pod_spec = {"spec": spec}
    job = job_of(made)
    assert job["metadata"]["labels"]["team"] == "data"
    pod = job["spec"]["template"]["spec"]
    assert {name: pod[name] for name in spec} == spec
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    # What is given empty is given.
    made = task(node_selector={})
    made.full_pod_spec = {"spec": spec}
    assert not job_of(made)["spec"]["template"]["spec"].get("nodeSelector")


def test_job_of_the_task_has_its_names_and_what_is_not_here_is_an_error_that_says_what_to_use() -> None:
    made = task()
    assert made.job is None
    made._know({"namespace": "etl", "name": "job-a", "uid": "u"})
    assert made.job is not None
    assert (made.job.metadata.namespace, made.job.metadata.name, made.job.metadata.uid) == ("etl", "job-a", "u")
    for read, instead in (
        (lambda: made.job.status, "XCom `job_outcome`"),
        (lambda: made.pods, "XCom `job_outcome`"),
        (lambda: made.hook, "UniqueK8sJobHook"),
        (lambda: made.build_job_request_obj(context()), "manifest_parts"),
    ):
        with pytest.raises(AttributeError, match=instead):
            read()
    assert not hasattr(made, "client")
    with pytest.raises(AttributeError, match="'KubernetesJobOperator' object has no attribute 'bogus'"):
        _ = made.bogus


class Callbacks:
    """Stands for `KubernetesPodOperatorCallback`, whose methods are static."""

    seen: ClassVar[list[tuple[str, str]]] = []

    @staticmethod
    def progress_callback(*, line: str, container_name: str, pod: Any, **_: Any) -> None:
        assert pod.metadata.name == "p"
        Callbacks.seen.append((container_name, line))

    @staticmethod
    def on_pod_creation(**_: Any) -> None:
        raise AssertionError("nobody calls it")


class Log:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def lines(self, event: Mapping[str, Any]) -> None:
        self.written.append(event["text"])

    def message(self, text: str, level: str = "info") -> None:
        self.written.append((level, text))


def test_lines_are_formatted_and_given_to_the_callbacks() -> None:
    lines: list[str] = []
    with pytest.warns(MigrationWarning, match=r"`callbacks`: `on_pod_creation` cannot be called"):
        made = task(
            callbacks=Callbacks,
            progress_callback=lines.append,
            log_formatter=lambda container, line: f"<{container}> {line}\nmore",
            wait_until_job_complete=True,
        )
    log: Any = Log()
    event = {
        "kind": "log",
        "text": "one\ntwo",
        "container": "base",
        "pod": "p",
        "mark": False,
        "parts": [[2, "info", None]],
    }
    made.write_log(event, log)
    assert log.written == ["<base> one more\n<base> two more"]
    assert lines == ["one", "two"] and Callbacks.seen == [("base", "one"), ("base", "two")]
    made.progress_callbacks = [lambda *_: 1 / 0]  # type: ignore[list-item,return-value]
    made.write_log({**event, "text": "three\nfour"}, log)
    assert log.written[-1] == (
        "warning",
        "progress_callback failed, and is not called again: ZeroDivisionError: division by zero",
    )
    made.write_log({**event, "text": "five"}, log)
    assert log.written[-1] == "<base> five more", "said once"
    with pytest.warns(MigrationWarning, match="`log_formatter`: it is called in the worker only"):
        task(log_formatter=lambda _, line: line, deferrable=True, wait_until_job_complete=True)


def test_dag_file_is_parsed_without_the_provider_and_loads_nothing_heavy() -> None:
    script = """
        import sys
        for name in ("kubernetes", "kubernetes_asyncio", "airflow.providers.cncf"):
            sys.modules[name] = None
        try:
            from airflow.sdk import DAG
        except ImportError:
            from airflow import DAG
        import unique_k8s_job
        from unique_k8s_job import UniqueK8sJobOperator
        assert not [name for name in sys.modules if name.startswith("unique_k8s_job.compat")]
        before = set(sys.modules)
        from unique_k8s_job.compat import KubernetesDeleteJobOperator, KubernetesJobOperator, KubernetesPatchJobOperator
        with DAG("migrated", schedule=None):
            job = KubernetesJobOperator(task_id="job", image="busybox", full_job_spec={"spec": {"backoffLimit": 0}})
            name = job.output["job_name"]
            patch = KubernetesPatchJobOperator(task_id="patch", name=name, namespace="etl", body={"spec": {}})
            patch >> KubernetesDeleteJobOperator(task_id="delete", name=name, namespace="etl")
        new = {name for name in set(sys.modules) - before if not name.startswith("unique_k8s_job.")}
        assert not {name.partition(".")[0] for name in new} & {"yaml", "click", "rich", "asyncio"}, new
        assert "unique_k8s_job._core" not in sys.modules
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr


# --- subclasses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "replacement"),
    [
        ("build_pod_request_obj", "`manifest`"),
        ("build_job_request_obj", "`manifest_parts`"),
        ("get_or_create_pod", "`reattach`"),
        ("await_pod_start", "`startup_timeout_seconds`"),
        ("get_pods", "`execute`"),
        ("extract_xcom", "return value"),
        ("cleanup", "`on_finish`"),
        ("hook", "`UniqueK8sJobHook`"),
    ],
)
def test_subclass_that_overrides_what_is_never_called_is_refused_where_it_is_defined(
    method: str, replacement: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"`Mine` overrides `{method}`") as refusal:
        type("Mine", (KubernetesJobOperator,), {method: lambda self: None})
    assert replacement in str(refusal.value)
    mixin = type("Mixin", (), {method: lambda self: None})
    with pytest.raises(ConfigurationError, match=method):
        type("Mine", (mixin, KubernetesJobOperator), {})


def test_subclass_that_changes_what_is_ours_too_is_welcome() -> None:
    class Mine(KubernetesJobOperator):
        ui_color = "#fff"
        template_fields = (*KubernetesJobOperator.template_fields, "mine")

        def __init__(self, *, mine: str, **kwargs: Any) -> None:
            super().__init__(image="a:1", **kwargs)
            self.mine = mine

        def execute(self, context: Any) -> Any:
            return super().execute(context)

        def on_kill(self) -> None:
            super().on_kill()

    assert Mine(task_id="task", mine="yes", labels={"a": "b"}).labels == {"a": "b"}
    for parent in (KubernetesDeleteJobOperator, KubernetesPatchJobOperator):
        with pytest.raises(ConfigurationError, match=parent.__name__):
            type("Mine", (parent,), {"client": None})


def test_kueue_operator_is_the_operator_with_a_queue() -> None:
    made = KubernetesStartKueueJobOperator(task_id="task", image="a:1", queue_name="team-a", suspend=True)
    assert (made.queue_name, "queue_name" in made.template_fields) == ("team-a", True)
    assert isinstance(made, KubernetesJobOperator) and not made.follows
    with pytest.raises(ConfigurationError, match="`suspend` is False"):
        KubernetesStartKueueJobOperator(task_id="task", image="a:1", queue_name="team-a", suspend=False)


# --- the other two ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "only_if"), [(None, "any"), ("Complete", "succeeded"), ("Failed", "failed")])
def test_delete_operator_deletes_what_its_status_says(status: str | None, only_if: str) -> None:
    made = KubernetesDeleteJobOperator(
        task_id="task", name="job", namespace="etl", delete_on_status=status, wait_for_completion=True, poll_interval=1
    )
    request = made._request()
    assert (request["only_if"], request["namespace"], request["target"]["name"]) == (only_if, "etl", "job")
    assert (request["wait_for"], request["propagation_policy"]) == ("gone", "Background")
    assert made.wait_for_completion
    with pytest.raises(ConfigurationError, match="delete_on_status"):
        KubernetesDeleteJobOperator(task_id="task", name="job", namespace="etl", delete_on_status="complete")


def test_patch_operator_asks_for_what_its_body_says() -> None:
    made = KubernetesPatchJobOperator(
        task_id="task", name="job", namespace="etl", body=Model(spec=Model(suspend=False)), config_file="/k"
    )
    request = made.patch_request()
    assert (request["name"], request["namespace"], request["body"]) == ("job", "etl", {"spec": {"suspend": False}})
    assert made.config_file == "/k"
    assert {"config_file", "name", "namespace", "body", "cluster_context", "kubernetes_conn_id"} <= set(
        made.template_fields
    )


def test_what_is_said_to_be_missing_is_missing() -> None:
    given = task(wait_until_job_complete=True)
    assert [name for name in replaced.READS if hasattr(given, name)] == ["job"], "which has the names of the Job alone"
    assert {*replaced.OF_A_JOB} - {*replaced.READS} == {"dry_run"}


def test_documented_subclass_makes_the_job_that_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs/migrate.md").read_text()
    after = next(code for code in page.split("```") if "def manifest_parts" in code)
    # Airflow finds the types of a class in its module.
    known: dict[str, Any] = {"__name__": __name__}
    exec(after.removeprefix("python"), known)  # noqa: S102  # what a reader copies
    made = job_of(known["Traced"](task_id="task", image="a:1", annotations={"mine": "stays"}))
    assert made["metadata"]["annotations"].items() >= {"example.com/run": "r", "mine": "stays"}.items()
