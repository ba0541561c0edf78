"""Reads one document of YAML as kubectl does: with PyYAML's parser, and the meaning that go.yaml.in/yaml v2 has.

PyYAML's own constructors read another version of YAML, in which 10:30 is 630 and 2026-01-01 a date. A key that stands
twice is an error here; kubectl silently takes the last one.
"""

from __future__ import annotations

import base64
import math
from typing import Any

from unique_k8s_job.manifest.problem import DEEPEST, TOO_DEEP, TWICE, Location, Problem, below
from unique_k8s_job.manifest.scalars import Value, key_text, resolved, whole
from unique_k8s_job.manifest.yaml_nodes import Alias, List, Map, Node, Scalar, composed


def read(text: str) -> Any:
    """Return the one value of a document; None for an empty one.

    :raises Problem: if it has no meaning
    :raises yaml.YAMLError: if it is no YAML
    """
    root = composed(text)
    return None if root is None else _Meaning().of(root, "")


class _Meaning:
    """The values of the nodes of one document."""

    def __init__(self) -> None:
        self._visits = 0
        self._visits_by_alias = 0
        self._aliases: list[Alias] = []

    def of(self, node: Node, path: str, deep: int = 0) -> Any:
        """Return the value of a node."""
        self._count(node.at)
        if isinstance(node, Alias):
            if any(alias is node for alias in self._aliases):
                raise Problem("an anchor contains itself", node.at, path)
            self._aliases.append(node)
            value = self.of(node.target, path, deep)
            self._aliases.pop()
            return value
        if deep > DEEPEST:
            raise Problem(TOO_DEEP, node.at)
        if isinstance(node, Scalar):
            return _sent(_scalar(node, path), node.at, path)
        if isinstance(node, List):
            return [self.of(item, f"{path}[{number}]", deep + 1) for number, item in enumerate(node.items)]
        self._fill(value := {}, node, path, deep)
        return value

    def _fill(self, value: dict[str, Any], node: Map, path: str, deep: int) -> None:
        """Write the pairs of a map in their order: a later one wins, even over a merged one."""
        pairs = list(zip(node.items[::2], node.items[1::2], strict=True))
        found: dict[str, Location] = {}
        keys: list[str | None] = []
        # All keys are read before the first value: a key that stands twice is reported before a fault inside a value.
        for key_node, _ in pairs:
            key = None if _merges(key_node) else self._key(key_node, path)
            if key is not None:
                if key in found:
                    raise Problem(TWICE, found[key], below(path, key), again=key_node.at)
                found[key] = key_node.at
            keys.append(key)
        for key, (_, item) in zip(keys, pairs, strict=True):
            if key is None:
                self._merge(value, item, path, deep)
            else:
                value[key] = self.of(item, below(path, key), deep + 1)

    def _key(self, node: Node, path: str) -> str:
        self._count(node.at)
        at, target = node.at, node
        while isinstance(target, Alias):
            self._count(target.at)
            target = target.target
        if not isinstance(target, Scalar):
            raise Problem("a key is a map or a list", at, path)
        value = _scalar(target, path)
        text = key_text(value)
        if text is None:
            kind = "null" if value is None else "a number of more than 64 bits"
            raise Problem(f"a key is {kind}: quote it", at, path)
        return text

    def _merge(self, value: dict[str, Any], node: Node, path: str, deep: int) -> None:
        if isinstance(node, List):
            if not all(isinstance(_target(item), Map) for item in node.items):
                raise Problem("`<<` takes a map, or a list of maps", node.at, path)
            for item in reversed(node.items):
                self._merge(value, item, path, deep)
            return
        target = _target(node)
        if not isinstance(target, Map):
            raise Problem("`<<` takes a map, or a list of maps", node.at, path)
        self._count(node.at)
        if isinstance(node, Alias):
            if any(alias is node for alias in self._aliases):
                raise Problem("an anchor contains itself", node.at, path)
            self._aliases.append(node)
            self._count(node.at)
        self._fill(value, target, path, deep + 1)
        if isinstance(node, Alias):
            self._aliases.pop()

    def _count(self, at: Location) -> None:
        """Refuse a text that grows without end through its aliases, by the measure of go.yaml.in/yaml."""
        self._visits += 1
        self._visits_by_alias += bool(self._aliases)
        if self._visits_by_alias > 100 and self._visits > 1000:
            allowed = 0.99 - 0.89 * min(1.0, max(0.0, (self._visits - 400_000) / 3_600_000))
            if self._visits_by_alias / self._visits > allowed:
                raise Problem("its aliases stand for too much", at)


def _target(node: Node) -> Node:
    return node.target if isinstance(node, Alias) else node


def _merges(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text == "<<" and (node.plain or node.tag == "!!merge")


def _scalar(node: Scalar, path: str) -> Value:
    """Return the value of a scalar, by its tag or by its text.

    :raises Problem: if its tag says what it is not
    """
    if node.tag is None:
        return resolved(node.text) if node.plain else node.text
    if node.tag == "!!binary":
        try:
            return base64.b64decode(node.text.replace("\r", "").replace("\n", ""), validate=True).decode()
        except ValueError:
            raise Problem("a value of the tag `!!binary` is no text in base64", node.at, path) from None
    if node.tag not in _TAGS:
        return node.text
    value = resolved(node.text)
    if node.tag == "!!float" and isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        value = float(value)
    if not isinstance(value, _TAGS[node.tag]) or (node.tag == "!!int" and isinstance(value, bool)):
        raise Problem(f"a value of the tag `{node.tag}` is none", node.at, path)
    return value


#: The tags that say of which type a text has to be; kubectl ignores any other.
_TAGS: dict[str, type] = {"!!bool": bool, "!!int": int, "!!float": float, "!!null": type(None)}


def _sent(value: Value, at: Location, path: str) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not math.isfinite(value):
        raise Problem("JSON has no infinity, and nothing that is not a number: quote it", at, path)
    return whole(value)
