"""Names on the real cluster: what is no name is refused by the argument that gave it, and nothing goes anywhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from command_line import PROGRAM, CommandLine, Ended
from one_node_cluster import IMAGE, OneNodeCluster, names


def make(cluster: OneNodeCluster, namespace: str, name: str, label: str) -> None:
    """A suspended Job of others."""
    container = {"name": "base", "image": IMAGE}
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    metadata = {"name": name, "labels": {"hostile": label}}
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}, namespace=namespace)


def test_namespace_that_is_a_path_deletes_no_job(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    make(cluster, namespace, "victim", namespace)
    ended = command_line.call("delete", "-n", f"{namespace}/jobs/victim?x=", "j1")
    assert names(cluster.jobs(namespace)) == ["victim"]
    assert ended.code == 125, ended
    assert "`namespace` cannot be the name of a namespace" in ended.stderr, ended


def test_namespace_that_is_a_path_posts_to_no_subresource(command_line: CommandLine, namespace: str) -> None:
    for text in (f"{namespace}/pods/y/exec?command=id#", "a b", "a\nb", "..", "%2e%2e", ""):
        ended = command_line.run("-n", text, "--image", IMAGE, "--", "true")
        assert ended.code == 125, ended
        assert "`namespace` cannot be the name of a namespace" in ended.stderr, ended
        assert "internal error" not in ended.stderr, ended


def test_doctor_names_the_option_that_is_no_name(command_line: CommandLine) -> None:
    for options, argument in ((("-n", "a/b"), "--namespace"), (("--job", "a/b"), "--job"), (("--job", ""), "--job")):
        ended = command_line.call("doctor", *options)
        assert ended.code == 125, ended
        assert f"`{argument}` cannot be the name of a" in ended.stderr, ended


def test_empty_namespace_of_a_context_is_default_and_never_all_of_them(
    cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    make(cluster, namespace, "elsewhere", namespace)
    config = yaml.safe_load(cluster.kubeconfig().read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = ""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(config))

    def call(*arguments: str) -> Ended:
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    deleted = call("delete", "-l", f"hostile={namespace}")
    assert names(cluster.jobs(namespace)) == ["elsewhere"], deleted
    assert deleted.code == 0, deleted
    assert "No Job of namespace `default`" in deleted.stderr, deleted
    make(cluster, "default", "here", namespace)
    deleted = call("delete", "-l", f"hostile={namespace}")
    assert "default/here` " in deleted.stderr, deleted
    assert names(cluster.jobs(namespace)) == ["elsewhere"], deleted
