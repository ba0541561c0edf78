"""Kueue's part in the life of a Job, played by a test: the kind Workload, and what Kueue writes to Workloads and Jobs.

Promise: the objects are those of a real API server, with the labels and conditions that Kueue documents. Nothing acts by
itself, so a test decides when a Job is refused, admitted and evicted.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

from one_node_cluster import Object, OneNodeCluster
from waiting import until

GROUP = "kueue.x-k8s.io"
NO_QUOTA = (
    "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default-flavor, 2 more needed"
)
PREEMPTED = "Preempted to accommodate a workload of a higher priority"


class StandInKueue:
    """What Kueue does in one namespace."""

    def __init__(self, cluster: OneNodeCluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        whole = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1beta1", "served": True, "storage": True, "subresources": {"status": {}},
                   "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": whole, "status": whole}}}}  # fmt: skip
        names = {"plural": "workloads", "singular": "workload", "kind": "Workload", "listKind": "WorkloadList"}
        cluster.apply({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"workloads.{GROUP}",
                         "annotations": {"api-approved.kubernetes.io": "unapproved, only for tests"}},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
        })  # fmt: skip
        cluster.kubectl("wait", "--for=condition=Established", f"crd/workloads.{GROUP}", "--timeout=60s")

    def sees(self, job: Object) -> None:
        """Make the Workload of a Job."""
        metadata = job["metadata"]
        self._cluster.apply(
            {
                "apiVersion": f"{GROUP}/v1beta1",
                "kind": "Workload",
                "metadata": {"name": self._name(job), "labels": {f"{GROUP}/job-uid": metadata["uid"]}},
                "spec": {"queueName": metadata["labels"][f"{GROUP}/queue-name"], "active": True},
            },
            namespace=self._namespace,
        )

    def refuses(self, job: Object, message: str = NO_QUOTA, reason: str = "Pending") -> None:
        self._write(job, condition("QuotaReserved", "False", reason, message))

    def admits(self, job: Object) -> None:
        self._write(job, condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue all"),
                    condition("Admitted", "True", "Admitted", "The workload is admitted"))  # fmt: skip
        self._suspend(job, suspend=False)

    def evicts(self, job: Object, message: str = PREEMPTED) -> None:
        self._write(job, condition("QuotaReserved", "False", "Pending", NO_QUOTA),
                    condition("Evicted", "True", "Preempted", message))  # fmt: skip
        self._suspend(job, suspend=True)

    def _name(self, job: Object) -> str:
        return f"job-{job['metadata']['name']}-1"

    def _write(self, job: Object, *conditions: Object) -> None:
        self._cluster.kubectl(
            "patch", f"workloads.{GROUP}", self._name(job), "-n", self._namespace, "--subresource=status",
            "--type=merge", "-p", json.dumps({"status": {"conditions": list(conditions)}}),
        )  # fmt: skip

    def _suspend(self, job: Object, *, suspend: bool) -> None:
        name = job["metadata"]["name"]
        self._cluster.kubectl("patch", "job", name, "-n", self._namespace, "--type=merge",
                              "-p", json.dumps({"spec": {"suspend": suspend}}))  # fmt: skip

        def seen() -> bool:
            found = [one for one in self._cluster.jobs(self._namespace) if one["metadata"]["name"] == name]
            said = {one["type"]: one["status"] for job in found for one in job["status"].get("conditions", [])}
            return said.get("Suspended") == ("True" if suspend else "False")

        until(f"the Job controller has seen the change of {name}", seen, seconds=60)


def condition(type_: str, status: str, reason: str, message: str) -> Object:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}
