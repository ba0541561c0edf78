"""What Airflow hands over as values, in a manifest and in arguments: every kind of map and list, and what templates render."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict, UserDict, deque
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from unique_k8s_job import UniqueK8sJobOperator, _core
from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.plain import plain
from unique_k8s_job.manifest.read import one_job
from unique_k8s_job.request.arguments import connection, given
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task.manifest_file import manifest_of

try:
    from airflow.sdk import DAG, XComArg
    from airflow.sdk.definitions.xcom_arg import _ConcatResult, _MapResult, _ZipResult
except ImportError:
    from airflow import DAG  # type: ignore[no-redef,attr-defined]
    from airflow.models.xcom_arg import XComArg, _ConcatResult, _MapResult, _ZipResult  # type: ignore[no-redef]


class Mode(enum.Enum):
    NIGHTLY = "nightly"
    LEVEL = 3


class Word(str, enum.Enum):
    """As many write it for Python before 3.11: `str()` of a member is not its value."""

    RETAIN = "Retain"


class Lazy(Sequence[Any]):
    """As the XCom of a mapped task: a sequence that is no list, and fetches each item."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __getitem__(self, at: Any) -> Any:
        return self._items[at]

    def __len__(self) -> int:
        return len(self._items)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (("a", "b"), ["a", "b"]),
        (Lazy("a", Lazy(1)), ["a", [1]]),
        (deque(["a"]), ["a"]),
        (range(2), [0, 1]),
        (_MapResult(Lazy(1, 2), [lambda x: x + 1]), [2, 3]),
        (_ZipResult([Lazy(1, 2), ["a", "b"]]), [[1, "a"], [2, "b"]]),
        (_ConcatResult([Lazy(1), (2,)]), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict({"a": (1,)}), {"a": [1]}),
        (MappingProxyType({"a": MappingProxyType({})}), {"a": {}}),
        ({1: "a", False: "b"}, {"1": "a", "false": "b"}),
        ({Mode.NIGHTLY: Mode.LEVEL, Word.RETAIN: Word.RETAIN}, {"nightly": 3, "Retain": "Retain"}),
        (date(2026, 1, 1), "2026-01-01"),
        (datetime(2026, 1, 1, 6, tzinfo=timezone.utc), "2026-01-01T06:00:00+00:00"),
        (time(10, 30), "10:30:00"),
        (Decimal("1.50"), 1.5),
        (Decimal(120), 120),
        (Fraction(1, 2), 0.5),
        (120.0, 120),
        (2**64, 18446744073709552e3),
        (None, None),
        (True, True),
    ],
)
def test_value_of_any_kind_arrives_as_json_has_it(value: Any, meant: Any) -> None:
    assert json.dumps(plain("manifest", value)) == json.dumps(meant)
    job = one_job({"kind": "Job", "spec": {"deep": [{"er": value}]}})
    assert plain_request({"manifest": job})["manifest"]["spec"]["deep"] == [{"er": meant}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"text", "bytes"),
        (bytearray(b"text"), "bytearray"),
        ({1, 2}, "set"),
        (timedelta(1), "datetime.timedelta"),
        (Path("x"), "pathlib"),
        (iter([1]), "list_iterator"),
        (object(), "object"),
        (float("nan"), "not finite"),
        (Decimal("Infinity"), "not finite"),
        ("half \ud83d", "UTF-8"),
        ({None: 1}, "NoneType"),
        ({(1,): 1}, "tuple"),
        ({"1": 1, 1: 2}, "stands twice"),
    ],
)
def test_value_that_json_has_not_is_refused_with_its_path_and_type(value: Any, kind: str) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        one_job({"spec": {"template": {"spec": {"containers": [{}, {"args": ["a", value]}]}}}})
    path = "manifest.spec.template.spec.containers[1].args[1]"
    assert (caught.value.path or "").startswith(path) and path in caught.value.message
    assert kind in str(caught.value)


