"""`unique-k8s-job doctor` as a cron job and a person use it: exit codes, JSON, questions, rights that are missing."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest
import yaml

import doctor
from command_line import CommandLine, container, finish, job_spec
from one_node_cluster import Object, OneNodeCluster, names
from roles import SHIPPED, rules_without

ENDLESS = "trap 'exit 0' TERM; sleep 1000 & wait"


def job(name: str, **fields: Any) -> Object:
    spec = job_spec(container("base", ENDLESS, **fields))
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def rights(*grants: tuple[str, str, str]) -> list[Object]:
    """Rules from triples of group, resource and verb."""
    return [{"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in grants]


def test_healthy_job_has_no_findings_and_the_command_ends_with_0(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("well"), namespace=namespace)
    cluster.wait_until_running(namespace)
    report = doctor.look(command_line)
    assert report["diagnoses"] == [] and report["jobs"] == 1 and report["stuck"] == 0, report
    assert report["schema_version"] == 1 and report["namespace"] == namespace and report["unknown"] == [], report
    one = doctor.look(command_line, "--job", "well")
    assert doctor.findings(one, "well") == [], one
    shown = command_line.call("doctor")
    assert shown.code == 0 and f"1 Job in namespace {namespace}, fine" in shown.stdout, shown


def test_namespace_and_job_that_do_not_exist_are_errors_that_name_them(command_line: CommandLine) -> None:
    ended = command_line.call("doctor", "--namespace", "no-such-namespace", "--json")
    assert ended.code == 125 and "`no-such-namespace` does not exist" in ended.stderr, ended
    assert json.loads(ended.stdout)["schema_version"] == 1, ended
    ended = command_line.call("doctor", "--job", "no-such-job")
    assert ended.code == 125 and "no-such-job" in ended.stderr, ended


@pytest.mark.parametrize(
    "options",
    [("--fix", "--watch"), ("--json", "--watch"), ("--json", "--fix"), ("--rbac", "--job", "x"), ("--all-namespaces",)],
)
def test_options_that_do_not_go_together_are_a_wrong_call(command_line: CommandLine, options: tuple[str, ...]) -> None:
    ended = command_line.call("doctor", *options)
    assert ended.code == 125 and "Usage" in ended.stderr, ended


def test_without_any_right_the_verb_is_named_and_it_ends_with_125(command_line_of_airflow: CommandLine) -> None:
    ended = command_line_of_airflow.call("doctor")
    assert ended.code == 125 and "list" in ended.stderr and "jobs.batch" in ended.stderr, ended


@pytest.mark.parametrize(
    ("resource", "verb"), [("pods", "list"), ("events", "list"), ("nodes", "list"), ("namespaces", "get")]
)
def test_right_that_is_missing_is_said_and_everything_else_is_found(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str, resource: str, verb: str
) -> None:
    cluster.allow(namespace, rules_without(resource, verb))
    suspended = job("asleep")
    suspended["spec"]["suspend"] = True
    cluster.apply(suspended, job("cpu", resources={"requests": {"cpu": "1000"}}), job("runs"), namespace=namespace)
    cluster.wait_until_running(namespace)
    report = doctor.look(command_line_of_airflow)
    assert f"unknown: no right to {verb} {resource}" in report["unknown"], report
    assert doctor.find(report, "asleep", "suspended"), report
    if resource != "pods":
        assert doctor.find(report, "cpu", "unschedulable"), report


def test_jobs_alone_are_enough_to_look(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rights(("batch", "jobs", "list"), ("batch", "jobs", "get")))
    cluster.apply(job("runs"), namespace=namespace)
    cluster.wait_until_running(namespace)
    assert doctor.look(command_line_of_airflow)["stuck"] == 0
    one = doctor.look(command_line_of_airflow, "--job", "runs")
    assert {"unknown: no right to list pods", "unknown: no right to list events"} <= set(one["unknown"]), one


def test_namesake_that_was_made_since_is_left_alone_by_the_fix(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("twice"), namespace=namespace)
    first = cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "job", "twice", "-n", namespace, "--cascade=orphan")
    cluster.apply(job("twice"), namespace=namespace)
    found = doctor.wait_for(command_line, {("twice", "pods-of-vanished-job")}, seconds=60)
    finding = found["twice", "pods-of-vanished-job"]
    second = cluster.the_job(namespace)["metadata"]["uid"]
    assert finding["object"]["uid"] != second and first["metadata"]["name"] in finding["cause"], finding
    fixed = doctor.fix(command_line, "twice")
    assert fixed.code == 0, fixed
    assert [one["metadata"]["uid"] for one in cluster.jobs(namespace)] == [second], "the namesake is not touched"
    left = [pod["metadata"]["uid"] for pod in cluster.find("pods", namespace)]
    assert first["metadata"]["uid"] not in left and len(left) == 1, left


def test_fix_without_the_right_to_delete_pods_names_it(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.allow(namespace, rules_without("pods", "delete"))
    cluster.apply(job("left"), namespace=namespace)
    cluster.wait_until_running(namespace)
    cluster.kubectl("delete", "job", "left", "-n", namespace, "--cascade=orphan")
    doctor.wait_for(command_line_of_airflow, {("left", "pods-of-vanished-job")}, seconds=60)
    asked = command_line_of_airflow.call("doctor", "--fix")
    assert asked.code == 125 and "--yes" in asked.stderr and "Plan" in asked.stdout, asked
    fixed = doctor.fix(command_line_of_airflow, "left")
    assert fixed.code == 1 and "verb `delete` on `pods`" in fixed.stderr and "0 of 1 done" in fixed.stderr, fixed
    assert len(names(cluster.find("pods", namespace))) == 1


def test_watch_looks_until_it_is_interrupted(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    cluster.apply(job("cpu", resources={"requests": {"cpu": "1000"}}), namespace=namespace)
    doctor.wait_for(command_line, {("cpu", "unschedulable")}, seconds=30)
    call = command_line.begin("doctor", "--watch")
    try:
        call.wait(8)
        raise AssertionError("it ended by itself")
    except subprocess.TimeoutExpired:
        call.send_signal(signal.SIGINT)
    ended = finish(call, seconds=20)
    assert ended.code == 130 and "unschedulable" in ended.stdout, ended


def test_rbac_prints_the_role_that_makes_it_content(
    command_line_of_airflow: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    lacking = command_line_of_airflow.call("doctor", "--rbac")
    assert lacking.code == 1 and "MISSING" in lacking.stderr and "identity: airflow" in lacking.stderr, lacking
    cluster.kubectl("apply", "-f", "-", stdin=lacking.stdout)
    content = command_line_of_airflow.call("doctor", "--rbac", "--json")
    report = json.loads(content.stdout)
    assert content.code == 0 and report["missing"] == 0 and report["user"] == "airflow", content
    optional = {(r["resource"], r["verb"]): r["allowed"] for r in report["rights"] if r["need"] == "optional"}
    assert not optional["nodes", "get"], optional


def test_rights_that_are_asked_for_are_those_of_the_shipped_role(command_line: CommandLine, namespace: str) -> None:
    asked = json.loads(command_line.call("doctor", "--rbac", "--json").stdout)
    needed = {(r["group"], r["resource"], r["verb"]) for r in asked["rights"] if r["need"] == "required"}
    role = next(yaml.safe_load_all(SHIPPED))
    shipped = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert needed == shipped
