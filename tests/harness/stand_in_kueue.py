"""Kueue's part in the life of a Job, played by a test: the kind Workload, what Kueue writes to Workloads and Jobs, and its
visibility API.

Promise: the objects are those of a real API server, with the labels and conditions that Kueue documents. Nothing acts by
itself, so a test decides when a Job is refused, admitted and evicted.
"""

from __future__ import annotations

import json
import socket
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml
from typing_extensions import Self

from broken_server import self_signed
from listener import server_tls
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


def our_address(cluster: OneNodeCluster) -> str:
    """The address under which the API server reaches this process."""
    server = urlsplit(yaml.safe_load(cluster.kubeconfig().read_text())["clusters"][0]["cluster"]["server"])
    with socket.create_connection((server.hostname, server.port), timeout=10) as connection:
        return str(connection.getsockname()[0])


def condition(type_: str, status: str, reason: str, message: str) -> Object:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}


class StandInVisibility:
    """Kueue's visibility API, behind an APIService of the real API server: which Jobs wait in a queue, in their order.

    Promise: once entered, the API server serves it, and RBAC decides who may read it. It is gone on leaving.
    """

    _GROUP = f"visibility.{GROUP}"
    _API = f"v1beta2.{_GROUP}"

    def __init__(self, cluster: OneNodeCluster, namespace: str, folder: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        #: The uids of the Jobs that wait, by queue.
        self.waiting: dict[str, list[str]] = {}
        #: The users whose questions about queues the API server let through.
        self.asked_by: set[str] = set()
        self._server = ThreadingHTTPServer((our_address(cluster), 0), self._handler())
        tls = server_tls(self_signed(folder / "visibility.pem", "localhost"), None)
        assert tls
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        service = {"type": "ExternalName", "externalName": self._server.server_address[0]}
        self._cluster.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "visibility"}, "spec": service},
            namespace=self._namespace,
        )
        self._cluster.apply({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": self._API},
            "spec": {"group": self._GROUP, "version": "v1beta2", "insecureSkipTLSVerify": True,
                     "groupPriorityMinimum": 100, "versionPriority": 100,
                     "service": {"namespace": self._namespace, "name": "visibility", "port": self._server.server_port}},
        })  # fmt: skip
        self._cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{self._API}", "--timeout=60s")
        return self

    def __exit__(self, *_: object) -> None:
        # A namespace cannot be deleted while an API of the cluster does not answer.
        self._cluster.kubectl("delete", "apiservice", self._API)
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                found = stand_in._answer(path, {key: values[-1] for key, values in parse_qs(query).items()})
                if found and path.endswith("/pendingworkloads"):
                    stand_in.asked_by.add(self.headers["X-Remote-User"])
                body = json.dumps(found or {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"})
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        return Handler

    def _answer(self, path: str, query: dict[str, str]) -> Object | None:
        api = f"/apis/{self._GROUP}/v1beta2"
        if path == api:
            resource = {"name": "localqueues/pendingworkloads", "namespaced": True, "kind": "PendingWorkloadsSummary",
                        "singularName": "", "verbs": ["get"]}  # fmt: skip
            return {"kind": "APIResourceList", "groupVersion": f"{self._GROUP}/v1beta2", "resources": [resource]}
        queues = f"{api}/namespaces/{self._namespace}/localqueues/"
        queue = path.removeprefix(queues).removesuffix("/pendingworkloads")
        if path != f"{queues}{queue}/pendingworkloads" or queue not in self.waiting:
            return None
        first, most = int(query.get("offset", 0)), int(query.get("limit", 1000))
        items = [
            {"metadata": {"name": f"job-{uid}", "namespace": self._namespace,
                          "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": uid, "uid": uid}]},
             "priority": 0, "localQueueName": queue, "positionInClusterQueue": position, "positionInLocalQueue": position}
            for position, uid in enumerate(self.waiting[queue])
        ]  # fmt: skip
        return {"kind": "PendingWorkloadsSummary", "apiVersion": f"{self._GROUP}/v1beta2", "metadata": {},
                "items": items[first:first + most]}  # fmt: skip
