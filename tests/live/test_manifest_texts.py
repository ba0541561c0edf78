"""That a manifest means here what it means to kubectl, and what does not, and that such a manifest runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest

from command_line import CommandLine
from manifest_texts import Texts
from one_node_cluster import OneNodeCluster
from unique_k8s_job import UniqueK8sJobOperator
from unique_k8s_job.manifest.documents import Unreadable, documents

#: How many texts are compared, always the same ones; with this variable as many others, new ones each time.
DEFAULT = 9000
TEXTS = int(os.environ.get("UNIQUE_K8S_JOB_MANIFEST_TEXTS") or DEFAULT)

#: All that is refused here and read by kubectl: what our error says, and a pattern of what the text has. For users it is in
#: `docs/manifest-texts.md`.
STRICTER = {
    "a key that stands twice": ("it stands twice", ""),
    "text after the end": ("more text stands after the end of the document", ""),
    "text after the end, on the line of a list or a map": ("ParserError", r"^[\[{].*[\]}]"),
    "too deep": ("it is nested deeper than", ""),
    "what JSON has not, where a merge replaces it": ("quote it", "<<"),
    "binary that is no text": ("a value of the tag `!!binary` is no text", "!!binary"),
    "a comment that touches a block's header": ("ScannerError", "#"),
}
#: All that is read here and refused by kubectl: what its error says.
LAXER = {
    "a tab in a block's indentation": "found a tab character where an indentation space is expected",
    "a time that is none": "as a !!timestamp",
    "the escape \\/": "found unknown escape character",
    "an emoji spelled as JSON spells it": "found invalid Unicode character escape code",
}


@contextmanager
def kubectls_reader(program: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """The function that says what kubectl reads in a text: the same calls of the same library, in one process for all texts."""
    with subprocess.Popen([str(program), "manifests"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        into, out = process.stdin, process.stdout

        def read(text: str) -> dict[str, Any]:
            into.write(json.dumps(text).encode() + b"\n")
            into.flush()
            answer: dict[str, Any] = json.loads(out.readline())
            return answer

        yield read
        into.close()


def judged(text: str, reader: Callable[[str], dict[str, Any]]) -> str:
    """Compare, and say how it went in the words of the counts; what may not be is an AssertionError."""
    kubectls = reader(text)
    try:
        ours = documents(text)
    except Unreadable as error:
        if kubectls["error"]:
            return "refused by both"
        for name, (words, cause) in STRICTER.items():
            if words in error.seen and re.search(cause, text, re.MULTILINE):
                return f"stricter: {name}"
        raise AssertionError(f"refused here: {error.seen}\nkubectl: {kubectls}\n{text!r}") from None
    if kubectls["error"]:
        # Of a text that begins with `{` it only says why that is no JSON.
        as_yaml = reader(f"#\n{text}")["error"]
        if not as_yaml:
            return "laxer: a few characters behind JSON"
        for name, words in LAXER.items():
            if words in kubectls["error"] or words in as_yaml:
                return f"laxer: {name}"
        raise AssertionError(f"kubectl: {kubectls['error']}\nread here: {ours}\n{text!r}")
    if same(ours, kubectls["documents"]):
        return "the same"
    # Where a merged key and a key of the map are two values and one name (`5e-324` and `-0`), kubectl keeps either, by the
    # random order of a map in Go; here the key of the map stands, always.
    again = [reader(text)["documents"] for _ in range(100)] if "<<" in text else []
    assert any(same(ours, documents) for documents in again), (
        f"\nours:    {ours}\nkubectl: {kubectls['documents']}\n{text!r}"
    )
    return "kubectl reads it in several ways, and here it is one of them"


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same type, at every depth: 1, 1.0 and True are three things."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def test_five_thousand_texts_mean_what_kubectl_reads_in_them(
    cluster: OneNodeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    first = 0 if TEXTS == DEFAULT else Random().randrange(2**60)
    texts = {Texts(Random(seed)).text(): seed for seed in range(first, first + TEXTS)}
    counts: Counter[str] = Counter()
    wrong: list[tuple[str, int, str]] = []
    with kubectls_reader(cluster.program) as kubectls:
        for text, seed in texts.items():
            try:
                counts[judged(text, kubectls)] += 1
            except AssertionError as error:
                wrong.append((text, seed, str(error)))
    with capsys.disabled():
        print(f"\n{len(texts)} texts of YAML and JSON: {dict(counts.most_common())}")
    shortest = [f"seed {seed}: {why}" for text, seed, why in sorted(wrong, key=lambda found: len(found[0]))[:5]]
    assert not wrong, f"{len(wrong)} texts mean something else:\n" + "\n\n".join(shortest)
    assert counts["the same"] >= 5000 * TEXTS // DEFAULT, counts


def test_kubectl_itself_reads_the_same(cluster: OneNodeCluster, tmp_path: Path) -> None:
    ours: dict[str, Any] = {}
    with kubectls_reader(cluster.program) as kubectls:
        for seed in range(400):
            text = Texts(Random(seed)).job(f"job-{seed}")
            if judged(text, kubectls) == "the same":
                (tmp_path / f"{seed}.yaml").write_text(text)
                ours[f"job-{seed}"] = documents(text)[0]["spec"]
    said = cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", str(tmp_path))
    # One object after the other, each from the first column on.
    items = json.loads("[" + said.replace("\n}\n{", "\n},\n{") + "]")
    theirs = {item["metadata"]["name"]: item["spec"] for item in items}
    assert len(ours) > 100 and same(ours, theirs), [name for name in ours if not same(ours[name], theirs.get(name))]


TIMES = """\
apiVersion: batch/v1
kind: Job
metadata: {name: times}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: base
          image: local.test/busybox:1
          command: [sh, -c, 'echo "$AT" "$@"', sh]
          args:
            - 10:30
            - 8080:59
            - 2026-01-01
          env: [{name: AT, value: 12:05}]
