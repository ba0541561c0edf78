"""What importing costs in kind (the numbers are the benchmark's), what is exported, what Airflow is told."""

from __future__ import annotations

import ast
import inspect
import json
import math
import os
import pickle
import re
import subprocess
import sys
import textwrap
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.exceptions import AirflowException

import unique_k8s_job
from unique_k8s_job import _core, exceptions, native
from unique_k8s_job.cli import command_line
from unique_k8s_job.provider_info import get_provider_info

#: The kinds of classes that Airflow lists by their modules, with the ends of the names of their base classes.
LISTED = {"operators": "Operator", "sensors": "SensorOperator", "triggers": "Trigger", "hooks": "Hook"}
#: Who asks.
ATTEMPT = {
    "deployment": "d",
    "dag_id": "e",
    "run_id": "r",
    "task_id": "t",
    "map_index": -1,
    "try_number": 1,
    "instance": "i",
}


def in_a_new_process(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_dag_file_with_a_hundred_operators_loads_no_native_module_and_makes_no_thread_and_no_socket() -> None:
    in_a_new_process(
        """
        import os, sys
        try:
            from airflow.sdk import DAG
        except ImportError:
            from airflow import DAG
        before = set(sys.modules)
        threads = len(os.listdir("/proc/self/task"))
        sockets = sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket") for fd in os.listdir("/proc/self/fd")[:-1])
        from unique_k8s_job import UniqueK8sJobOperator, UniqueK8sJobSensor
        with DAG("many", schedule=None):
            for number in range(100):
                UniqueK8sJobOperator(task_id=f"job_{number}", image="busybox", deferrable=True)
                UniqueK8sJobSensor(task_id=f"sensor_{number}", name="job", deferrable=True)
        new = set(sys.modules) - before
        assert "unique_k8s_job._core" not in new, "the native module"
        assert not [name for name in new if name.startswith("unique_k8s_job.") and "trigger" in name], new
        assert not {name.partition(".")[0] for name in new} & {"kubernetes", "yaml", "click", "rich"}, new
        assert len(os.listdir("/proc/self/task")) == threads
        after = sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket") for fd in os.listdir("/proc/self/fd")[:-1])
        assert after == sockets
        """
    )


def test_without_the_native_module_dag_files_import_and_only_execution_fails_naming_the_cause() -> None:
    printed = in_a_new_process(
        """
        import sys
        sys.modules["unique_k8s_job._core"] = None
        from unique_k8s_job import UniqueK8sJobOperator
        from unique_k8s_job.exceptions import NativeModuleMissingError
        operator = UniqueK8sJobOperator(task_id="job", image="busybox")
        try:
            operator.execute({})
        except NativeModuleMissingError as error:
            print(error)
        """
    )
    assert "cannot be loaded" in printed and "hint: install a wheel" in printed


def test_loading_the_native_module_makes_no_thread() -> None:
    printed = in_a_new_process(
        """
        import os
        from unique_k8s_job import _core
        _core.Cluster({"source": "default"})
        print(len(os.listdir("/proc/self/task")))
        """
    )
    assert printed.strip() == "1"


def test_versions_of_package_and_native_module_agree() -> None:
    assert unique_k8s_job.__version__ == _core.__version__


def test_every_exported_name_exists_and_every_exception_is_exported() -> None:
    for name in unique_k8s_job.__all__:
        assert getattr(unique_k8s_job, name)
    classes = {
        name for name, value in vars(exceptions).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert classes == set(exceptions.__all__)
    assert classes < set(unique_k8s_job.__all__), "what is raised can be imported from where the operator is"
    with pytest.raises(AttributeError):
        _ = unique_k8s_job.no_such_name


def test_exception_renders_its_parts_and_survives_pickling() -> None:
    error = exceptions.JobFailedError("Job `a/b` failed", seen=["exit code 3"], hint="look", exit_code=3)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "Job `a/b` failed\n  seen: exit code 3\n  hint: look"
    assert type(again) is exceptions.JobFailedError
    assert (again.exit_code, again.status) == (3, None)


def test_error_of_the_core_arrives_as_its_class_with_its_facts() -> None:
    request: Any = {"attempt": ATTEMPT, "slug": "s", "run_time": "2026-01-01T00:00:00Z", "manifest": {"kind": "Pod"}}
    with pytest.raises(exceptions.InvalidManifestError) as caught:
        _core.assemble(request)
    assert caught.value.path == "kind"
    assert caught.value.seen and caught.value.hint


def test_every_fact_of_the_core_is_a_declared_attribute_and_a_misspelt_one_is_no_attribute() -> None:
    sources = (Path(__file__).parents[2] / "src").rglob("*.rs")
    facts = {fact for source in sources for fact in re.findall(r'\.fact\(\s*"(\w+)"', source.read_text())}
    assert {"name", "namespace", "uid", "findings"} <= facts
    error = exceptions.JobFailedError("no", **dict.fromkeys(facts, "x"))
    assert {fact for fact in facts if getattr(error, fact) != "x"} == set()
    assert exceptions.JobFailedError("no").exit_code is None
    assert not hasattr(error, "response") and not hasattr(error, "finalisers")


def test_error_keeps_its_attributes_over_a_pickle_and_facts_that_only_a_newer_core_knows() -> None:
    error = pickle.loads(pickle.dumps(exceptions.ApiRefusedError("no", status=403, colour="red")))
    assert (error.status, error.facts["colour"], error.reason) == (403, "red", None)


def test_airflow_accepts_the_provider_info() -> None:
    from importlib.metadata import entry_points

    (entry,) = (
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.dist and point.dist.name == "unique-k8s-job"
    )
    info = entry.load()()
    assert info == get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)


def test_modules_that_the_provider_info_names_exist() -> None:
    info = get_provider_info()
    for entry in [*info["operators"], *info["sensors"], *info["triggers"], *info["hooks"]]:
        for module in entry["python-modules"]:
            import_module(module)
    for path in (*info["extra-links"], *(decorator["class-name"] for decorator in info["task-decorators"])):
        module, _, name = path.rpartition(".")
        found = getattr(import_module(module), name)
        assert f"{found.__module__}.{found.__name__}" == path, "Airflow finds it again by this path"


@pytest.mark.parametrize(("kind", "base"), LISTED.items())
def test_provider_info_has_each_module_of_a_kind_that_airflow_lists(kind: str, base: str) -> None:
    found = {
        f"unique_k8s_job.{kind}.{file.stem}"
        for file in (Path(unique_k8s_job.__file__).parent / kind).glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(parent).endswith(base) for parent in node.bases)
    }
    assert found == {module for entry in get_provider_info()[kind] for module in entry["python-modules"]}


