"""HTTP as no API server speaks it: each lie ends as an error with words of ours, in time, and leads nowhere else."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from broken_server import BrokenServer, answer, self_signed
from unique_k8s_job import native
from unique_k8s_job.exceptions import UniqueK8sJobError

#: Seconds for the answer to a request that is not repeated; what is repeated is so for a minute.
ENDS_WITHIN = 75.0


def asked(server: BrokenServer) -> str:
    """What is raised where a namespace is looked at."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "etl"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://127.0.0.1:{server.port}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "u", "user": {"token": "the-token"}}],
    }
    cluster = native.Cluster({"source": "text", "text": json.dumps(config)})
    began = time.monotonic()
    with pytest.raises(UniqueK8sJobError) as caught:
        looking = native.Survey(cluster, "etl")
        while looking.next():
            pass
    assert time.monotonic() - began < ENDS_WITHIN, str(caught.value)
    assert type(caught.value).__name__ in ("ApiRefusedError", "ApiUnreachableError"), caught.value
    return str(caught.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "tls.pem", "localhost")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_never_followed(code: int, certificate: Path) -> None:
    with BrokenServer(answer(200, "{}"), certificate) as elsewhere:
        there = f"Location: https://127.0.0.1:{elsewhere.port}/api/v1/namespaces/etl/pods"
        with BrokenServer(answer(code, "", "text/plain", there), certificate) as server:
            said = asked(server)
        assert (elsewhere.heard, elsewhere._listener.accepted) == ([], 0)
    assert str(code) in said


def http(*headers: str, body: bytes = b"{}") -> bytes:
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


#: What is said, what follows without end, and a word of the error.
LIES: dict[str, tuple[bytes, bytes, str]] = {
    "gzip that nobody asked for": (
        http("Content-Encoding: gzip", body=gzip.compress(b" " * 10_000_000)),
        b"",
        "Kubernetes",
    ),
    "a huge header": (http(f"X-Large: {'y' * 2_000_000}"), b"", ""),
    "many headers": (http(*(f"X-{number}: y" for number in range(5_000))), b"", ""),
    "headers without end": (b"HTTP/1.1 200 OK\r\n", b"X-Again: y\r\n", ""),
    "a first line without end": (b"HTTP/1.1 200 ", b"O" * 65_536, ""),
    "many interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000 + http(), b"", ""),
    "interim answers without end": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", ""),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", b"", ""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", ""),
    "a failing body without end": (b"HTTP/1.1 418 No\r\n\r\n", b"x" * 65_536, "418"),
    "a body without end": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 1_000_000, "larger than 64 MiB"),
    "a chunk without end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b" " * 1_000_000,
        "64 MiB",
    ),
    "an older HTTP": (b"{}", b"", ""),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_ends_as_an_error_in_time(lie: str, certificate: Path) -> None:
    says, again, word = LIES[lie]
    with BrokenServer(says or again, certificate, again=again) as server:
        said: Any = asked(server)
    assert word in said and "the-token" not in said, said
