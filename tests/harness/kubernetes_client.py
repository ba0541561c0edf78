"""The package `kubernetes`: the installed one, else a stand-in with the few models that the tests of a hook need.

As in the real one a model drops the fields that it does not know.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

#: Of each model the types of its fields, by their names in a manifest.
_MODELS: dict[str, dict[str, str]] = {
    "V1Pod": {"apiVersion": "str", "kind": "str", "metadata": "V1ObjectMeta", "spec": "V1PodSpec"},
    "V1ObjectMeta": {"name": "str", "namespace": "str", "labels": "dict", "annotations": "dict"},
    "V1PodSpec": {
        "containers": "list V1Container",
        "initContainers": "list V1Container",
        "tolerations": "list V1Toleration",
        "volumes": "list dict",
        "restartPolicy": "str",
    },
    "V1Container": dict.fromkeys(
        ("name", "image", "command", "args", "env", "resources", "volumeMounts", "restartPolicy"), "any"
    ),
    "V1Toleration": {"key": "str", "operator": "str"},
}


def _attribute(field: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)


def _model(name: str, version: int) -> type[Any]:
    attributes = {_attribute(field): field for field in _MODELS[name]}

    def make(self: Any, **fields: Any) -> None:
        for attribute in attributes:
            setattr(self, attribute, fields.pop(attribute, None))
        assert not fields

    def declared(self: Any, attribute: str, value: Any) -> None:
        assert attribute in attributes
        object.__setattr__(self, attribute, value)

    members = {"__init__": make, "attribute_map": attributes, "openapi_types": dict.fromkeys(attributes, "")}
    return type(name, (), members if version < 37 else {**members, "__setattr__": declared})


def install(monkeypatch: pytest.MonkeyPatch, version: int = 36) -> Any:
    """Return `kubernetes.client`, which can be imported in this test.

    :param version: of the stand-in; since 37 a client reads a text, and a model has only the attributes that it declares
    """
    if "kubernetes" in sys.modules or importlib.util.find_spec("kubernetes") is not None:
        return importlib.import_module("kubernetes.client")
    models = {name: _model(name, version) for name in _MODELS}

    def read(value: Any, kind: str) -> Any:
        if kind.startswith("list "):
            return [read(item, kind[5:]) for item in value]
        if kind not in models:
            return value
        return models[kind](
            **{_attribute(field): read(value[field], of) for field, of in _MODELS[kind].items() if field in value}
        )

    class ApiClient:
        def __init__(self, _: Any) -> None: ...

        def deserialize(self, response: Any, kind: str) -> Any:
            return read(json.loads(response.data), kind)

    class ApiClientSince37(ApiClient):
        def deserialize(self, response_text: str, kind: str, content_type: str) -> Any:  # type: ignore[override]
            assert content_type == "application/json"
            return read(json.loads(response_text), kind)

    package, client = ModuleType("kubernetes"), ModuleType("kubernetes.client")
    vars(client).update(
        models, ApiClient=ApiClient if version < 37 else ApiClientSince37, Configuration=SimpleNamespace
    )
    monkeypatch.setitem(sys.modules, "kubernetes", package)
    monkeypatch.setitem(sys.modules, "kubernetes.client", client)
    return client
