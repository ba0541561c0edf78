"""Credential plugins that fail, by the command line as it is installed: it ends soon, by 125, and says what was wrong with
the plugin and nothing that is secret. That one which hangs has 60 s is held by the tests of `src/cluster/plugin.rs`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from command_line import PROGRAM
from one_node_cluster import IMAGE
from unique_k8s_job.cli.exit_codes import OUR_ERROR

#: What the plugin does, and what is said of it.
PLUGINS = {
    "writes without end": ("yes hunter2", "more than 1 MiB"),
    "writes errors without end": ("yes hunter2 >&2", "more than 1 MiB"),
    "tells its token and fails": ("echo password=hunter2 >&2; exit 3", "exit code 3"),
    "prints garbage": ("head -c 9999 /dev/urandom; echo hunter2", "not an ExecCredential"),
    "is missing": (None, "the command is not found"),
    "is not executable": ("", "it cannot be started: Permission denied"),
}
COMMANDS = {
    "run": ("run", "--image", IMAGE, "--", "true"),
    "doctor": ("doctor",),
    "delete": ("delete", "train"),
}


@pytest.mark.parametrize("failure", PLUGINS)
def test_plugin_that_fails_ends_the_command_with_its_reason(failure: str, tmp_path: Path) -> None:
    script, word = PLUGINS[failure]
    plugin = tmp_path / "plugin"
    if script is not None:
        plugin.write_text(f"#!/bin/sh\n{script}\n")
        plugin.chmod(0o600 if failure == "is not executable" else 0o700)
    call = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "it", "user": {"exec": call}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "etl"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    # One failure by every command, the others by one: each call takes a second.
    commands = COMMANDS if failure == "tells its token and fails" else {"run": COMMANDS["run"]}
    for command, arguments in commands.items():
        ended = subprocess.run(
            [str(PROGRAM), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": str(tmp_path / "config")},
            timeout=55,
            check=False,
        )
        assert ended.returncode == OUR_ERROR, (command, ended)
        assert word in ended.stderr and "plugin" in ended.stderr, (command, ended)
        assert "hunter2" not in ended.stdout + ended.stderr and "Traceback" not in ended.stderr, (command, ended)
