"""The shipped Role, whole or with one right taken out."""

from __future__ import annotations

from typing import Any

import yaml

from one_node_cluster import CHECKOUT

SHIPPED = (CHECKOUT / "docs" / "rbac.yaml").read_text()


def shipped_rules() -> list[dict[str, Any]]:
    """The rules of the shipped Role."""
    rules: list[dict[str, Any]] = next(yaml.safe_load_all(SHIPPED))["rules"]
    return rules


def rules_without(resource: str, verb: str) -> list[dict[str, Any]]:
    """The rules of the shipped Role, one verb of one resource taken out."""
    rules = []
    for rule in shipped_rules():
        verbs = [v for v in rule["verbs"] if not (resource in rule["resources"] and v == verb)]
        if verbs:
            rules.append({**rule, "verbs": verbs})
    return rules