def test_value_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(InvalidManifestError, match="contains itself"):
        one_job(endless)


def test_model_of_the_kubernetes_client_is_read_as_what_it_sends() -> None:
    class V1Container:
        openapi_types: ClassVar[dict[str, str]] = {
            "name": "str",
            "volume_mounts": "list[V1VolumeMount]",
            "args": "list[str]",
        }
        attribute_map: ClassVar[dict[str, str]] = {"name": "name", "volume_mounts": "volumeMounts", "args": "args"}
        name, volume_mounts, args = "base", None, ("a",)

    job = one_job({"spec": {"containers": [V1Container()]}})
    assert job == {"spec": {"containers": [{"name": "base", "args": ["a"]}]}}


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"cmds": Lazy("sh", 1)}, ["sh", "1"]),
        (
            {"arguments": _ConcatResult([("a",), [2, 2.5, Decimal("0.10"), None, True]])},
            ["a", "2", "2.5", "0.10", "", "true"],
        ),
        ({"arguments": [date(2026, 1, 1), time(10, 30), Mode.NIGHTLY]}, ["2026-01-01", "10:30:00", "nightly"]),
        ({"env_vars": UserDict({"A": Mode.LEVEL})}, [{"name": "A", "value": "3"}]),
        ({"env_vars": Lazy(UserDict(name="A", value=Word.RETAIN))}, [{"name": "A", "value": "Retain"}]),
        ({"volumes": ({"name": "v", "emptyDir": MappingProxyType({})},)}, [{"name": "v", "emptyDir": {}}]),
        ({"tolerations": _MapResult(Lazy("a"), [lambda key: {"key": key}])}, [{"key": "a"}]),
        ({"image_pull_secrets": Lazy("one", {"name": "two"})}, [{"name": "one"}, {"name": "two"}]),
        ({"labels": UserDict({"year": 2026, 1: Word.RETAIN})}, {"year": "2026", "1": "Retain"}),
        ({"container_resources": UserDict(limits={"cpu": Decimal("0.5")})}, {"limits": {"cpu": 0.5}}),
        ({"image": Word.RETAIN}, "Retain"),
        ({"service_account_name": 2026}, "2026"),
        ({"backoff_limit": Mode.LEVEL}, 3),
    ],
)
def test_argument_of_any_kind_arrives_as_json_has_it(arguments: dict[str, Any], meant: Any) -> None:
    (name,) = arguments
    assert given(UniqueK8sJobOperator(task_id="work", **arguments)) == {name: meant}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"env_vars": [{}, {}, {"name": b"A"}]}, "env_vars[2].name"),
        ({"env_vars": {"A": b"1"}}, "env_vars['A']"),
        ({"arguments": ["a", {"b": 1}]}, "arguments[1]"),
        ({"volumes": [{"name": "v", "csi": {"x": [timedelta(1)]}}]}, "volumes[0].csi.x[0]"),
        ({"affinity": {"nodeAffinity": {1, 2}}}, "affinity.nodeAffinity"),
        ({"image": 1.4}, "image"),
        ({"image_pull_secrets": [1.5]}, "image_pull_secrets[0]"),
        ({"backoff_limit": "{{ params.n }}"}, "backoff_limit"),
        ({"completions": 1.5}, "completions"),
        ({"parallelism": ""}, "parallelism"),
    ],
)
def test_argument_that_cannot_be_sent_is_refused_with_its_path(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        given(UniqueK8sJobOperator(task_id="work", **arguments))
    assert caught.value.path == path and f"`{path}`" in caught.value.message


def test_arguments_that_choose_the_cluster_arrive_as_texts() -> None:
    task = UniqueK8sJobOperator(
        task_id="work", config_file=Path("/etc/kube"), cluster_context=7, kubernetes_conn_id=Word.RETAIN
    )
    assert connection(task) == {
        "kubernetes_conn_id": "Retain",
        "in_cluster": None,
        "config_file": "/etc/kube",
        "cluster_context": "7",
    }
    with pytest.raises(InvalidManifestError, match="`config_file` has to be text"):
        connection(UniqueK8sJobOperator(task_id="work", config_file=["/etc/kube"]))


def rendered(context: dict[str, Any], *, native: bool = False, **arguments: Any) -> UniqueK8sJobOperator:
    """The operator of a task after Airflow itself has rendered its template fields."""
    with DAG("etl", schedule=None, render_template_as_native_obj=native):
        task = UniqueK8sJobOperator(task_id="work", **arguments)
    task.render_template_fields(context)  # type: ignore[arg-type]
    return task


@pytest.mark.parametrize("native", [False, True])
def test_numbers_that_templates_fill_in_count_however_they_are_rendered(native: bool) -> None:
    task = rendered(
        {"params": {"n": 3, "ttl": 60}},
        native=native,
        backoff_limit="{{ params.n }}",
        ttl_seconds_after_finished={"succeeded": "{{ params.ttl }}", "failed": None},
        labels={"n": "{{ params.n }}"},
        arguments=["--n", "{{ params.n }}"],
        manifest={"spec": {"template": {"metadata": {"labels": {"n": "x{{ params.n }}"}}}}},
    )
    assert given(task) == {"backoff_limit": 3, "labels": {"n": "3"}, "arguments": ["--n", "3"]}
    assert manifest_of(task, {}) == {"spec": {"template": {"metadata": {"labels": {"n": "x3"}}}}}  # type: ignore[arg-type]


class Pulled:
    """As much of a task instance as an XComArg asks: its XComs."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.task_id = "before"
        self.map_index = -1
        self.task = self
        self.run_id = "r"

    def xcom_pull(self, **_: Any) -> Any:
        return self.value

    def get_relevant_upstream_map_indexes(self, **_: Any) -> None:
        return None


def test_xcoms_that_are_mapped_zipped_and_concatenated_are_rendered_and_read() -> None:
    with DAG("etl", schedule=None):
        before = UniqueK8sJobOperator(task_id="before", image="a:1")
        pulled: Any = XComArg(before)
        task = UniqueK8sJobOperator(
            task_id="work",
            arguments=pulled.map(lambda word: f"--{word}"),
            tolerations=pulled.map(lambda word: {"key": word}),
            manifest={
                "kind": "Job",
                "both": pulled.concat(pulled),
                "pairs": pulled.zip(pulled),
                "deep": [{"er": pulled.map(str.upper)}],
            },
        )
    ti = Pulled(["a", "b"])
    task.render_template_fields({"ti": ti, "task_instance": ti, "expanded_ti_count": None})  # type: ignore[arg-type]
    assert not isinstance(task.arguments, (str, list)), "Airflow renders it to a lazy sequence of its own"
    assert given(task) == {"arguments": ["--a", "--b"], "tolerations": [{"key": "a"}, {"key": "b"}]}
    assert manifest_of(task, {}) == {  # type: ignore[arg-type]
        "kind": "Job",
        "both": ["a", "b", "a", "b"],
        "pairs": [["a", "a"], ["b", "b"]],
        "deep": [{"er": ["A", "B"]}],
    }


def test_manifest_with_such_values_is_the_job_that_the_core_makes() -> None:
    manifest: Mapping[str, Any] = MappingProxyType(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": UserDict(
                backoffLimit=Decimal(2),
                template={"spec": {"containers": Lazy({"name": "base", "image": "a:1", "args": ("a", Word.RETAIN)})}},
            ),
        }
    )
    attempt = {"deployment": "d", "dag_id": "etl", "run_id": "r", "task_id": "work", "map_index": -1, "try_number": 1}
    request = {
        "attempt": {**attempt, "instance": "i"},
        "slug": "work",
        "run_time": "2026-01-01T06:00:00+00:00",
        "manifest": one_job(manifest),
    }
    job = json.loads(_core.assemble(plain_request(request)))
    assert job["spec"]["backoffLimit"] == 2
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["a", "Retain"]
