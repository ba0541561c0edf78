"""Two thousand random and mutated files and argument lists: each ends with a sentence and a documented exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import thrown_inputs
from broken_server import BrokenServer, answer

START = "from unique_k8s_job.cli.program import main; main()"
#: Calls of each of two processes; `make check` makes a tenth of them. The seeds are always the same.
CALLS = int(os.environ.get("UNIQUE_K8S_JOB_THROWN", "1000"))


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Any:
    """Of a server that refuses everything at once."""
    refusal = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "BadRequest", "code": 400}
    with BrokenServer(answer(400, json.dumps({**refusal, "message": "no", "metadata": {}}))) as server:
        file = tmp_path / "refused"
        cluster = {"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}
        context = {"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "etl"}}
        user = {"name": "it", "user": {"token": "t"}}
        config = {"current-context": "it", "clusters": [cluster], "contexts": [context], "users": [user]}
        file.write_text(json.dumps(config, indent=1))
        yield file


@pytest.mark.timeout(1800)
def test_two_thousand_thrown_calls_end_with_a_sentence_and_a_documented_exit_code(
    kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        arguments = [sys.executable, thrown_inputs.__file__, str(folder), str(kubeconfig), str(seed), str(CALLS)]
        processes.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
    said = [json.loads(line) for process in processes for line in process.communicate()[0].splitlines()]
    codes: Counter[str] = Counter()
    for end in said:
        codes.update(end.get("codes", {}))
    with capsys.disabled():
        print(f"\n{sum(codes.values())} thrown calls, by exit code: {dict(codes)}")
    wrong = [end for end in said if "why" in end]
    assert not wrong, f"{len(wrong)} ended wrong, such as {json.dumps(wrong[:3], indent=1)}"
    assert sum(codes.values()) == 2 * CALLS
    assert [process.returncode for process in processes] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["run", "--manifest", "-"], b"", "The manifest (standard input) is empty"),
        (["run", "--manifest", "-"], b"\xff\xfea\0", "standard input) has to be one Job"),
        (["run", "--manifest", "-"], b"a: \xff", "standard input) is neither UTF-8 nor UTF-16"),
        (["run", "--manifest", "-"], b"a: 1\na: 2", "`a`: it stands twice"),
        (["run", "--manifest", "/dev/zero"], b"", "larger than any Job"),
        (["run", "--manifest", "/proc/self/mem"], b"", "/proc/self/mem"),
        (["run", "--manifest", "."], b"", "is a directory"),
        (["run", "--image", b"a:\xff"], b"", "Argument 3 of the command holds bytes that are no text of UTF-8"),
        (["run", "--image", "a:1", "--", b"\xff"], b"", "Argument 5 of"),
        (["run", "--image", "a:1", "--env", b"A=\xff"], b"", "Argument 5 of"),
        (["delete", b"\xff"], b"", "Argument 2 of"),
        (["delete", "-l", b"a=\xff"], b"", "Argument 3 of"),
        (["doctor", "--job", b"\xff"], b"", "Argument 3 of"),
        (["doctor", "--kubeconfig", b"\xff"], b"", "Argument 3 of"),
        (["run", "--image", "a:1", "-n", "Etl"], b"", "`Etl`"),
        (["run", "--image", "a:1", "-n", ""], b"", "namespace"),
        (["run", "--image", "a:1", "--name", "\n"], b"", "etl/job-"),
        (["delete", "../../etl"], b"", "../../etl"),
        (["delete", "a", "-n", "a/b"], b"", "a/b"),
        (["delete", "-l", "a in (b"], b"", "BadRequest"),
        (["doctor", "--job", "a/b"], b"", "a/b"),
        (["doctor", "-n", "a b"], b"", "a b"),
        (["doctor", "--context", "absent"], b"", "absent"),
        (["doctor", "--kubeconfig", "/dev/zero"], b"", "file too large"),
    ],
)
def test_call_that_no_terminal_types_is_answered_with_what_is_wrong(
    arguments: list[str | bytes], stdin: bytes, words: str, kubeconfig: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    said = ended.stderr.decode()
    assert thrown_inputs.wrong(ended.returncode, said) is None, said
    assert ended.returncode == 125 and words in said and b"" == ended.stdout, said