def test_airflow_shows_the_whole_provider(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "get", "unique-k8s-job", "--full", "--output", "json"],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    (found,) = json.loads(shown.stdout[shown.stdout.index("[{") :])
    assert found["task-decorators"] == get_provider_info()["task-decorators"]
    assert found["extra-links"] == ["unique_k8s_job.links.job.KubernetesJobLink"]
    assert all(found[kind] for kind in LISTED)
    options = found["config"]["unique_k8s_job"]["options"]
    assert set(options) >= {"deployment_id", "job_url_template"}
    assert all(option["description"] and option["version_added"] for option in options.values())


def test_reading_the_provider_info_imports_nothing_else() -> None:
    printed = in_a_new_process(
        """
        import sys
        from unique_k8s_job.provider_info import get_provider_info
        get_provider_info()
        print(sorted(name for name in sys.modules if name.partition(".")[0] in ("airflow", "unique_k8s_job")))
        """
    )
    assert printed.strip() == "['unique_k8s_job', 'unique_k8s_job.provider_info']"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ({"state": "succeeded", "exit_code": 0}, 0),
        ({"state": "failed", "exit_code": 3}, 3),
        ({"state": "failed", "exit_code": 137}, 137),
        ({"state": "failed", "exit_code": None}, 1),
        ({"state": "vanished", "exit_code": None}, 1),
    ],
)
def test_exit_code_of_the_command_is_this_table(outcome: dict[str, object], code: int) -> None:
    assert command_line.exit_code(outcome) == code


def test_a_traceback_shows_each_part_of_an_error_once_and_its_text_alone_shows_all() -> None:
    error = exceptions.ApiRefusedError("Cannot create it", seen=["403 Forbidden"], hint="allow it", status=403)
    assert str(error) == "Cannot create it\n  seen: 403 Forbidden\n  hint: allow it"
    shown = "".join(traceback.format_exception(error))
    assert [shown.count(part) for part in ("Cannot create it", "403 Forbidden", "allow it")] == [1, 1, 1], shown


def test_an_error_has_the_declared_attributes_and_no_others() -> None:
    error = exceptions.ApiRefusedError("Cannot create it", status=403, of_a_newer_core="a fact")
    assert (error.status, error.reason, error.facts["of_a_newer_core"]) == (403, None, "a fact")
    for name in ("of_a_newer_core", "statuss"):
        with pytest.raises(AttributeError):
            getattr(error, name)


#: What each process begins with, and whether our errors are then Airflow's.
PROCESSES = {
    "from unique_k8s_job import UniqueK8sJobOperator": True,
    "from unique_k8s_job.compat import KubernetesJobOperator": True,
    "import unique_k8s_job.cli.command_line": False,
    "import sys; sys.modules['airflow'] = None": False,
    "import sys, types; sys.modules['airflow'] = types.ModuleType('airflow')": False,
}