"""


def test_times_and_dates_in_a_manifest_are_text(command_line: CommandLine) -> None:
    ended = command_line.piped(TIMES, "--manifest", "-")
    assert (ended.code, ended.stdout) == (0, "12:05 10:30 8080:59 2026-01-01\n"), ended


def test_manifest_that_windows_has_written_runs(command_line: CommandLine) -> None:
    file = command_line.folder / "windows.yaml"
    file.write_bytes(TIMES.replace("\n", "\r\n").encode("utf-16"))
    ended = command_line.run("--manifest", str(file))
    assert (ended.code, ended.stdout) == (0, "12:05 10:30 8080:59 2026-01-01\n"), ended


def test_manifest_that_cannot_be_read_makes_no_job_and_is_named(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    twice = TIMES.replace("env: [{", "env: []\n          env: [{")
    ended = command_line.piped(twice, "--manifest", "-")
    assert ended.code == 125, ended
    assert "line 17, column 11 and line 18, column 11: `spec.template.spec.containers[0].env`" in ended.stderr, ended
    file = command_line.folder / "latin.yaml"
    file.write_bytes(TIMES.replace("base", "bäse").encode("latin-1"))
    ended = command_line.run("--manifest", str(file))
    assert ended.code == 125 and str(file) in ended.stderr and "0xe4 at offset 163" in ended.stderr, ended
    assert cluster.jobs(namespace) == []


def test_operator_runs_a_manifest_of_an_absolute_path(cluster: OneNodeCluster, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(TIMES.replace("2026-01-01", "{{ ds }}"))
    ti = Mock(dag_id="etl", run_id="r", task_id="work", map_index=-1, try_number=1, max_tries=1, id=namespace)
    context: Any = {
        "ti": ti,
        "dag_run": Mock(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0),
        "ds": "2026-01-02",
    }
    task = UniqueK8sJobOperator(
        task_id="work",
        manifest=str(tmp_path / "job.yaml"),
        namespace=namespace,
        kubernetes_conn_id=None,
        config_file=str(cluster.kubeconfig()),
    )
    assert task.execute(context)["state"] == "succeeded"
    (job,) = cluster.jobs(namespace)
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["10:30", "8080:59", "2026-01-02"]
