"""The pages of reference name every option, extra and exception that there is, and no other."""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import unique_k8s_job
from unique_k8s_job import compat, exceptions
from unique_k8s_job.hooks import kubernetes as hook
from unique_k8s_job.provider_info import CONNECTION_FIELDS, get_provider_info
from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells behind the first one, by the names in the first one, of the table under these words of its head."""
    table = (DOCS / page).read_text().split(f"| {heading} |")[1].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", first), others))
    return found


def test_every_option_is_documented_with_its_default_and_its_effect() -> None:
    options = get_provider_info()["config"]["unique_k8s_job"]["options"]
    page = rows("configuration.md", "option")
    assert set(page) == set(options)
    for name, option in options.items():
        default, effect = page[name]
        assert default == (f"`{option['default']}`" if option["default"] else "unset"), name
        assert effect == option["description"], name


def test_every_extra_of_the_connection_is_documented_and_is_a_field_of_the_form() -> None:
    assert set(rows("connection.md", "key")) == set(hook._EXTRAS) == set(CONNECTION_FIELDS)
    page = (DOCS / "connection.md").read_text()
    assert all(f"`{extra}`" in page for extra in hook._EXTRAS_OF_OTHERS)


@pytest.mark.parametrize(
    "documented",
    [
        unique_k8s_job.UniqueK8sJobOperator,
        unique_k8s_job.K8sJobDeleteOperator,
        unique_k8s_job.K8sJobPatchOperator,
        unique_k8s_job.UniqueK8sJobSensor,
        unique_k8s_job.UniqueK8sJobHook,
        unique_k8s_job.UniqueK8sJobTrigger,
        UniqueK8sJobSensorTrigger,
        # The arguments of `KubernetesJobOperator` are rows of parameters.md, which a test of its own compares.
        compat.KubernetesDeleteJobOperator,
        compat.KubernetesPatchJobOperator,
    ],
)
def test_every_argument_of_a_class_has_its_meaning_in_the_reference(documented: type) -> None:
    docstring = inspect.getdoc(documented) or ""
    arguments = [
        name
        for name, argument in inspect.signature(documented.__init__).parameters.items()
        if name != "self" and argument.kind is not argument.VAR_KEYWORD
    ]
    assert arguments == [name for name in arguments if f":param {name}:" in docstring]
    pages = "".join(page.read_text() for page in (DOCS / "site/reference").glob("*.rst"))
    assert re.search(rf"autoclass:: unique_k8s_job\.(\w+\.)*{documented.__name__}$", pages, re.MULTILINE)


def test_every_right_is_documented_with_what_is_lost_without_it() -> None:
    source = (DOCS.parent / "src/diagnose/rights.rs").read_text().split("/// A right, and whether")[0]
    calls = re.findall(
        r'(required|optional)\(\s*"(\w+)",(?:\s*"(?:batch)?",)?\s*"([\w/]+)",(?:\s*(?:true|false),)?\s*"([^"]+)"',
        source,
    )
    needed = {(verb, resource): without for need, verb, resource, without in calls if need == "required"}
    used = {(verb, resource): without for need, verb, resource, without in calls if need == "optional"}
    whole = re.findall(r'= Right \{\s*verb: "(\w+)",[^}]*resource: "([\w/]+)",[^}]*without: "([^"]+)"', source)
    used |= {(verb, resource): without for verb, resource, without in whole}
    assert len(needed) + len(used) == int(re.findall(r"RIGHTS: \[Right; (\d+)\]", source)[0])
    page = (DOCS / "rbac.md").read_text()
    for heading, rights in (("The Role", needed), ("Rights that are used if they are there", used)):
        table = page.split(f"## {heading}\n")[1].split("\n## ")[0]
        found = {
            (verb, on): without
            for verb, on, without in re.findall(r"^\| `(\w+)` \| `(\S+)` \| (.+) \|$", table, re.MULTILINE)
        }
        assert found == rights


def test_every_example_is_documented() -> None:
    files = {file.name for file in (DOCS.parent / "dags_examples").iterdir() if file.is_file()}
    assert set(re.findall(r"\]\(\.\./dags_examples/(\S+)\)", (DOCS / "examples.md").read_text())) == files


def test_every_exception_and_every_field_is_documented() -> None:
    classes = set(exceptions.__all__) - {"UniqueK8sJobError"}
    assert set(rows("exceptions.md", "exception")) == classes <= set(unique_k8s_job.__all__)
    fields = set(exceptions.UniqueK8sJobError.__annotations__) | {"message", "seen", "hint", "facts"}
    assert set(rows("exceptions.md", "field")) == fields


def test_every_exception_has_the_fields_that_say_how_the_job_ended() -> None:
    for name in exceptions.__all__:
        error = getattr(unique_k8s_job, name)("it failed")
        assert (error.outcome, error.exit_code, list(error.findings)) == (None, None, []), name


def test_connection_type_is_registered_only_where_no_other_provider_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> object:
        assert name == "apache-airflow-providers-cncf-kubernetes"
        return object()

    def absent(name: str) -> object:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", installed)
    assert get_provider_info()["connection-types"] == []
    monkeypatch.setattr(metadata, "distribution", absent)
    (registered,) = get_provider_info()["connection-types"]
    module, _, name = registered["hook-class-name"].rpartition(".")
    found = getattr(import_module(module), name)
    assert (found.conn_type, registered["connection-type"]) == ("kubernetes", "kubernetes")
    assert registered["conn-fields"] == CONNECTION_FIELDS
    assert set(found.get_ui_field_behaviour()["hidden_fields"]) == set(
        registered["ui-field-behaviour"]["hidden-fields"]
    )


def test_form_of_an_airflow_that_asks_the_hook_has_the_same_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = SimpleNamespace(
        **{
            kind: lambda label, description, kind=kind: (kind, label)
            for kind in ("BooleanField", "PasswordField", "StringField")
        }
    )
    monkeypatch.setitem(sys.modules, "wtforms", forms)
    fields = hook.UniqueK8sJobHook.get_connection_form_widgets()
    assert set(fields) == set(CONNECTION_FIELDS)
    assert fields["in_cluster"][0] == "BooleanField" and fields["kube_config"][0] == "PasswordField"
    assert fields["namespace"] == ("StringField", CONNECTION_FIELDS["namespace"]["label"])


def test_sentence_of_the_button_names_what_is_missing() -> None:
    rights = [
        {"verb": verb, "resource": resource, "need": need, "allowed": allowed}
        for verb, resource, need, allowed in (
            ("create", "jobs", "required", True),
            ("patch", "jobs", "required", False),
            ("get", "pods/log", "required", False),
            ("get", "nodes", "optional", False),
        )
    ]
    found = {"server": "https://k:6443", "version": "v1.36.3", "user": "joe", "namespace": "etl", "rights": rights}
    assert hook.connected(found) == (
        "Kubernetes 1.36.3 at https://k:6443 answers: user `joe`, namespace `etl`. Missing rights in this namespace: "
        "jobs: patch; pods/log: get (the Role is in docs/rbac.yaml)"
    )
    allowed = [{**right, "allowed": True} for right in rights]
    assert hook.connected({**found, "version": None, "user": None, "rights": allowed}) == (
        "Kubernetes of an unknown version at https://k:6443 answers: user `unknown (this API server does not say)`, "
        "namespace `etl`, all needed rights"
    )