@pytest.mark.parametrize(("begins", "is_airflow"), PROCESSES.items())
def test_errors_are_those_of_airflow_in_its_processes_and_load_nothing_of_it_elsewhere(
    begins: str, is_airflow: bool
) -> None:
    printed = in_a_new_process(
        f"""
        {begins}
        import sys
        before = set(sys.modules)
        from unique_k8s_job import JobFailedError, UniqueK8sJobError
        new = {{name for name in set(sys.modules) - before if name.startswith("airflow")}}
        if {is_airflow}:
            from airflow.exceptions import AirflowException
            base = AirflowException
        else:
            base = Exception
            assert not new, new
        print(UniqueK8sJobError.__bases__ == (base,) and issubclass(JobFailedError, base))
        """
    )
    assert printed.splitlines()[-1] == "True"


def test_errors_in_a_dag_file_import_no_module_of_airflow_that_was_not_there() -> None:
    in_a_new_process(
        """
        import sys
        try:
            from airflow.sdk import DAG
        except ImportError:
            from airflow import DAG
        before = set(sys.modules)
        from unique_k8s_job.exceptions import UniqueK8sJobError
        new = {name for name in set(sys.modules) - before if not name.startswith("unique_k8s_job")}
        assert not new, new
        assert "AirflowException" in [base.__name__ for base in UniqueK8sJobError.__bases__]
        """
    )


def test_airflow_makes_the_same_error_again_of_what_it_stores() -> None:
    assert issubclass(exceptions.UniqueK8sJobError, AirflowException)
    error = exceptions.JobFailedError("no", seen=["a"], hint="b", exit_code=3, colour="red")
    path, args, kwargs = error.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(*args, **json.loads(json.dumps(kwargs)))
    assert (type(again), str(again), again.facts) == (type(error), str(error), error.facts)


def test_the_border_to_the_core_has_types_and_names_reach_it_one_by_one() -> None:
    folder = Path(native.__file__).parent
    assert "Any" not in (folder / "native.py").read_text()
    assert native.Waiter is _core.Waiter
    with pytest.raises(AttributeError):
        _ = native.no_such_name
    untyped = [
        file.name for file in folder.rglob("*.py") if re.search(r"\b(cluster|run|work|waiter): Any\b", file.read_text())
    ]
    assert untyped == []


def test_request_with_what_json_has_not_is_refused_by_its_path_and_one_without_end_as_too_deep() -> None:
    endless: Any = {"source": "default"}
    endless["context"] = [endless]
    wrong: list[tuple[Any, str]] = [(endless, "more than 128 levels")]
    strange = (b"x", "\udcff", print, math.nan, 2**70)
    wrong += [({"source": "default", "context": value}, "`context` is no value") for value in strange]
    wrong += [({"source": "default", "context": {"a": [1, b"x"]}}, r"`context\.a\[1\]` is no value")]
    for configuration, why in wrong:
        with pytest.raises(exceptions.ConfigurationError, match=why):
            _core.Cluster(configuration)
    with pytest.raises(exceptions.InvalidManifestError, match=r"`attempt\.try_number`"):
        _core.job_name({"attempt": {**ATTEMPT, "try_number": "1"}, "run_time": "2026-01-01T00:00:00Z"})


def test_request_that_is_checked_means_the_same_as_its_dict_and_a_wrong_one_is_never_made() -> None:
    request: Any = {
        "attempt": ATTEMPT,
        "run_time": "2026-01-01T00:00:00Z",
        "arguments": {"image": "a:1", "env_vars": [{"name": "A", "value": "b"}], "backoff_limit": 3},
        "namespace": " etl ",
    }
    checked = _core.CheckedRequest(request)
    cluster = _core.Cluster({"source": "default"})
    assert _core.job_name(checked) == _core.job_name(request)
    assert _core.assemble(checked) == _core.assemble(_core.CheckedRequest(checked)) == _core.assemble(request)
    assert _core.destination(cluster, checked) == ("etl", _core.job_name(request))
    for wrong, why in (({"misspelled": 1}, "misspelled"), ({"namespace": "a/b"}, "namespace")):
        with pytest.raises(exceptions.InvalidManifestError, match=why):
            _core.CheckedRequest({**request, **wrong})


