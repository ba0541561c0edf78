"""A Job as anybody may write it, who does not use this package."""

from __future__ import annotations

from typing import Any

from one_node_cluster import IMAGE


def job(name: str, script: str, **labels: str) -> dict[str, Any]:
    """One container that runs a shell script once, without a second chance."""
    container = {"name": "base", "image": IMAGE, "command": ["sh", "-c", script]}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": 0, "template": template},
    }
