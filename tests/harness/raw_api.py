"""A bare HTTP client for the API server of a kubeconfig, for what has to be compared with no library of ours in between.

Promise: it is signed in like the kubeconfig's user (token only), and asks what it is told, once.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml


def _sign_in(kubeconfig: Path) -> dict[str, Any]:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    with tempfile.NamedTemporaryFile() as ca:
        ca.write(base64.b64decode(cluster["certificate-authority-data"]))
        ca.flush()
        trust = ssl.create_default_context(cafile=ca.name)
    headers = {"Authorization": f"Bearer {user['token']}"}
    return {"base_url": cluster["server"], "verify": trust, "headers": headers, "trust_env": False, "timeout": 60}


@contextmanager
def raw_api(kubeconfig: Path) -> Iterator[httpx.Client]:
    """An HTTP client that is signed in like the kubeconfig's user (token only)."""
    with httpx.Client(**_sign_in(kubeconfig)) as client:
        yield client


def asynchronous_api(kubeconfig: Path) -> httpx.AsyncClient:
    """The same for an event loop."""
    return httpx.AsyncClient(**_sign_in(kubeconfig))
