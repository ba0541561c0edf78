"""`unique-k8s-job list`: the Jobs of this package, what each is at, and which task made it. Changes nothing."""

from __future__ import annotations

import json
from typing import Any

import click

from unique_k8s_job import native
from unique_k8s_job.cli.cluster_options import cluster_options, configuration
from unique_k8s_job.cli.console import MessagePrinter
from unique_k8s_job.cli.doctor_json import SCHEMA_VERSION
from unique_k8s_job.cli.exit_codes import OUR_ERROR, SUCCESS
from unique_k8s_job.cli.selection import Selection, selection_options
from unique_k8s_job.cli.signals import waiting
from unique_k8s_job.exceptions import UniqueK8sJobError


@click.command("list")
@selection_options
@click.option("-n", "--namespace", help="Default: that of the context.")
@click.option("-A", "--all-namespaces", is_flag=True, help="List the Jobs of all namespaces.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@cluster_options
def list_command(
    namespace: str | None,
    all_namespaces: bool,
    as_json: bool,
    kubeconfig: str | None,
    cluster_context: str | None,
    **chosen: Any,
) -> int:
    """List the Jobs that Airflow tasks and `run` have made, oldest first.

    Ids are whole and exact. Ends with 0, also where no Job fits; with 125 if the Jobs could not be read.
    """
    if all_namespaces and namespace:
        raise click.UsageError("--all-namespaces does not go with --namespace")
    printer = MessagePrinter(elsewhere=not as_json)
    try:
        with waiting():
            cluster = native.Cluster(configuration(kubeconfig, cluster_context))
            place = None if all_namespaces else namespace or cluster.namespace()
            listing = Selection(**chosen).listing(cluster, place)
    except UniqueK8sJobError as error:
        printer.message(str(error), "error")
        if as_json:
            click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "error": str(error), **error.facts}))
        return OUR_ERROR
    if as_json:
        click.echo(json.dumps(listing))
    else:
        from unique_k8s_job.cli.doctor_text import DoctorText
        from unique_k8s_job.cli.jobs_text import show_jobs

        show_jobs(listing, DoctorText())
    return SUCCESS
