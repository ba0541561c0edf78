"""A manifest means here what it means for kubectl; what cannot be run is refused by the name of its field, and nothing is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from command_line import CommandLine, Ended, container, job_spec
from one_node_cluster import IMAGE, OneNodeCluster
from roles import rules_without

RAN = container("base", "echo ran")


def job(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec or job_spec(RAN)}


def cron_job(name: str, spec: dict[str, Any] | None = None, **template_metadata: Any) -> dict[str, Any]:
    template = {"metadata": template_metadata, "spec": spec or job_spec(RAN)}
    spec = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": template}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def run(command_line: CommandLine, manifest: Any, *options: str) -> Ended:
    file = command_line.folder / "manifest.json"
    file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return command_line.run("--manifest", str(file), *options)


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 125, ended
    for word in words:
        assert word in ended.stderr, ended


def test_fields_that_are_unknown_or_misplaced_are_all_named_and_nothing_is_made(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    spec = job_spec(RAN, pod={"backoffLimit": 0}, ttlSecondsAfterFinish=60)
    refused(
        run(command_line, job(spec)),
        "field `spec.template.spec.backoffLimit` is not known here: it belongs to `spec`",
        "field `spec.ttlSecondsAfterFinish` is not known here: did you mean `ttlSecondsAfterFinished`?",
    )
    assert cluster.jobs(namespace) == []
    warned = run(command_line, job(spec), "--field-validation", "warn")
    assert (warned.code, warned.stdout) == (0, "ran\n"), warned
    for field in ("spec.template.spec.backoffLimit", "spec.ttlSecondsAfterFinish"):
        assert warned.stderr.count(f'The API server warns: unknown field "{field}"') == 1, warned
    ignored = run(command_line, job(spec), "--field-validation", "ignore")
    assert (ignored.code, ignored.stdout) == (0, "ran\n"), ignored
    assert "unknown field" not in ignored.stderr, ignored


def test_warning_of_pod_security_is_said_once(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    label = "pod-security.kubernetes.io/warn=restricted"
    cluster.kubectl("label", "namespace", namespace, label)
    ended = run(command_line, job())
    assert ended.code == 0, ended
    assert ended.stderr.count("would violate PodSecurity") == 1, ended


@pytest.mark.parametrize(("ttl", "kept"), [("120", 120), (120.0, 120), (" 120\n", 120)])
def test_ttl_that_a_template_has_written_counts(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str, ttl: Any, kept: int
) -> None:
    ended = run(command_line, job(job_spec(RAN, ttlSecondsAfterFinished=ttl)))
    assert (ended.code, ended.stdout) == (0, "ran\n"), ended
    assert [made["spec"]["ttlSecondsAfterFinished"] for made in cluster.jobs(namespace)] == [kept]


def test_what_is_of_a_wrong_type_is_refused_by_its_path(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    wrong: list[Any] = [-1, "-1", {}, 1.5, "a day"]
    for ttl in wrong:
        refused(run(command_line, job(job_spec(RAN, ttlSecondsAfterFinished=ttl))), "spec.ttlSecondsAfterFinished")
    refused(run(command_line, job(name="where", namespace=20261)), "metadata.namespace", "`20261`", "quotes")
    refused(run(command_line, job(labels={"version": 1.5})), "metadata.labels[version]", "`1.5`")
    refused(run(command_line, job(job_spec(RAN, pod={"restartPolicy": ["Never"]}))), "spec.template.spec.restartPolicy")
    assert cluster.jobs(namespace) == []


def test_null_is_absent(command_line: CommandLine) -> None:
    nulls = """
apiVersion: batch/v1
kind: Job
metadata:
  name: nulls
  generateName:
  namespace:
  labels:
  annotations:
spec:
  backoffLimit:
  ttlSecondsAfterFinished:
  selector:
  manualSelector:
  template:
    metadata:
    spec:
      restartPolicy:
      volumes:
      containers:
        -
        - name:
          image: IMAGE
          command: [echo, ran]
          env:
          args:
""".replace("IMAGE", IMAGE)
    ended = run(command_line, nulls, "--env", "A=1")
    assert (ended.code, ended.stdout) == (0, "ran\n"), ended
    assert "/nulls-" in ended.stderr, ended


def test_generate_name_begins_the_name_and_a_name_outside_ascii_can_be_read(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    assert run(command_line, job(generateName="nightly-etl-")).code == 0
    assert run(command_line, job(), "--name", " größe_报告 ").code == 0
    names = sorted(made["metadata"]["name"] for made in cluster.jobs(namespace))
    assert [name.rsplit("-", 2)[0] for name in names] == ["grosse-bao-gao", "nightly-etl"]


def test_cron_job_is_run_once_by_its_template(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    ended = run(command_line, cron_job("nightly", labels={"team": "a"}, annotations={"note": "b"}))
    assert (ended.code, ended.stdout) == (0, "ran\n"), ended
    assert "CronJob `nightly`: its jobTemplate is run once" in ended.stderr, ended
    (made,) = cluster.jobs(namespace)
    metadata = made["metadata"]
    assert metadata["name"].startswith("nightly-")
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["note"] == "b"
    assert metadata["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    misplaced = cron_job("nightly")
    misplaced["spec"]["backoffLimit"] = 0
    refused(run(command_line, misplaced), "field `spec.backoffLimit`", "`spec.jobTemplate.spec`")


def test_list_is_its_one_job_and_more_are_refused_by_their_names(
    cluster: OneNodeCluster, command_line: CommandLine, namespace: str
) -> None:
    def listed(*items: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "List", "items": list(items)}

    ended = run(command_line, listed(job(name="only")))
    assert (ended.code, ended.stdout) == (0, "ran\n"), ended
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    refused(run(command_line, listed(job(name="one"), cron_job("two"))), "Job `one`, CronJob `two`")
    refused(run(command_line, listed(settings, job(name="one"))), "ConfigMap `settings`", "would not be made")
    refused(run(command_line, {"kind": "Pod", "spec": {}}), "`kind: Job`")
    assert len(cluster.jobs(namespace)) == 1


def test_cron_job_of_the_cluster_is_run_once_where_it_may_be_read(
    cluster: OneNodeCluster, command_line: CommandLine, command_line_of_airflow: CommandLine, namespace: str
) -> None:
    cluster.apply(
        cron_job("nightly", job_spec(RAN, ttlSecondsAfterFinished=300), labels={"team": "a"}), namespace=namespace
    )
    ended = command_line.run("--from-cron-job", "nightly", "--backoff-limit", "2")
    assert (ended.code, ended.stdout) == (0, "ran\n"), ended
    (made,) = cluster.jobs(namespace)
    assert made["metadata"]["name"].startswith("nightly-")
    assert made["metadata"]["labels"]["team"] == "a"
    assert (made["spec"]["backoffLimit"], made["spec"]["ttlSecondsAfterFinished"]) == (2, 300)
    assert "ownerReferences" not in made["metadata"]

    refused(command_line.run("--from-cron-job", "weekly"), f"CronJob `{namespace}/weekly` does not exist")
    refused(
        run(command_line, job(), "--from-cron-job", "nightly"), "`manifest` and `from_cron_job` both say what is run"
    )
    rules = rules_without("", "")
    cluster.allow(namespace, rules)
    refused(command_line_of_airflow.run("--from-cron-job", "nightly"), "verb `get` on `cronjobs.batch`")
    cluster.allow(namespace, [*rules, {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["get"]}])
    allowed = command_line_of_airflow.run("--from-cron-job", "nightly")
    assert (allowed.code, allowed.stdout) == (0, "ran\n"), allowed
