"""The debug log of a run against a real API server."""

from __future__ import annotations

import re
import threading
import time

import pytest

from command_line import CommandLine, finish
from one_node_cluster import IMAGE, OneNodeCluster

#: As a user reads it: what was asked, what came of it, in how many milliseconds, at which try.
REQUEST = re.compile(r"unique_k8s_job\.core (?:.*: )?((?:GET|POST|PATCH|DELETE) /\S+) status=(.+) ms=\d+ try=\d+$")


def test_verbose_run_shows_its_post_and_all_that_follows_with_status(command_line: CommandLine) -> None:
    ended = command_line.run("--image", IMAGE, "--verbose", "--", "sh", "-c", "echo hello")
    assert ended.code == 0 and ended.stdout == "hello\n", ended
    requests = [match.groups() for line in ended.stderr.splitlines() if (match := REQUEST.search(line))]
    posts = [status for request, status in requests if request.startswith("POST ") and request.endswith("/jobs")]
    assert posts == ["201"], ended
    assert any("/log?container=base" in request and status == "200" for request, status in requests), ended
    assert any(request.startswith("PATCH ") and status == "200" for request, status in requests), ended
    assert "job{namespace=" in ended.stderr and 'watch{kind="Pod"' in ended.stderr, ended


def test_events_of_watches_are_shown_where_it_is_given_twice(command_line: CommandLine) -> None:
    ended = command_line.run("--image", IMAGE, "-vv", "--", "true")
    assert ended.code == 0, ended
    assert re.search(
        r'watch\{kind="Job".*: MODIFIED name="job-\S+" resource_version="\d+"$', ended.stderr, re.MULTILINE
    )


def test_job_that_hangs_is_explained_by_its_debug_log(command_line: CommandLine) -> None:
    """The example of docs/debug-log.md: a Pod that nothing can hold."""
    manifest = command_line.folder / "job.yaml"
    manifest.write_text(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: train}\nspec: {template: {spec: {nodeSelector: {gpu: 'yes'},"
        f" containers: [{{name: base, image: {IMAGE}}}]}}}}}}\n"
    )
    process = command_line.start("--manifest", str(manifest), "-vv", "--startup-timeout", "20")
    time.sleep(3)
    ended = finish(process, seconds=60)
    assert ended.code != 0, ended
    assert re.search(r'watch\{kind="Pod".*: (ADDED|MODIFIED) name="train-', ended.stderr), ended
    assert re.search(r"GET /api/v1/namespaces/\S+/events\?limit=500 status=200", ended.stderr), ended


@pytest.mark.breaks_the_cluster
def test_run_beside_a_killed_api_server_reads_like_a_story(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start_shell("echo working; sleep 15; echo finished", "--verbose")
    cluster.wait_until_running(namespace)
    cluster.kill("kube-apiserver")
    try:
        threading.Event().wait(4)  # the outage itself has a length
    finally:
        cluster.start("kube-apiserver")
    ended = finish(call)
    assert ended.code == 0 and ended.stdout == "working\nfinished\n", ended
    story = ended.stderr
    for what, line in (
        ("the Job is made", r"POST \S+/jobs\S* status=201 ms=\d+ try=1$"),
        ("it is watched", r'watch\{kind="Job".*: GET \S+/jobs\S*watch=true\S* status=200'),
        ("its log is read", r"GET \S+/log\?container=base\S* status=200"),
        ("the watch breaks", r"stream ended: "),
        ("the API server is away", r"status=Connection refused ms=\d+ try="),
        ("the request is sent again", r"tried again in \d+ ms"),
        ("it is watched again", r'watch\{kind="Job".*: GET \S+/jobs\S*watch=true\S* status=200'),
        ("the outcome is acknowledged", r"PATCH \S+/jobs/\S+ status=200"),
    ):
        found = re.search(line, story, re.MULTILINE)
        assert found, f"{what}: no line of it, in its turn, in {ended}"
        story = story[found.end() :]