def stub_class(name: str) -> dict[str, ast.expr]:
    """The keys of a TypedDict of the stub, with their types."""
    stub = ast.parse((Path(native.__file__).parent / "_core.pyi").read_text())
    (declared,) = (node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        node.target.id: node.annotation
        for node in declared.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


#: The types of what crosses as a dict into the core, each with the file and the types of it there.
REQUESTS = {
    "Configuration": ("cluster/configuration.rs", r"struct Configuration|enum Source"),
    "JobRequest": ("submit/request.rs", "struct JobRequest"),
    "Attempt": ("identity/attempt.rs", r"struct Attempt|struct TaskIdentity"),
    "PerOutcome": ("model/per_outcome.rs", r"struct PerOutcome<T: Default>"),
    "Ttl": ("manifest/ttl.rs", "enum Ttl"),
    "Marking": ("submit/marking.rs", "struct Marking"),
    "ResultSidecar": ("manifest/result_file.rs", "struct ResultSidecar"),
    "LogFormat": ("model/policies.rs", "struct LogFormat"),
    "DeleteRequest": ("delete/request.rs", "struct DeleteRequest"),
    "DeleteTarget": ("delete/request.rs", "enum DeleteTarget"),
    "JobSelector": ("session/find_jobs.rs", "struct JobSelector"),
    "PatchRequest": ("session/patch_job.rs", "struct PatchRequest"),
    "JobQuery": ("diagnose/job_list.rs", "struct JobQuery"),
}
#: What a user spells as Kubernetes does, so that its types are those of Kubernetes.
OF_KUBERNETES = {"manifest", "overlays", "pod_template", "arguments", "body", "resources", "security_context"}


@pytest.mark.parametrize("request_type", REQUESTS)
def test_each_request_has_in_the_stub_the_keys_that_the_core_reads(request_type: str) -> None:
    file, types = REQUESTS[request_type]
    core = (Path(__file__).parents[2] / "src" / file).read_text()
    bodies = re.findall(rf"pub (?:{types}) \{{\n(.*?)\n\}}", core, re.DOTALL)
    read = {key for body in bodies for key in re.findall(r"^ +(?:pub )?(\w+): ", body, re.MULTILINE)}
    read |= set(re.findall(rf'#\[serde\(tag = "(\w+)".*\n(?:#.*\n)*pub (?:{types}) ', core))
    hidden = {key for body in bodies for key in re.findall(r"#\[serde\((?:skip|flatten)\)\]\n +(?:pub )?(\w+): ", body)}
    keys = set(stub_class(request_type))
    # The tag of a configuration has the name of the field that holds what it tags.
    assert keys and keys == read - (hidden - {"source"})


@pytest.mark.parametrize("request_type", REQUESTS)
def test_only_what_kubernetes_spells_has_no_type_in_a_request(request_type: str) -> None:
    untyped = {key for key, of in stub_class(request_type).items() if "Any" in ast.unparse(of)}
    assert untyped <= OF_KUBERNETES


@pytest.mark.parametrize(
    ("request_type", "key", "file", "enum"),
    [
        ("JobRequest", "field_validation", "resource/field_validation.rs", "FieldValidation"),
        ("JobRequest", "policy", "model/policies.rs", "PredecessorPolicy"),
        ("JobRequest", "release_stuck", "model/policies.rs", "ReleasePolicy"),
        ("JobRequest", "on_lingering_sidecar", "model/policies.rs", "OnLingeringSidecar"),
        ("JobRequest", "on_finish", "model/policies.rs", "OnFinish"),
        ("JobRequest", "result", "model/policies.rs", "ResultSource"),
        ("JobRequest", "container_logs", "model/policies.rs", "LogSources"),
        ("JobRequest", "init_container_logs", "model/policies.rs", "LogSources"),
        ("Ttl", "kind", "manifest/ttl.rs", "Ttl"),
        ("DeleteTarget", "kind", "delete/request.rs", "DeleteTarget"),
        ("DeleteRequest", "release_stuck", "model/policies.rs", "ReleasePolicy"),
        ("DeleteRequest", "wait_for", "delete/request.rs", "WaitFor"),
        ("DeleteRequest", "only_if", "delete/request.rs", "OnlyIf"),
        ("DeleteRequest", "propagation_policy", "model/policies.rs", "Propagation"),
        ("RemedyRequest", "remedy", "diagnose/finding.rs", "Remedy"),
        ("Configuration", "source", "cluster/configuration.rs", "Source"),
    ],
)
def test_each_choice_has_in_the_stub_the_words_that_the_core_reads(
    request_type: str, key: str, file: str, enum: str
) -> None:
    core = (Path(__file__).parents[2] / "src" / file).read_text()
    (attributes, body) = re.findall(rf"((?:#[^\n]*\n)*)pub enum {enum} \{{\n(.*?)\n\}}", core, re.DOTALL)[0]
    (joint,) = re.findall(r'rename_all = "(\w+)[_-]case"', attributes) or [""]
    variants = re.findall(r"^    ([A-Z]\w*)(?:,| \{|\()", body, re.MULTILINE)
    between = {"snake": "_", "kebab": "-"}.get(joint)
    read = {re.sub(r"\B(?=[A-Z])", between, name).lower() if between else name for name in variants}
    of = ast.unparse(stub_class(request_type)[key])
    # A word that carries names is an object of its own in the stub.
    assert set(re.findall(r"'([\w-]+)'", of)) == read - {"named"}
    assert ("named" in read) == ("NamedLogs" in of)
