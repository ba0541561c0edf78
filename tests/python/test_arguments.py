"""Which arguments reach the core, and how."""

from __future__ import annotations

import copy
import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from unique_k8s_job import UniqueK8sJobOperator, _core
from unique_k8s_job.exceptions import ConfigurationError, InvalidManifestError
from unique_k8s_job.manifest.plain import without_models
from unique_k8s_job.request.arguments import fixed_name, given, one_of, per_outcome, ttl
from unique_k8s_job.request.job import plain_request

if TYPE_CHECKING:
    from unique_k8s_job._core import JobRequest


def operator(**arguments: Any) -> UniqueK8sJobOperator:
    return UniqueK8sJobOperator(task_id="work", **arguments)


def request(manifest: dict[str, Any] | None = None, **arguments: Any) -> JobRequest:
    attempt = {
        "deployment": "d",
        "dag_id": "etl",
        "run_id": "r",
        "task_id": "work",
        "map_index": -1,
        "try_number": 1,
        "instance": "i",
    }
    task = operator(**arguments)
    return plain_request(
        {
            "attempt": attempt,
            "slug": "work",
            "run_time": "2026-01-01T06:00:00+00:00",
            "manifest": manifest,
            "arguments": given(task),
            "ttl": per_outcome("ttl_seconds_after_finished", task.ttl_seconds_after_finished, ttl),
        }
    )


def given_ttl(task: UniqueK8sJobOperator) -> Any:
    return ttl("ttl_seconds_after_finished", task.ttl_seconds_after_finished)  # type: ignore[arg-type]


def assembled(manifest: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(_core.assemble(request(manifest, **arguments)))
    return job


MANIFEST: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {
        "backoffLimit": 4,
        "suspend": True,
        "ttlSecondsAfterFinished": 60,
        "template": {"spec": {"containers": [{"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}]}]}},
    },
}


def test_nothing_given_is_nothing_sent() -> None:
    assert given(operator()) == {}


def test_zero_false_and_empty_are_given() -> None:
    arguments = given(operator(backoff_limit=0, suspend=False, env_vars={}, cmds=[], labels={}))
    assert arguments == {"backoff_limit": 0, "suspend": False, "env_vars": [], "cmds": [], "labels": {}}


def test_zero_and_false_win_over_the_manifest_and_what_is_not_given_leaves_it_alone() -> None:
    spec = assembled(MANIFEST, backoff_limit=0, suspend=False)["spec"]
    assert (spec["backoffLimit"], spec["suspend"]) == (0, False)
    spec = assembled(MANIFEST)["spec"]
    assert (spec["backoffLimit"], spec["suspend"]) == (4, True)
    assert spec["template"]["spec"]["containers"] == MANIFEST["spec"]["template"]["spec"]["containers"]


def test_env_vars_are_a_dict_or_a_list() -> None:
    of_dict = given(operator(env_vars={"A": 1, "B": True, "C": None}))["env_vars"]
    assert of_dict == [{"name": "A", "value": "1"}, {"name": "B", "value": "true"}, {"name": "C", "value": ""}]
    reference = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert given(operator(env_vars=[reference]))["env_vars"] == [reference]


def test_text_where_a_list_belongs_is_refused_naming_the_argument() -> None:
    with pytest.raises(InvalidManifestError, match="`cmds` has to be a list of texts") as caught:
        given(operator(cmds="echo hello"))
    assert caught.value.seen == ["a text of 10 characters"]
    assert '`cmds=["echo", "hi"]`' in str(caught.value.hint) and '`cmds=["sh", "-c", "echo hi"]`' in str(
        caught.value.hint
    )


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("Delete", "`Delete`"),
        ("delete_pods", "`delete_pods`"),
        (True, "`True`"),
        ("", "an empty text"),
        (None, "None"),
        (["delete"], "a value of type list"),
        ("hunter2", "a text of 7 characters"),
        ("keep it", "a text of 7 characters"),
        ("k" * 25, "a text of 25 characters"),
    ],
)
def test_choice_that_is_none_is_shown_if_it_looks_like_a_word(value: Any, seen: str) -> None:
    with pytest.raises(ConfigurationError, match="`on_finish` has to be `keep` or `delete`") as caught:
        one_of("on_finish", value, "keep", "delete")
    assert caught.value.seen == [seen]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("image", 1.4),
        ("cmds", {"sh": "-c"}),
        ("arguments[1]", ["a", object()]),
        ("env_vars['A']", {"A": ["1"]}),
        ("env_from[0]", ["settings"]),
        ("volumes[0]", [object()]),
        ("container_resources", "2Gi"),
        ("node_selector", ["disk"]),
        ("labels['team']", {"team": {}}),
        ("backoff_limit", True),
        ("completions", "two"),
        ("completions", 2.5),
        ("parallelism", "{{ params.n }}"),
        ("suspend", 0),
        ("affinity.nodeAffinity", {"nodeAffinity": object()}),
        ("env_vars[1].value", [{"name": "A"}, {"name": "B", "value": b"1"}]),
        ("node_selector", {None: "1"}),
    ],
)
def test_argument_of_the_wrong_shape_is_refused_by_its_name(argument: str, value: Any) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        given(operator(**{re.split(r"[\[.]", argument)[0]: value}))
    assert f"`{argument}`" in caught.value.message


