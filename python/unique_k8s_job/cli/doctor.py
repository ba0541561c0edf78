"""`unique-k8s-job doctor`: says which Jobs are stuck, why, and what to do, and does on order what it can do.

It examines any Job, whoever made it, and changes nothing. `--fix` asks first, and touches only what it has shown.
`docs/doctor.md` has the JSON and the exit codes, `docs/stuck.md` each way to be stuck.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from unique_k8s_job import native
from unique_k8s_job.cli.cluster_options import cluster_options, configuration
from unique_k8s_job.cli.console import MessagePrinter, stdin_is_a_terminal
from unique_k8s_job.cli.doctor_json import SCHEMA_VERSION, JsonReport
from unique_k8s_job.cli.doctor_text import DoctorText, UnderWay
from unique_k8s_job.cli.exit_codes import OUR_ERROR, STUCK, SUCCESS
from unique_k8s_job.cli.signals import waiting
from unique_k8s_job.exceptions import UniqueK8sJobError

if TYPE_CHECKING:
    from unique_k8s_job._core import Cluster

#: Seconds between two examinations of `--watch`.
EXAMINE_EVERY = 5.0
#: Seconds to confirm one remedy: twice the usual grace period of a Pod.
CONFIRM_FOR = 60.0

Report = dict[str, Any]


@click.command()
@click.option("-n", "--namespace", help="Default: that of the context.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Examine the Jobs of all namespaces.")
@click.option("--job", metavar="NAME", help="Say what became of this Job, and show all findings about it.")
@click.option("--watch", is_flag=True, help="Examine again every few seconds until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--fix", is_flag=True, help="Show what can be done from here, ask, do it, and confirm it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--rbac", is_flag=True, help="Show which rights this identity has and lacks, and the Role to apply.")
@cluster_options
def doctor(
    namespace: str | None,
    all_namespaces: bool,
    job: str | None,
    watch: bool,
    as_json: bool,
    fix: bool,
    yes: bool,
    rbac: bool,
    kubeconfig: str | None,
    cluster_context: str | None,
) -> int:
    """Say which Jobs are stuck, why, and what to do. Works for any Job.

    Ends with 0 if nothing is stuck, 1 if something is (with --fix: still is; with --rbac: if a needed right is
    missing), 125 if the Jobs could not be read, 130 when interrupted.
    """
    _check(
        all_namespaces=all_namespaces, namespace=namespace, job=job, watch=watch, as_json=as_json, fix=fix, rbac=rbac
    )
    printer = MessagePrinter(elsewhere=not as_json)
    written = JsonReport(cast("TextIO", printer.streams.out)) if as_json else None
    try:
        with waiting():
            cluster = native.Cluster(configuration(kubeconfig, cluster_context))
            place = cluster.namespace() if namespace is None and not all_namespaces else namespace
            if rbac and place is not None:
                return _rbac(native.rights(cluster, place), as_json=as_json)
            if watch:
                return _watch(cluster, place, job)
            if written:
                return _verdict(_as_json(examine(cluster, place, job), written))
            text = DoctorText()
            report = _as_text(examine(cluster, place, job), text, text.begin(whole=job is not None or fix))
            return _fix(cluster, place, job, report, printer, yes=yes) if fix else _verdict(report)
    except UniqueK8sJobError as error:
        printer.message(str(error), "error")
        if written:
            written.fail(error)
        return OUR_ERROR


def examine(cluster: Cluster, namespace: str | None, job: str | None) -> Iterator[Report]:
    """Examine once; yield parts of the JSON report as they are found, each with `time`, the last with the totals.

    :param namespace: None for all
    :param job: the name of the only Job to examine
    :raises UniqueK8sJobError: if the Jobs could not be read, or there is no such Job
    """
    if job is None or namespace is None:  # one Job is of one namespace
        survey = native.Survey(cluster, namespace)
        while piece := survey.next():
            yield json.loads(piece)
        return
    report: Report = json.loads(native.examine_job(cluster, namespace, job))
    if not report["diagnoses"]:
        raise UniqueK8sJobError(
            f"There is no Job `{namespace}/{job}`, and no Pod that one of this name has left behind",
            hint=shlex.join(["kubectl", "-n", str(namespace), "get", "jobs"]),
        )
    yield report


def _as_json(pieces: Iterator[Report], written: JsonReport) -> Report:
    """Write a report as it comes, and return its totals."""
    totals: Report = {}
    for piece in pieces:
        totals = piece
        for diagnosis in totals.pop("diagnoses", []):
            written.add(diagnosis)
    written.end(totals)
    return totals


def _as_text(pieces: Iterator[Report], text: DoctorText, under_way: UnderWay) -> Report:
    """Show a report as it comes, and return its totals, with the diagnoses that have a remedy."""
    totals: Report = {}
    curable: list[Report] = []
    for piece in pieces:
        totals = piece
        diagnoses = totals.pop("diagnoses", [])
        if report := totals.pop("report", None):
            under_way.report(report, totals["time"])
        under_way.add(diagnoses, totals["time"])
        curable += [one for one in diagnoses if any(finding["remedy"] for finding in one["findings"])]
    text.finish(under_way, totals)
    return {**totals, "diagnoses": curable}


def _check(*, all_namespaces: bool, namespace: str | None, job: str | None, **flags: bool) -> None:
    if all_namespaces and (namespace or job or flags["rbac"]):
        raise click.UsageError("--all-namespaces goes with neither --namespace nor --job nor --rbac")
    chosen = [f"--{name}" for name in ("watch", "fix", "rbac") if flags[name]]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} do not go together")
    if flags["as_json"] and (flags["watch"] or flags["fix"]):
        raise click.UsageError("--json goes with neither --watch nor --fix")
    if flags["rbac"] and job:
        raise click.UsageError("--rbac is about a namespace, not about one --job")


def _verdict(report: Report) -> int:
    return STUCK if report["stuck"] else SUCCESS


def _watch(cluster: Cluster, place: str | None, job: str | None) -> int:
    from rich.live import Live

    text = DoctorText()
    with Live(console=text.console, auto_refresh=False) as live:
        while True:
            try:
                shown = text.page(examine(cluster, place, job), whole=job is not None)
            except UniqueK8sJobError as error:
                # The watch goes on: a user may be watching just because the API server is away for a while.
                shown = text.trouble(str(error))
            live.update(shown, refresh=True)
            time.sleep(EXAMINE_EVERY)


def _fix(
    cluster: Cluster, place: str | None, job: str | None, report: Report, printer: MessagePrinter, *, yes: bool
) -> int:
    plan = _plan(report)
    if not plan:
        printer.message(
            "Nothing of this can be put right from here" if report["stuck"] else "There is nothing to put right"
        )
        return _verdict(report)
    DoctorText().plan([step["words"] for step in plan.values()])
    if not yes:
        if not stdin_is_a_terminal():
            raise click.UsageError("--fix asks before it does anything, and nobody is there to answer: add --yes")
        if not click.confirm("Do this?", default=False, err=True):
            printer.message("Nothing was changed")
            return _verdict(report)
    failed = 0
    for step in plan.values():
        try:
            carried = native.remedy(cluster, {"remedy": step["remedy"], "job": step["job"]}, CONFIRM_FOR)
            failed += not carried["done"]
            printer.message(carried["text"], "info" if carried["done"] else "warning")
        except UniqueK8sJobError as error:
            failed += 1
            printer.message(str(error), "error")
    printer.message(f"{len(plan) - failed} of {len(plan)} done", "warning" if failed else "info")
    if left := _stuck(cluster, place, job):
        printer.message(f"{left} still stuck: run doctor again, or follow the next steps above", "warning")
    return STUCK if failed or left else SUCCESS


def _stuck(cluster: Cluster, place: str | None, job: str | None) -> int:
    """Examine again, and return how many are stuck. A Job that is gone by now is not stuck."""
    if job is not None and place is not None:
        return int(json.loads(native.examine_job(cluster, place, job))["stuck"])
    totals: Report = {"stuck": 0}
    for totals in examine(cluster, place, None):  # the last one counts
        pass
    return int(totals["stuck"])


def _plan(report: Report) -> dict[tuple[str, str], dict[str, Any]]:
    """Return each remedy for each Job once, in the order of the findings."""
    words = {
        "release-gc-finalizers": "free {job} (uid {uid}) by a second DELETE with propagationPolicy Background",
        "delete-ownerless-pods": "delete the Pods that {job} (uid {uid}), which is gone, has left behind",
    }
    plan: dict[tuple[str, str], dict[str, Any]] = {}
    for diagnosis in report["diagnoses"]:
        job = diagnosis["job"]
        for finding in diagnosis["findings"]:
            remedy = finding["remedy"]
            if not remedy:
                continue
            name = f"Job {job['namespace']}/{job['name']}"
            told = words[remedy].format(job=name, uid=job["uid"])
            if running := finding["running"]:
                told += f"; these Pods of it go on without an owner, or are ended: {', '.join(running)}"
            plan.setdefault((remedy, job["uid"]), {"remedy": remedy, "job": job, "words": told})
    return plan


def _rbac(rights: dict[str, Any], *, as_json: bool) -> int:
    missing = [right for right in rights["rights"] if right["need"] == "required" and not right["allowed"]]
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "missing": len(missing), **rights}))
    else:
        text = DoctorText(stderr=True)
        text.rights(rights)
        click.echo(role(rights), nl=False)
    return STUCK if missing else SUCCESS


def role(rights: dict[str, Any]) -> str:
    """Return the Role and RoleBinding, as YAML, that give this identity what it needs in this namespace."""
    import yaml

    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights["rights"]:
        if right["need"] == "required":
            verbs.setdefault((right["group"], right["resource"]), []).append(right["verb"])
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": v} for (group, resource), v in verbs.items()]

    def metadata() -> dict[str, str]:
        return {"name": "unique-k8s-job", "namespace": rights["namespace"]}

    group = "rbac.authorization.k8s.io"
    objects = [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata(), "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata(),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "unique-k8s-job"},
            "subjects": [_subject(rights["user"])],
        },
    ]
    written: str = yaml.safe_dump_all(objects, sort_keys=False)
    return written


def _subject(user: str | None) -> dict[str, str]:
    if user is None:
        return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "CHANGE-ME"}
    kind, _, rest = user.removeprefix("system:").partition(":")
    if user.startswith("system:serviceaccount:") and kind == "serviceaccount":
        namespace, _, name = rest.partition(":")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
