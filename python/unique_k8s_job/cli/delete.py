"""`unique-k8s-job delete`: deletes Jobs, and ends with 0 only once they are gone and their work has stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from unique_k8s_job import native
from unique_k8s_job.cli.cluster_options import cluster_options, configuration
from unique_k8s_job.cli.console import MessagePrinter, stdin_is_a_terminal
from unique_k8s_job.cli.exit_codes import INTERRUPTED, OUR_ERROR, STUCK, SUCCESS
from unique_k8s_job.cli.selection import Selection, selection_options
from unique_k8s_job.cli.signals import Interrupted, waiting
from unique_k8s_job.events import events
from unique_k8s_job.exceptions import DeletionUnconfirmedError, UniqueK8sJobError
from unique_k8s_job.request.delete import (
    ONLY_IF,
    PROPAGATION_POLICIES,
    RELEASE_STUCK,
    WAIT_FOR,
    delete_request,
    sentence,
)

if TYPE_CHECKING:
    from unique_k8s_job._core import Work


@click.command()
@click.argument("name", required=False)
@click.option("--uid", help="The Job's uid: alone, or with NAME to mean no other Job of that name.")
@click.option("-l", "--selector", help="Delete all Jobs with these labels, as in `kubectl -l`.")
@selection_options
@click.option("--yes", is_flag=True, help="With --dag to --older-than: do not ask.")
@click.option("--dry-run", is_flag=True, help="With --dag to --older-than: show the Jobs, and delete none.")
@click.option("-n", "--namespace", help="Default: that of the context.")
@click.option("--wait-for", type=click.Choice(WAIT_FOR), default="gone", show_default=True)
@click.option("--timeout", type=click.IntRange(min=1), default=300, show_default=True, help="Seconds for all of it.")
@click.option(
    "--release-stuck",
    type=click.Choice(RELEASE_STUCK),
    default="ours",
    show_default=True,
    help="Release a Job that waits for the garbage collector: one of ours, any (gc), or none.",
)
@click.option(
    "--release-after", type=click.IntRange(min=0), default=60, show_default=True, help="Seconds without progress."
)
@click.option("--propagation-policy", type=click.Choice(PROPAGATION_POLICIES), default="Background", show_default=True)
@click.option("--only-if", type=click.Choice(ONLY_IF), default="any", show_default=True)
@click.option(
    "--include-owned", is_flag=True, help="Many at once also means unfinished Jobs that an Airflow task owns."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object on stdout.")
@cluster_options
def delete(
    name: str | None,
    uid: str | None,
    selector: str | None,
    namespace: str | None,
    wait_for: str,
    timeout: int,
    release_stuck: str,
    release_after: int,
    propagation_policy: str,
    only_if: str,
    include_owned: bool,
    as_json: bool,
    yes: bool,
    dry_run: bool,
    kubeconfig: str | None,
    cluster_context: str | None,
    **chosen: Any,
) -> int:
    """Delete the Job NAME and wait until it is gone and its Pods have ended.

    With --dag, --task, --run, --state or --older-than it shows the Jobs of this package that `list` shows for the same
    options in this namespace, asks, and deletes these and no others.

    Ends with 0 once all Jobs of the order are gone; with 1 if one is still there or a Pod of it may still run, and says
    what holds it; 125 if the deletion could not be tried; 130 when interrupted: deleted Jobs stay deleted. With --json,
    `gone` is true only if no Job was skipped and no Pod stays.
    """
    printer = MessagePrinter(elsewhere=not as_json)
    selection = Selection(**chosen)
    _check(selection, named=bool(name or uid or selector), yes=yes, dry_run=dry_run, as_json=as_json)
    try:
        cluster, uids = native.Cluster(configuration(kubeconfig, cluster_context)), None
        if selection:
            with waiting():
                listing = selection.listing(cluster, namespace or cluster.namespace())
            namespace = listing["namespace"]
            if not _wanted(listing, printer, yes=yes, dry_run=dry_run, as_json=as_json):
                return SUCCESS
            uids = [job["uid"] for job in listing["jobs"]]
        request = delete_request(
            name=name,
            uid=uid,
            label_selector=selector,
            namespace=namespace,
            wait_for=wait_for,
            timeout=timeout,
            release_stuck=release_stuck,
            release_after_seconds=release_after,
            propagation_policy=propagation_policy,
            only_if=only_if,
            include_owned=include_owned,
            uids=uids,
        )
        with waiting():
            work = native.delete_jobs(cluster, request)
            done = _follow(work, printer, gone=wait_for == "gone")
    except Interrupted:
        printer.message(
            "Interrupted: deleted Jobs stay deleted, and Jobs whose deletion was accepted may still go", "warning"
        )
        return INTERRUPTED
    except UniqueK8sJobError as error:
        printer.message(str(error), "error")
        if as_json:
            click.echo(json.dumps({"gone": False, "error": str(error), **error.facts}))
        return STUCK if isinstance(error, DeletionUnconfirmedError) else OUR_ERROR
    if as_json:
        gone = wait_for == "gone" and not done["skipped"] and not done["pods_kept"]
        click.echo(json.dumps({"gone": gone, **done}))
    return SUCCESS


def _check(selection: Selection, *, named: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Refuse options that do not go together, before anything is asked."""
    if not selection:
        if yes or dry_run:
            raise click.UsageError("--yes and --dry-run go with --dag, --task, --run, --state and --older-than")
        return
    if named:
        raise click.UsageError("give either NAME, --uid or --selector, or --dag, --task, --run, --state, --older-than")
    if not yes and not dry_run and (as_json or not stdin_is_a_terminal()):
        raise click.UsageError("nobody is there to answer the question what to delete: add --yes, or --dry-run")


def _wanted(listing: dict[str, Any], printer: MessagePrinter, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show which Jobs would be deleted, and return whether they shall be."""
    jobs = listing["jobs"]
    if as_json and (dry_run or not jobs):
        click.echo(json.dumps({"gone": False, "deleted": [], "would_delete": [job["name"] for job in jobs]}))
    elif not as_json:
        from unique_k8s_job.cli.doctor_text import DoctorText
        from unique_k8s_job.cli.jobs_text import show_jobs

        show_jobs(listing, DoctorText())
    if not jobs or dry_run:
        return False
    if yes or click.confirm(
        f"Delete {'this Job' if len(jobs) == 1 else f'these {len(jobs)} Jobs'}?", default=False, err=True
    ):
        return True
    printer.message("Nothing was deleted")
    return False


def _follow(work: Work, printer: MessagePrinter, *, gone: bool) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for event in events(work):
        if event["kind"] == "message":
            printer.message(event["text"], event["level"])
        elif event["kind"] == "deleted":
            printer.message(sentence(event, gone=gone))
        else:
            done = {key: value for key, value in event.items() if key != "kind"}
    return done