def test_text_of_a_whole_number_counts_where_a_template_has_filled_it_in() -> None:
    filled = {"backoff_limit": "3", "completions": " 2 ", "parallelism": 2.0, "active_deadline_seconds": Decimal(60)}
    assert given(operator(**filled)) == {
        "backoff_limit": 3,
        "completions": 2,
        "parallelism": 2,
        "active_deadline_seconds": 60,
    }
    assert ttl("ttl_seconds_after_finished", "60") == {"kind": "seconds", "seconds": 60}
    templated = set(UniqueK8sJobOperator.template_fields)
    assert {*filled, "ttl_seconds_after_finished"} <= templated


class Model:
    """What a model of the Kubernetes client is: attributes, and what they are called in JSON."""

    openapi_types: ClassVar[dict[str, str]] = {}
    attribute_map: ClassVar[dict[str, str]] = {
        "name": "name",
        "empty_dir": "emptyDir",
        "size_limit": "sizeLimit",
        "fs_group": "fsGroup",
        "mount_path": "mountPath",
        "value_from": "valueFrom",
    }

    def __init__(self, **fields: Any) -> None:
        for name in self.attribute_map:
            setattr(self, name, fields.get(name))


def test_models_of_the_kubernetes_client_are_read_as_what_they_send() -> None:
    assert given(
        operator(
            volumes=[Model(name="scratch", empty_dir=Model(size_limit="1Gi"))],
            volume_mounts=[Model(name="scratch", mount_path="/scratch")],
            security_context=Model(fs_group=0),
            image_pull_secrets=[Model(name="registry")],
            env_vars=[Model(name="A", value_from={"fieldRef": {"fieldPath": "metadata.name"}})],
        )
    ) == {
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
        "volume_mounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "security_context": {"fsGroup": 0},
        "image_pull_secrets": [{"name": "registry"}],
        "env_vars": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    with pytest.raises(InvalidManifestError, match=r"volumes\[0\]\.emptyDir(.|\n)*object"):
        given(operator(volumes=[Model(name="scratch", empty_dir=object())]))


@pytest.mark.parametrize(
    ("value", "codes"), [(None, []), (99, [99]), ("99", [99]), ([1, 2], [1, 2]), ({3}, [3]), (range(4, 6), [4, 5])]
)
def test_exit_codes_are_one_or_several(value: Any, codes: list[int]) -> None:
    assert operator(skip_on_exit_code=value).skip_on_exit_code == codes


@pytest.mark.parametrize("value", [0, [1, 256], -1, "none", True, [None], 1.5])
def test_what_is_no_exit_code_fails_the_dag_file(value: Any) -> None:
    with pytest.raises(InvalidManifestError, match="skip_on_exit_code"):
        operator(skip_on_exit_code=value)


def test_numbers_and_plain_names_are_taken_as_kubernetes_spells_them() -> None:
    arguments = given(operator(arguments=["--top", 3], labels={"year": 2026}, image_pull_secrets=["registry"]))
    assert arguments == {
        "arguments": ["--top", "3"],
        "labels": {"year": "2026"},
        "image_pull_secrets": [{"name": "registry"}],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"reattach": "always"},
        {"on_process_end": "keep"},
        {"name_policy": "generated"},
        {"release_stuck": True},
        {"on_lingering_sidecar": "kill"},
        {"on_finish": "leave"},
        {"field_validation": "Strict"},
        {"name_policy": "fixed"},
        {"on_finish": None},
        {"on_finish": {"succeeded": "gone"}},
    ],
)
def test_word_that_is_no_choice_fails_the_dag_file_naming_the_argument(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        operator(**wrong)


def test_seconds_before_a_deferral_are_a_whole_number_or_fail_the_dag_file() -> None:
    assert operator(defer_after_seconds="15").defer_after_seconds == 15
    with pytest.raises(InvalidManifestError, match="`defer_after_seconds` has to be a whole number"):
        operator(defer_after_seconds="{{ params.n }}")


@pytest.mark.parametrize("value", [-1, 2**31, "a minute", "-1", "1.5", "", 1.5, True, "9" * 30])
def test_ttl_that_is_no_number_of_seconds_is_refused(value: Any) -> None:
    with pytest.raises(InvalidManifestError, match="ttl_seconds_after_finished"):
        ttl("ttl_seconds_after_finished", value)


@pytest.mark.parametrize("argument", ["ttl_seconds_after_finished", "on_finish"])
@pytest.mark.parametrize("value", [{}, {"success": 1}, {"succeeded": 60, "vanished": 60}])
def test_outcome_that_is_none_is_refused_naming_those_that_are(argument: str, value: Any) -> None:
    with pytest.raises(InvalidManifestError, match=f"{argument}.*succeeded.*failed"):
        per_outcome(argument, value, lambda _, choice: choice)


def test_choice_for_one_outcome_leaves_the_other_its_default() -> None:
    assert per_outcome("t", {"failed": None}, ttl) == {"failed": {"kind": "never"}}
    assert per_outcome("t", 60, ttl) == {key: {"kind": "seconds", "seconds": 60} for key in ("succeeded", "failed")}
    with pytest.raises(InvalidManifestError, match=re.escape("t['failed']")):
        per_outcome("t", {"failed": "soon"}, ttl)


def test_longest_ttl_of_all_outcomes_is_that_of_the_created_job() -> None:
    by_outcome = {"succeeded": 60, "failed": 30 * 86400}
    assert assembled(MANIFEST, ttl_seconds_after_finished=by_outcome)["spec"]["ttlSecondsAfterFinished"] == 30 * 86400
    by_outcome = {"succeeded": 60, "failed": None}
    assert "ttlSecondsAfterFinished" not in assembled(MANIFEST, ttl_seconds_after_finished=by_outcome)["spec"]


@pytest.mark.parametrize("name", [None, ""])
def test_fixed_name_that_is_missing_or_rendered_to_nothing_is_asked_for(name: str | None) -> None:
    with pytest.raises(ConfigurationError, match="`name`"):
        fixed_name("fixed", name)


def test_name_is_whole_only_where_the_policy_says_so() -> None:
    assert fixed_name("unique", "nightly") is None
    assert fixed_name("fixed", "nightly") == "nightly"
    assert fixed_name("fixed", 7) == "7"
    with pytest.raises(InvalidManifestError, match="name"):
        fixed_name("fixed", 7.5)


@pytest.mark.parametrize("name", ["Nightly", "nightly_report", "nightly.report", "-nightly", "n" * 64, "{{ ds }}"])
def test_fixed_name_that_kubernetes_would_refuse_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidManifestError, match=r"fixed name(.|\n)*hint: give a") as refusal:
        _core.job_name({**request(MANIFEST), "fixed_name": name})
    assert refusal.value.path == "name"


