"""What does not pass by itself is told at once, by one connection: what was shown, what was expected, which setting holds it.

That a refused connection and a silent server are waited for is held by the table of `src/cluster/retry.rs` and by
`tests/live/test_broken_cluster.py`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from broken_server import BrokenServer, answer
from certificates import Authority, Pair, key_pem, self_signed
from command_line import PROGRAM, Ended
from forward_proxy import ForwardProxy
from tls_front import TlsFront
from unique_k8s_job.cli.exit_codes import OUR_ERROR

NOWHERE = ("127.0.0.1", 1)
MINE = Authority.new("mine")


def data(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def shown(pair: Pair) -> dict[str, Any]:
    """A user with this client certificate."""
    return {"client-certificate-data": data(pair.pem), "client-key-data": data(key_pem(pair.key))}


@dataclass(frozen=True)
class Refused:
    """A server, the authority that the kubeconfig names, and the words that the error must have."""

    server: Pair
    trusts: str
    words: tuple[str, ...]
    cluster: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    clients: bool = False


def run(folder: Path, cluster: dict[str, Any], user: dict[str, Any], *options: str, **environment: str) -> Ended:
    """`unique-k8s-job run` by a kubeconfig of these."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "prod", "cluster": cluster}],
        "users": [{"name": "joe", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "prod", "user": "joe", "namespace": "etl"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    ended = subprocess.run(
        [str(PROGRAM), "run", "--image", "a:1", *options, "--", "true"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=55, check=False,
        env={**clean, "KUBECONFIG": str(folder / "config"), **environment},
    )  # fmt: skip
    assert ended.returncode == OUR_ERROR, ended
    assert "did not answer" not in ended.stderr and "Traceback" not in ended.stderr, ended
    return Ended(ended.returncode, ended.stdout, ended.stderr)


GOOD = MINE.server("localhost", "127.0.0.1")
IN_KUBECONFIG = "of the cluster `prod` in kubeconfig"
CERTIFICATES: dict[str, Callable[[], Refused]] = {
    "expired": lambda: Refused(
        MINE.server("localhost", days=(-9, -1)),
        MINE.pem,
        ("it has expired", "subject `CN=server`", "signed by `CN=mine`", "for localhost", "valid from", "renewed"),
    ),
    "not valid yet": lambda: Refused(
        MINE.server("localhost", days=(1, 9)), MINE.pem, ("it is not valid yet", "clock", "valid from")
    ),
    "another name": lambda: Refused(
        MINE.server("elsewhere", "10.1.2.3"),
        MINE.pem,
        ("it is for another name", "for elsewhere, 10.1.2.3", "expected: a certificate for `localhost`", "`tls-server-name`"),
    ),
    "another tls-server-name": lambda: Refused(
        GOOD,
        MINE.pem,
        ("it is for another name", f"expected: a certificate for `far` (`tls-server-name` {IN_KUBECONFIG}"),
        {"tls-server-name": "far"},
    ),
    "unknown authority": lambda: Refused(
        GOOD,
        Authority.new("other").pem,
        ("no authority that is trusted", "signed by `CN=mine`", "the same as: `CN=other`", f"`certificate-authority-data` {IN_KUBECONFIG}"),
    ),
    "authority that has expired": lambda: Refused(
        (gone := Authority.new("gone", days=(-9, -1))).server("localhost"), gone.pem, ("`CN=gone`, which has expired",)
    ),
    "signed by a leaf": lambda: Refused(
        Authority(GOOD.certificate, GOOD.key).server("localhost"), GOOD.pem, ("`CN=server`, which may not sign others",)
    ),
    "pinned, and expired": lambda: Refused(
        (over := self_signed("localhost", authority=True, days=(-9, -1))), over.pem, ("it has expired", "renewed")
    ),
    "client certificate of nobody": lambda: Refused(
        GOOD,
        MINE.pem,
        ("does not accept the client certificate", "subject `CN=joe`", "signed by `CN=nobody`", "`client-certificate-data` of the user `joe`"),
        user=shown(Authority.new("nobody").client("joe")),
        clients=True,
    ),
    "client certificate that has expired": lambda: Refused(
        GOOD,
        MINE.pem,
        ("does not accept the client certificate", "expired", "signed by `CN=mine`", "`client-certificate-data` of the user `joe`"),
        user=shown(MINE.client("joe", days=(-9, -1))),
        clients=True,
    ),
    "no client certificate": lambda: Refused(
        GOOD, MINE.pem, ("it wants one", "`client-certificate` and `client-key` of the user `joe`"), clients=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_certificate_that_is_refused_is_told_at_once(kind: str, tmp_path: Path) -> None:
    case = CERTIFICATES[kind]()
    (tmp_path / "clients.pem").write_text(MINE.pem)
    front = TlsFront(
        NOWHERE, case.server.write(tmp_path / "server.pem"), clients=tmp_path / "clients.pem" if case.clients else None
    )
    cluster = {
        "server": f"https://localhost:{front.port}",
        "certificate-authority-data": data(case.trusts),
        **case.cluster,
    }
    ended = run(tmp_path, cluster, case.user)
    front.close()
    missing = [words for words in (*case.words, str(front.port)) if words not in ended.stderr]
    assert not missing, (missing, ended)
    assert front.handshakes == 1, ended


@pytest.mark.parametrize("code", [407, 403, 502])
@pytest.mark.parametrize("setting", ["proxy-url", "HTTPS_PROXY"])
def test_proxy_that_refuses_is_told_at_once(code: int, setting: str, tmp_path: Path) -> None:
    proxy = ForwardProxy(refuses=code)
    cluster = {"server": "https://10.1.2.3:6443", "certificate-authority-data": data(MINE.pem)}
    address = proxy.address.replace("://", "://joe:hunter2@")
    if setting == "proxy-url":
        ended = run(tmp_path, {**cluster, "proxy-url": address}, {})
    else:
        ended = run(tmp_path, cluster, {}, HTTPS_PROXY=address)
    proxy.close()
    assert "proxy" in ended.stderr and str(code) in ended.stderr and setting in ended.stderr, ended
    assert "hunter2" not in ended.stderr, ended
    assert proxy.tunnels == ["10.1.2.3:6443"], ended


def test_server_without_tls_is_told_at_once(tmp_path: Path) -> None:
    with BrokenServer(answer(400), at_once=True) as plain:
        ended = run(tmp_path, {"server": f"https://127.0.0.1:{plain.port}"}, {"token": "hunter2"})
    assert "the server does not speak TLS" in ended.stderr and f"`server` {IN_KUBECONFIG}" in ended.stderr, ended
