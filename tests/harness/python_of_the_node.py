"""A Job that has Python on the cluster of the tests, whose image has none: that of the machine, which is the node."""

from __future__ import annotations

import sys
from typing import Any

from one_node_cluster import IMAGE

_FOLDERS = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64", "python": sys.base_prefix}
_PLACES = {**_FOLDERS, "lib": "/lib", "lib64": "/lib64"}
#: The arguments of `@task.unique_k8s_job` for that.
PYTHON: dict[str, Any] = {
    "image": IMAGE,
    "python": f"{sys.base_prefix}/bin/python3",
    "volumes": [{"name": name, "hostPath": {"path": path}} for name, path in _FOLDERS.items()],
    "volume_mounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in _PLACES.items()],
    "env_vars": {"LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"},
}