def test_fixed_name_of_an_indexed_job_leaves_room_for_the_index() -> None:
    indexed = {"completions": 1000, "completion_mode": "Indexed"}
    wanted = {**request(MANIFEST, **indexed), "fixed_name": "n" * 60}
    with pytest.raises(InvalidManifestError, match="at most 59 characters"):
        _core.assemble(wanted)
    assert json.loads(_core.assemble({**wanted, "fixed_name": "n" * 59}))["metadata"]["name"] == "n" * 59


def test_what_was_not_given_stays_so_in_copies_and_through_default_args() -> None:
    task = copy.deepcopy(operator())
    assert given_ttl(task) == {"kind": "unset"}
    task = operator(default_args={"ttl_seconds_after_finished": None})
    assert given_ttl(task) == {"kind": "never"}


def test_ttl_none_means_never_and_not_given_means_the_default() -> None:
    assert given_ttl(operator()) == {"kind": "unset"}
    assert given_ttl(operator(ttl_seconds_after_finished=None)) == {"kind": "never"}
    assert given_ttl(operator(ttl_seconds_after_finished=0)) == {"kind": "seconds", "seconds": 0}
    assert "ttlSecondsAfterFinished" not in assembled(MANIFEST, ttl_seconds_after_finished=None)["spec"]


