"""Ways to reach a cluster: kubeconfig files, lists and contexts, tokens in files, exec plugins, certificates, proxies."""

from __future__ import annotations

import base64
import os
import select
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line import PROGRAM, Ended
from one_node_cluster import CHECKOUT, IMAGE, OneNodeCluster

Config = dict[str, Any]
Run = Callable[..., Ended]


@pytest.fixture
def config(cluster: OneNodeCluster) -> Config:
    """The admin's kubeconfig, to be changed."""
    found: Config = yaml.safe_load(cluster.kubeconfig().read_text())
    return found


@pytest.fixture
def token(config: Config) -> str:
    found: str = config["users"][0]["user"]["token"]
    return found


@pytest.fixture
def run(namespace: str, tmp_path: Path) -> Run:
    """`unique-k8s-job run ... -- true`, with this environment."""

    def call(*options: str, command: tuple[str, ...] = ("true",), **environment: str) -> Ended:
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.lower().endswith("_proxy") and key != "KUBECONFIG"
        }
        ended = subprocess.run(
            [str(PROGRAM), "run", "--namespace", namespace, "--image", IMAGE, *options, "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**clean, "HOME": str(tmp_path), **environment},
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return call


def written(folder: Path, name: str, config: Config) -> str:
    file = folder / name
    file.write_text(yaml.safe_dump(config))
    return str(file)


def test_client_certificate_works(cluster: OneNodeCluster, run: Run) -> None:
    assert run(KUBECONFIG=str(cluster.kubeconfig("admin-cert"))).code == 0


def test_token_file_that_ends_in_a_newline_works(config: Config, token: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token + "\n")
    config["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 0, ended


def test_kubeconfig_list_is_merged_and_missing_files_are_passed_over(config: Config, run: Run, tmp_path: Path) -> None:
    users = {"apiVersion": "v1", "kind": "Config", "users": config.pop("users")}
    files = [str(tmp_path / "missing"), written(tmp_path, "clusters", config), written(tmp_path, "users", users)]
    ended = run(KUBECONFIG=":".join(files))
    assert ended.code == 0, ended


def test_home_kubeconfig_is_the_default(config: Config, run: Run, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube", "config", config)
    ended = run()
    assert ended.code == 0, ended


def test_no_configuration_at_all_says_what_was_looked_for(run: Run) -> None:
    ended = run()
    assert ended.code == 125, ended
    assert "No Kubernetes configuration was found" in ended.stderr and "KUBECONFIG" in ended.stderr, ended


def test_context_is_chosen_and_an_unknown_one_is_refused_naming_those_there_are(
    config: Config, run: Run, tmp_path: Path
) -> None:
    good = config["contexts"][0]["name"]
    config["contexts"].append({"name": "broken", "context": {"cluster": "none", "user": "none"}})
    config["current-context"] = "broken"
    file = written(tmp_path, "config", config)
    assert run("--context", good, KUBECONFIG=file).code == 0
    ended = run("--context", "nowhere", KUBECONFIG=file)
    assert ended.code == 125, ended
    assert "`broken`" in ended.stderr and f"`{good}`" in ended.stderr, ended


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """An exec plugin; `script` prints the token."""
    file = folder / "plugin"
    file.write_text(
        f"#!/bin/sh\necho called >> {folder}/calls\ntoken=$({script})\n"
        """printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", """
        """"status": {"token": "%s"}}' "$token"\n"""
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(file),
            "interactiveMode": "IfAvailable",
        }
    }


def test_exec_plugin_gives_the_token(config: Config, token: str, run: Run, tmp_path: Path) -> None:
    config["users"][0]["user"] = plugin(tmp_path, f"echo {token}")
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 0, ended
    assert token not in ended.stdout + ended.stderr


def test_token_that_is_refused_is_read_anew_once(config: Config, token: str, run: Run, tmp_path: Path) -> None:
    # The first client gets a token that the API server does not know, as after a rotation.
    fresh = f"if [ $(wc -l < {tmp_path}/calls) -gt 2 ]; then echo {token}; else echo expired; fi"
    config["users"][0]["user"] = plugin(tmp_path, fresh)
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 0, ended


def test_token_that_stays_refused_is_our_own_error_and_is_not_printed(config: Config, run: Run, tmp_path: Path) -> None:
    config["users"][0]["user"] = {"token": "a-token-that-nobody-knows"}
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 125, ended
    assert "401" in ended.stderr and "credentials were refused" in ended.stderr, ended
    assert "a-token-that-nobody-knows" not in ended.stdout + ended.stderr


class Proxy(threading.Thread):
    """An HTTP proxy that knows CONNECT, and counts."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.tunnels: list[str] = []

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        target = head.split()[1].decode()
        self.tunnels.append(target)
        host, _, port = target.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    started = Proxy()
    started.start()
    yield started
    started.close()


def test_proxy_of_the_environment_is_used_unless_no_proxy_names_the_server(
    cluster: OneNodeCluster, config: Config, run: Run, proxy: Proxy
) -> None:
    kubeconfig = str(cluster.kubeconfig())
    server = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
    assert run(KUBECONFIG=kubeconfig, HTTPS_PROXY=proxy.address).code == 0
    assert set(proxy.tunnels) == {server}
    proxy.tunnels.clear()
    host = server.rpartition(":")[0]
    assert run(KUBECONFIG=kubeconfig, HTTPS_PROXY=proxy.address, NO_PROXY=f"example.com,,{host}").code == 0
    assert proxy.tunnels == []


def test_proxy_of_the_kubeconfig_is_used(config: Config, run: Run, proxy: Proxy, tmp_path: Path) -> None:
    config["clusters"][0]["cluster"]["proxy-url"] = proxy.address
    ended = run(KUBECONFIG=written(tmp_path, "config", config), NO_PROXY="*")
    assert ended.code == 0, ended
    assert proxy.tunnels


def test_service_account_of_a_pod_is_used_in_cluster(
    cluster: OneNodeCluster, config: Config, namespace: str, tmp_path: Path
) -> None:
    role = list(yaml.safe_load_all((CHECKOUT / "docs" / "rbac.yaml").read_text()))
    role[1]["subjects"] = [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
    cluster.apply(*role, namespace=namespace)
    files = {
        "token": cluster.kubectl("-n", namespace, "create", "token", "default").strip() + "\n",
        "namespace": namespace,
        "ca.crt": authority(config["clusters"][0]["cluster"]),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    # What the kubelet mounts into a Pod, in a mount namespace of this process alone.
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    mount = f'mkdir -p {place} && mount --bind {tmp_path} {place} && exec "$@"'
    host, _, port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").rpartition(":")
    ended = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            mount,
            "sh",
            str(PROGRAM),
            "run",
            "--image",
            IMAGE,
            "--",
            "echo",
            "in cluster",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        },
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "in cluster\n"), ended
    assert f"Job {namespace}/" in ended.stderr, ended


def authority(cluster_entry: dict[str, Any]) -> str:
    """The certificate of the cluster's authority, embedded or in a file."""
    data = cluster_entry.get("certificate-authority-data")
    return base64.b64decode(data).decode() if data else Path(cluster_entry["certificate-authority"]).read_text()
