"""Jobs of more than one container, Pod or try: every line of each is shown, with its source where there are several."""

from __future__ import annotations

import re
from collections import Counter

import numbered_lines
from command_line import CommandLine, container, job_spec

_PREFIX = re.compile(r"^\[([a-z0-9-]+)/([a-z0-9-]+)\] (.*)$")


def by_container(text: str) -> dict[str, list[str]]:
    """The lines of a prefixed log, by the name of their container. Every line has to have a prefix."""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = _PREFIX.match(line)
        assert match, f"no prefix: {line!r}\nin\n{text}"
        lines.setdefault(match[2], []).append(match[3])
    return lines


def test_several_containers_and_init_containers_are_prefixed(command_line: CommandLine) -> None:
    spec = job_spec(
        container("first", "echo of first; sleep 1"),
        container("second", "echo of second; sleep 1"),
        pod={"initContainers": [container("prepare", "echo of prepare")]},
    )
    ended = command_line.manifest(spec)
    assert ended.code == 0, ended
    # Whether a first line came before a second source was known is a matter of time; its text is there once anyway.
    for name in ("prepare", "first", "second"):
        assert ended.stdout.count(f"of {name}") == 1, ended
    assert "/second] of second" in ended.stdout, ended
    assert "/first] of first" in ended.stdout, ended


def test_each_try_of_a_restarted_pod_is_in_the_log(command_line: CommandLine) -> None:
    # The marker outlives the container, not the Pod: with OnFailure the second start of the same Pod ends well.
    spec = job_spec(
        container(
            "base",
            "if [ -e /mark/second ]; then echo second start; else touch /mark/second; echo first start; exit 4; fi",
            volumeMounts=[{"name": "mark", "mountPath": "/mark"}],
        ),
        backoffLimit=3,
        pod={"restartPolicy": "OnFailure", "volumes": [{"name": "mark", "emptyDir": {}}]},
    )
    ended = command_line.manifest(spec)
    assert ended.code == 0, ended
    assert ended.stdout.count("first start") == 1, ended
    assert ended.stdout.count("second start") == 1, ended


def test_each_pod_of_a_retried_job_is_in_the_log(command_line: CommandLine) -> None:
    ended = command_line.manifest(job_spec(container("base", "echo tried; exit 7"), backoffLimit=1), seconds=180)
    assert ended.code == 1, ended
    assert ended.stdout.count("tried") == 2, ended


def test_every_index_of_an_indexed_job_is_in_the_log_once(command_line: CommandLine) -> None:
    spec = job_spec(
        container("base", 'for i in 1 2 3; do echo "index $JOB_COMPLETION_INDEX line $i"; done'),
        completions=4,
        parallelism=2,
        completionMode="Indexed",
    )
    ended = command_line.manifest(spec)
    assert ended.code == 0, ended
    found = Counter(re.findall(r"index (\d) line (\d)", ended.stdout))
    assert found == {(str(index), str(line)): 1 for index in range(4) for line in (1, 2, 3)}, ended
    assert all(f"[{index}] index {index} line 1\n" in ended.stdout for index in range(4)), ended
    # Of four Pods there are counts instead of their steps.
    assert re.search(r"^\d of 4 indexes done, .*(running|starting)", ended.stderr, re.MULTILINE), ended
    assert "is scheduled on" not in ended.stderr and "` started" not in ended.stderr, ended


def test_very_long_line_and_bytes_that_are_no_text_are_survived(command_line: CommandLine) -> None:
    ended = command_line.shell(
        "echo before; head -c 10000000 /dev/zero | tr '\\0' x; echo; printf 'odd \\377\\376 bytes\\n'; echo after",
        seconds=180,
    )
    assert ended.code == 0, f"exit code {ended.code}\n{ended.stderr[-4000:]}"
    assert ended.stdout.startswith("before\n")
    assert ended.stdout.endswith("after\n")
    assert re.search(r"odd \S+ bytes", ended.stdout)
    assert ended.stdout.count("x") >= 10_000_000, "the long line is there whole"


def test_a_fast_log_arrives_whole(command_line: CommandLine) -> None:
    ended = command_line.shell(numbered_lines.script(20_000, seconds=1), seconds=180)
    assert ended.code == 0, f"exit code {ended.code}\n{ended.stderr[-4000:]}"
    numbered_lines.check_whole(ended.stdout, 20_000)