#: What is given, and where it has to arrive: below `spec`, below the Pod's `spec`, or in its base container.
FIELDS: dict[str, tuple[Any, str]] = {
    "pod_failure_policy": ({"rules": [{"action": "Ignore", "onPodConditions": []}]}, "spec.podFailurePolicy"),
    "success_policy": ({"rules": [{"succeededCount": 1}]}, "spec.successPolicy"),
    "backoff_limit_per_index": (0, "spec.backoffLimitPerIndex"),
    "max_failed_indexes": (3, "spec.maxFailedIndexes"),
    "pod_replacement_policy": ("Failed", "spec.podReplacementPolicy"),
    "managed_by": ("kueue.x-k8s.io/multikueue", "spec.managedBy"),
    "ports": ([{"containerPort": 80}], "base.ports"),
    "container_security_context": ({"runAsNonRoot": True}, "base.securityContext"),
    "termination_message_policy": ("FallbackToLogsOnError", "base.terminationMessagePolicy"),
    "init_containers": ([{"name": "wait", "image": "a:1"}], "pod.initContainers"),
    "security_context": ({"fsGroup": 0}, "pod.securityContext"),
    "termination_grace_period": (0, "pod.terminationGracePeriodSeconds"),
    "automount_service_account_token": (False, "pod.automountServiceAccountToken"),
    "priority_class_name": ("low", "pod.priorityClassName"),
    "runtime_class_name": ("gvisor", "pod.runtimeClassName"),
    "schedulername": ("volcano", "pod.schedulerName"),
    "hostnetwork": (False, "pod.hostNetwork"),
    "host_aliases": ([{"ip": "10.0.0.1", "hostnames": ["db"]}], "pod.hostAliases"),
    "hostname": ("worker", "pod.hostname"),
    "subdomain": ("workers", "pod.subdomain"),
    "dnspolicy": ("Default", "pod.dnsPolicy"),
    "dns_config": ({"nameservers": ["10.0.0.2"]}, "pod.dnsConfig"),
}


def test_argument_arrives_in_its_field_also_where_it_is_zero_or_false() -> None:
    job = assembled(MANIFEST, **{name: value for name, (value, _) in FIELDS.items()})
    pod = job["spec"]["template"]["spec"]
    parents = {"spec": job["spec"], "pod": pod, "base": pod["containers"][0]}
    for name, (value, place) in FIELDS.items():
        parent, field = place.split(".")
        assert parents[parent][field] == value, name


