"""Ways to reach a cluster: kubeconfig files, lists and contexts, tokens in files, exec plugins, certificates, proxies."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from certificates import Authority
from command_line import PROGRAM, Ended
from forward_proxy import ForwardProxy
from one_node_cluster import CHECKOUT, IMAGE, OneNodeCluster
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

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


def test_job_runs_where_the_kubeconfig_pins_the_certificate_of_the_server(
    cluster: OneNodeCluster, config: Config, run: Run, tmp_path: Path
) -> None:
    leaf = (cluster.kubeconfig().parents[1] / "pki" / "server.crt").read_bytes()
    config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(leaf).decode()
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 0, ended


def test_authority_that_is_not_the_servers_is_told_at_once_with_both(config: Config, run: Run, tmp_path: Path) -> None:
    other = Authority.new("of another cluster").pem
    config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(other.encode()).decode()
    file = written(tmp_path, "config", config)
    ended = run(KUBECONFIG=file)
    assert ended.code == 125, ended
    for words in ("CN=of another cluster", "CN=unique-k8s-job test cluster", "`certificate-authority-data`", file):
        assert words in ended.stderr, (words, ended)
    assert "tried again" not in ended.stderr, ended


def test_button_of_the_connection_says_who_we_are(cluster: OneNodeCluster) -> None:
    hook = UniqueK8sJobHook(None, config_file=str(cluster.kubeconfig("alice")))
    good, said = hook.test_connection()
    assert good, said
    assert re.match(
        r"Kubernetes 1\.\d+\.\S+ at https://\S+ answers: user `alice`, namespace `default`\. Missing", said
    ), said
    assert "jobs: create" in said and "pods/log: get" in said, said
    everything = UniqueK8sJobHook(None, config_file=str(cluster.kubeconfig())).test_connection()
    assert everything[0] and everything[1].endswith("namespace `default`, all needed rights"), everything


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
    fresh = f"if [ $(wc -l < {tmp_path}/calls) -gt 1 ]; then echo {token}; else echo expired; fi"
    config["users"][0]["user"] = plugin(tmp_path, fresh)
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 0, ended


def test_token_that_stays_refused_is_our_own_error_and_is_not_printed(config: Config, run: Run, tmp_path: Path) -> None:
    config["users"][0]["user"] = {"token": "a-token-that-nobody-knows"}
    ended = run(KUBECONFIG=written(tmp_path, "config", config))
    assert ended.code == 125, ended
    assert "401" in ended.stderr and "credentials were refused" in ended.stderr, ended
    assert "a-token-that-nobody-knows" not in ended.stdout + ended.stderr


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    started = ForwardProxy()
    yield started
    started.close()


def test_proxy_of_the_environment_is_used_unless_no_proxy_names_the_server(
    cluster: OneNodeCluster, config: Config, run: Run, proxy: ForwardProxy
) -> None:
    kubeconfig = str(cluster.kubeconfig())
    server = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
    assert run(KUBECONFIG=kubeconfig, HTTPS_PROXY=proxy.address).code == 0
    assert set(proxy.tunnels) == {server}
    proxy.tunnels.clear()
    host = server.rpartition(":")[0]
    assert run(KUBECONFIG=kubeconfig, HTTPS_PROXY=proxy.address, NO_PROXY=f"example.com,,{host}").code == 0
    assert proxy.tunnels == []


def test_proxy_of_the_kubeconfig_is_used(config: Config, run: Run, proxy: ForwardProxy, tmp_path: Path) -> None:
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
