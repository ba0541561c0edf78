"""Jobs that wait in a queue of Kueue: made suspended, followed through admission and eviction, explained while they wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import doctor
from command_line import CommandLine, container, finish, job_spec
from native_run import Follower, request
from one_node_cluster import Object, OneNodeCluster
from roles import shipped_rules
from stand_in_kueue import NO_QUOTA, PREEMPTED, StandInKueue, StandInVisibility
from stuck_table import saw, still_grows
from waiting import until

CODE = "kueue-not-admitted"
LABEL = "kueue.x-k8s.io/queue-name"


@pytest.fixture
def kueue(cluster: OneNodeCluster, namespace: str) -> StandInKueue:
    return StandInKueue(cluster, namespace)


def test_job_is_made_suspended_and_followed_through_admission_eviction_and_admission(
    kueue: StandInKueue, cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    # A Pod ends once the file is there: that of the first admission does not.
    base = container("base", "echo begun; until [ -e /shared/go ]; do sleep 1; done",
                     volumeMounts=[{"name": "shared", "mountPath": "/shared"}])  # fmt: skip
    shared = {"name": "shared", "hostPath": {"path": str(tmp_path)}}
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "spec": job_spec(base, pod={"volumes": [shared]})}
    wanted = {**request(namespace, ""), "manifest": manifest, "arguments": {}, "queue_name": "team-a"}
    events = Follower.events(Follower(cluster.kubeconfig()).start(wanted))

    def said(words: str) -> str:
        return next(str(event) for event in events if words in str(event))

    job = cluster.the_job(namespace)
    assert (job["spec"]["suspend"], job["metadata"]["labels"][LABEL]) == (True, "team-a")
    assert LABEL not in job["spec"]["template"]["metadata"]["labels"]
    said("waits in the queue `team-a`: ")
    kueue.sees(job)
    kueue.refuses(job)
    said(f"waits in the queue `team-a`: {NO_QUOTA}")
    kueue.admits(job)
    said("begun")
    kueue.evicts(job)
    said(f"waits in the queue `team-a`: Kueue has evicted it (Preempted: {PREEMPTED}); {NO_QUOTA}")
    (tmp_path / "go").touch()
    kueue.admits(job)
    outcome = [event for event in events if event["kind"] == "outcome"]
    assert outcome[0]["state"] == "succeeded", outcome
    assert len(cluster.jobs(namespace)) == 1


def test_queue_timeout_fails_with_what_kueue_says_and_deletes_the_job(
    command_line: CommandLine, kueue: StandInKueue, cluster: OneNodeCluster, namespace: str
) -> None:
    call = command_line.start_shell("true", "--queue", "team-b", "--queue-timeout", "15", "--startup-timeout", "1")
    job = cluster.the_job(namespace)
    kueue.sees(job)
    kueue.refuses(job, "LocalQueue team-b doesn't exist", "Inadmissible")
    ended = finish(call)
    head = next(line for line in ended.stderr.splitlines() if "did not start: " in line)
    assert "Kueue cannot admit it: LocalQueue team-b doesn't exist" in head, ended
    assert "(queue_timeout_seconds)" in ended.stderr and ended.code == 125, ended
    assert not cluster.jobs(namespace)


def test_doctor_says_why_kueue_does_not_admit_a_job(
    command_line: CommandLine, kueue: StandInKueue, cluster: OneNodeCluster, namespace: str
) -> None:
    def queued(name: str) -> Object:
        spec = {**job_spec(container("base", "true")), "suspend": True}
        metadata = {"name": name, "labels": {LABEL: "team-a"}}
        cluster.apply(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}, namespace=namespace
        )
        return next(job for job in cluster.jobs(namespace) if job["metadata"]["name"] == name)

    rows: list[tuple[str, str, str, str]] = [
        ("queued", "Job that Kueue has not admitted", "a Workload without quota", "info"),
        ("lost", "Job in a queue that does not exist", "a Workload of a LocalQueue that is not there", "blocking"),
        ("evicted", "Job that Kueue has evicted", "a Workload that was preempted", "info"),
        ("unseen", "Job that Kueue does not see", "the label of a queue, and no Workload", "blocking"),
    ]
    jobs: dict[str, Any] = {name: queued(name) for name, *_ in rows}
    for name in ("queued", "lost", "evicted"):
        kueue.sees(jobs[name])
    kueue.refuses(jobs["queued"])
    kueue.refuses(jobs["lost"], "LocalQueue team-a doesn't exist", "Inadmissible")
    kueue.evicts(jobs["evicted"])
    said = {name: (way, severity) for name, way, _, severity in rows}

    def lacks(job: str, finding: doctor.Finding) -> list[str]:
        way, severity = said[job]
        missing = [] if finding["severity"] == severity else [severity]
        return missing + (["what the page says"] if still_grows(way, finding) else [])

    found = doctor.wait_for(command_line, {(name, CODE) for name in said}, seconds=60, lacks=lacks)
    for name, way, how, severity in rows:
        of_all, of_one = found[name, CODE], doctor.find(doctor.look(command_line, "--job", name), name, CODE)
        assert of_one and of_one["cause"] == of_all["cause"], (of_one, of_all)
        assert "workloads,localqueues" in of_all["next_step"], of_all
        fix = "nothing: this is normal" if severity == "info" else "nothing: fix it yourself, see next"
        saw(way, how, of_all, fix)


@pytest.mark.breaks_the_cluster  # without its APIService no namespace of another test could be deleted
def test_place_in_the_queue_is_told_while_the_job_waits_to_those_who_may_read_it(
    kueue: StandInKueue, cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    def doctor_says(words: str, user: str) -> None:
        """A Role counts a moment after it was written."""
        call = CommandLine(cluster.kubeconfig(user), namespace, tmp_path)
        until(f"{words} for {user}", lambda: words in call.call("doctor", "--json").stdout, seconds=60)

    with StandInVisibility(cluster, namespace, tmp_path) as visibility:
        visibility.waiting["team-a"] = ["u1", "u2"]
        wanted = {**request(namespace, "echo begun"), "queue_name": "team-a"}
        events = Follower.events(Follower(cluster.kubeconfig()).start(wanted))

        def said(words: str) -> str:
            return next(str(event) for event in events if words in str(event))

        job = cluster.the_job(namespace)
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        visibility.waiting["team-a"].append(uid)
        kueue.sees(job)
        kueue.refuses(job)
        said(f"waits at place 3 of 3 in the queue `team-a`: {NO_QUOTA}")
        visibility.waiting["team-a"] = [uid, "u3"]
        said(f"waits at place 1 of 2 in the queue `team-a`: {NO_QUOTA}")
        doctor_says(f"waits at place 1 of 2 in the queue `team-a`: {NO_QUOTA}", "admin")

        # Who may read Workloads and not the queue hears what Kueue says, and not a word more.
        workloads = {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["list"]}
        cluster.allow(namespace, [*shipped_rules(), workloads])
        doctor_says(f"{name}` waits in the queue `team-a`: {NO_QUOTA}", "airflow")
        assert len(visibility.asked_by) == 1, visibility.asked_by
        queues = {
            "apiGroups": ["visibility.kueue.x-k8s.io"],
            "resources": ["localqueues/pendingworkloads"],
            "verbs": ["get"],
        }
        cluster.allow(namespace, [*shipped_rules(), queues])
        doctor_says("waits at place 1 of 2 in the queue `team-a`: Kueue has not admitted it yet", "airflow")
        assert len(visibility.asked_by) == 2 and "airflow" in visibility.asked_by, visibility.asked_by

        visibility.waiting["team-a"] = ["u3"]
        kueue.admits(job)
        assert next(event for event in events if event["kind"] == "outcome")["state"] == "succeeded"