def test_every_argument_of_the_operator_that_shapes_the_job_is_known_to_the_core() -> None:
    values: dict[str, Any] = {
        "image": "b:1",
        "cmds": ["c"],
        "arguments": ["a"],
        "env_vars": {"E": "1"},
        "env_from": [{"configMapRef": {"name": "c"}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "volume_mounts": [{"name": "v", "mountPath": "/v"}],
        "container_resources": {"limits": {"cpu": "1"}},
        "service_account_name": "s",
        "image_pull_policy": "Never",
        "image_pull_secrets": [{"name": "p"}],
        "node_selector": {"n": "1"},
        "affinity": {"nodeAffinity": {}},
        "tolerations": [{"operator": "Exists"}],
        "labels": {"l": "1"},
        "annotations": {"a": "1"},
        "backoff_limit": 1,
        "completions": 2,
        "parallelism": 3,
        "completion_mode": "Indexed",
        "suspend": True,
        "active_deadline_seconds": 5,
    }
    job = assembled(**values)
    elsewhere = {"base_container_name", "configmaps", "secrets"}  # in the tests below
    assert {*values, *FIELDS, *elsewhere} == {name for name, _ in _core.job_arguments()}
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    base = pod["containers"][0]
    assert (base["image"], base["command"], base["args"], base["imagePullPolicy"]) == ("b:1", ["c"], ["a"], "Never")
    assert base["env"] == [{"name": "E", "value": "1"}]
    assert base["envFrom"] == values["env_from"] and base["volumeMounts"] == values["volume_mounts"]
    assert base["resources"] == values["container_resources"]
    assert pod["volumes"] == values["volumes"] and pod["imagePullSecrets"] == values["image_pull_secrets"]
    assert (pod["serviceAccountName"], pod["nodeSelector"]) == ("s", {"n": "1"})
    assert pod["affinity"] == values["affinity"] and pod["tolerations"] == values["tolerations"]
    assert job["metadata"]["labels"]["l"] == "1" and job["metadata"]["annotations"]["a"] == "1"
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (1, 2, 3)
    assert (spec["completionMode"], spec["suspend"], spec["activeDeadlineSeconds"]) == ("Indexed", True, 5)
    # A retry after an upgrade takes over only a Job with the digest that it would give to its own.
    digest = "4f1f367ef0225853cabdebb2efa0ea446bb86f0c9af62c29fdf39a076e0a0cfb"
    assert job["metadata"]["annotations"]["unique-k8s-job/manifest-digest"] == digest


class Secret:
    """What the Secret of cncf.kubernetes is: attributes, and no map."""

    def __init__(self, deploy_type: str, deploy_target: str | None, secret: str, key: str | None = None) -> None:
        self.deploy_type, self.deploy_target, self.secret, self.key = deploy_type, deploy_target, secret, key
        self.items = [Model(name="ca")] if deploy_type == "volume" else []


def test_secrets_and_config_maps_are_variables_and_files_of_the_base_container() -> None:
    job = assembled(
        image="a:1",
        env_from=[{"configMapRef": {"name": "first"}}],
        configmaps=["settings"],
        env_vars={"A": "1"},
        secrets=[
            Secret("env", "PASSWORD", "database", "password"),
            Secret("env", None, "all-keys"),
            Secret("volume", "/keys", "certificates"),
            {"deploy_type": "env", "deploy_target": "TOKEN", "secret": "api", "key": "token"},
        ],
    )
    pod = job["spec"]["template"]["spec"]
    base = pod["containers"][0]
    assert base["envFrom"] == [
        {"configMapRef": {"name": "first"}},
        {"configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "all-keys"}},
    ]
    assert base["env"] == [
        {"name": "A", "value": "1"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
    ]
    (volume,), (mount,) = pod["volumes"], base["volumeMounts"]
    assert volume["secret"] == {"secretName": "certificates", "items": [{"name": "ca"}]}
    assert mount == {"name": volume["name"], "mountPath": "/keys", "readOnly": True}


@pytest.mark.parametrize(
    ("secret", "seen"),
    [
        ("database", "a value of type str"),
        ({"deploy_type": "file", "secret": "s"}, "`deploy_type` is 'file'"),
        ({"deploy_type": "env"}, "`secret` is missing"),
        ({"deploy_type": "env", "secret": "s", "key": "k"}, "`deploy_target` is missing"),
        ({"deploy_type": "volume", "secret": "s"}, "`deploy_target` is missing"),
        ({"deploy_type": "env", "secret": "s", "deploy_target": "A"}, "`key` is missing"),
        ({"deploy_type": "env", "secret": "s", "name": "A"}, "the key `name`"),
    ],
)
def test_what_is_no_secret_is_refused_by_its_place(secret: Any, seen: str) -> None:
    with pytest.raises(InvalidManifestError, match=r"secrets\[1\]") as refusal:
        given(operator(secrets=[{"deploy_type": "env", "secret": "s"}, secret]))
    assert seen in str(refusal.value)


def test_base_container_is_the_one_that_is_named() -> None:
    containers = [{"name": "proxy", "image": "p:1"}, {"name": "main", "image": "a:1"}]
    job = assembled(
        {"spec": {"template": {"spec": {"containers": containers}}}}, base_container_name="main", image="b:1"
    )
    assert job["spec"]["template"]["spec"]["containers"] == [{"name": "main", "image": "b:1"}, containers[0]]


@pytest.mark.parametrize(
    ("value", "sources"),
    [
        (True, "all"),
        (None, "all"),
        (False, {"named": []}),
        ("a", {"named": ["a"]}),
        (["a", "b"], {"named": ["a", "b"]}),
    ],
)
def test_logs_are_those_of_all_containers_or_of_those_that_are_named(value: Any, sources: Any) -> None:
    assert operator(container_logs=value).log_sources("container_logs") == sources
    with pytest.raises(InvalidManifestError, match="`init_container_logs` has to be"):
        operator(init_container_logs={"a": 1})


def test_models_of_the_kubernetes_client_are_dicts_before_templates_are_rendered() -> None:
    task = operator(volumes=[Model(name="{{ x }}")], manifest={"spec": Model(name="{{ y }}")})
    assert (task.volumes, task.manifest) == ([{"name": "{{ x }}"}], {"spec": {"name": "{{ y }}"}})
    itself: list[Any] = []
    itself.append(itself)
    assert without_models(itself) is itself


def test_date_in_a_dict_becomes_text() -> None:
    assert plain_request({"day": date(2026, 1, 1)}) == {"day": "2026-01-01"}


def test_object_of_another_library_is_refused_by_type() -> None:
    with pytest.raises(InvalidManifestError, match="object"):
        plain_request({"affinity": object()})


def test_same_request_has_the_same_name_and_another_try_another() -> None:
    same = request(image="a:1")
    assert _core.job_name(same) == _core.job_name(same)
    other = copy.deepcopy(same)
    other["attempt"]["try_number"] = 2
    assert _core.job_name(other) != _core.job_name(same)


def test_key_that_the_core_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidManifestError, match="cannot be read"):
        _core.assemble({**request(image="a:1"), "mispelled": 1})
