"""Tenants who write what looks like our lines: into images, annotations, status, Events and termination messages of a real
cluster, as far as its API server takes them. Nothing of it begins a line of `doctor`, `run` or `delete`, or reaches a
terminal unescaped.
"""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import Any

import pytest

from command_line import CommandLine, container, job_spec
from one_node_cluster import IMAGE, Object, OneNodeCluster
from terminal import on_a_terminal
from waiting import until

#: Words with which lines of ours begin.
OURS = ("next:", "seen:", "hint:", "error:", "warning:", "cause:", "fix:", "Job ", "kubectl ", "unique-k8s-job ")
#: Each of them at the begin of a line, by every character that begins one somewhere; then what hides or moves.
BREAKS = ("\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c")
FORGED = "FORGED" + "".join(f"{end}  {word} evil" for end, word in zip(cycle(BREAKS), OURS))
HIDING = "\u202e\u2066\u200b\u200d\ufeff\u00ad\x1b[2J\x1b]0;evil\x07\x9b1A\x08"
EVIL = FORGED + HIDING
#: Sequences of our own: colours, and those of a line that is renewed in place.
STYLES = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A")
#: A forged line as ours are: those of long texts that are broken stand further to the right.
LIKE_OURS = re.compile(rf"^ {{0,3}}(?:{'|'.join(OURS)}) evil", re.MULTILINE)


def check(said: str, what: str) -> None:
    """No line of it is forged, and nothing is hidden in it."""
    assert "FORGED" in said, f"{what} says nothing of it: {said}"
    said = STYLES.sub("", said).replace("\r\n", "\n")
    hidden = sorted({letter for letter in said if letter != "\n" and not letter.isprintable()})
    assert not hidden, f"{what}: {hidden} in {said!r}"
    assert not (forged := LIKE_OURS.findall(said)), f"{what}: {forged} in\n{said}"


def patch_status(cluster: OneNodeCluster, kind: str, namespace: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def event(about: Object, number: int) -> Object:
    """An Event as any tenant with the right to create some may write it."""
    metadata = about["metadata"]
    moment = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"forged-{number}", "namespace": metadata["namespace"]},
        "involvedObject": {key: metadata[key] for key in ("namespace", "name", "uid")}
        | {"kind": about["kind"], "apiVersion": about["apiVersion"]},
        "type": "Warning",
        "reason": ("FailedMount", EVIL[:120], "FailedScheduling")[number % 3],
        "message": EVIL,
        "source": {"component": EVIL},
        "count": 3,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
    }


@pytest.fixture
def forged(cluster: OneNodeCluster, namespace: str) -> list[str]:
    """Names of Jobs full of it."""
    nowhere = {"nodeSelector": {"no": "where"}}
    specs = {
        "image": job_spec({**container("base", "true"), "image": EVIL}),
        "status": job_spec(container("base", "true"), pod=nowhere),
        # A scheduler that is not there, since the real one would write its own words over those of the test.
        "scheduling": job_spec(container("base", "true"), pod={"schedulerName": "nobody"}),
    }
    annotations = {"note": EVIL, "unique-k8s-job/owner": EVIL, "unique-k8s-job/task": EVIL}
    for name, spec in specs.items():
        metadata = {"name": name, "annotations": annotations}
        cluster.apply(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}, namespace=namespace
        )

    def three() -> list[Object] | None:
        found = cluster.find("pods", namespace)
        return found if len(found) == len(specs) else None

    pods = until("a Pod of each Job", three, seconds=60)
    by_job = {pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]: pod for pod in pods}
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": EVIL}}
    base = {"name": "base", "image": EVIL, "imageID": EVIL, "ready": False, "restartCount": 0, "state": waiting}
    patch_status(
        cluster, "pod", namespace, by_job["status"]["metadata"]["name"],
        {"message": EVIL, "reason": EVIL, "nominatedNodeName": "", "containerStatuses": [base]},
    )  # fmt: skip
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": EVIL}]
    patch_status(
        cluster, "pod", namespace, by_job["scheduling"]["metadata"]["name"], {"message": EVIL, "conditions": conditions}
    )
    jobs = cluster.jobs(namespace)
    for number, about in enumerate([*pods, *jobs]):
        about.setdefault("kind", "Job" if about in jobs else "Pod")
        cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(event(about, number)))
    return list(specs)


def test_doctor_and_delete_show_no_line_of_a_tenants(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str, forged: list[str]
) -> None:
    for name in forged:
        ended = command_line.call("doctor", "--job", name)
        check(ended.stdout + ended.stderr, f"doctor --job {name}")
        for finding in json.loads(command_line.call("doctor", "--job", name, "--json").stdout)["diagnoses"][0][
            "findings"
        ]:
            for text in (finding["cause"], finding["next_step"]):
                assert text == "".join(letter for letter in text if letter.isprintable()), finding
        terminal = on_a_terminal(
            cluster.kubeconfig(), command_line.folder, "doctor", "-n", namespace, "--job", name, columns=80
        )
        check(terminal, f"doctor --job {name} on a terminal")
    terminal = on_a_terminal(cluster.kubeconfig(), command_line.folder, "doctor", "-n", namespace, columns=80)
    check(terminal + "FORGED", "doctor on a terminal")
    ended = command_line.call("doctor")
    check(ended.stdout + ended.stderr + "FORGED", "doctor in a pipe")
    ended = command_line.call("delete", *forged, "--include-owned")
    check(ended.stdout + ended.stderr + "FORGED", "delete")


@pytest.mark.parametrize("terminal", [False, True])
def test_run_shows_no_line_of_a_container(
    terminal: bool, command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    script = f"printf %s '{EVIL}' > /dev/termination-log; printf '%s\\n' '{EVIL}'; exit 3"
    arguments = ("--image", IMAGE, "--", "sh", "-c", script)
    if terminal:
        said = on_a_terminal(
            cluster.kubeconfig(), command_line.folder, "run", "-n", namespace, *arguments, columns=4000
        )
        # What the container printed keeps its lines; what hides is escaped.
        assert "\\x1b[2J" in said, said
        said = STYLES.sub("", said).replace("\r\n", "\n")
        # The line that turns is drawn anew, as often as there is time for it.
        said = re.sub("(?m)^.*\r", "", said)
        ours = said.partition("it said: ")[2]
        assert not {letter for letter in said if letter != "\n" and not letter.isprintable()}, said
        check(ours, "run on a terminal")
        return
    ended = command_line.run(*arguments)
    assert ended.code == 3, ended
    check(ended.stderr, "run")


def test_run_of_an_image_that_is_no_image(command_line: CommandLine) -> None:
    ended = command_line.run("--image", EVIL, "--startup-timeout", "5", "--", "true")
    assert ended.code == 125, ended
    check(ended.stderr, "run")
