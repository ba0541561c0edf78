"""What clients asked of the API server, from its audit log: who, which verb, which resource, how often.

Promise: a request counts once, when it was answered; a watch when it began.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from one_node_cluster import OneNodeCluster, build

_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True)
class Audit:
    """The log of an API server that writes one."""

    cluster: OneNodeCluster
    log: Path
    _flags: tuple[str, ...]

    def restart_api_server(self) -> None:
        """SIGKILL, and the API server again; its log goes on."""
        self.cluster.kill("kube-apiserver")
        self.cluster.start("kube-apiserver", *self._flags)

    def requests(self, user: str, namespace: str) -> Counter[str]:
        """How often a user asked for what in a namespace, such as `get pods/log`; without one, of the whole cluster."""
        found = Counter[str]()
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            what = event.get("objectRef") or {}
            # A watch has two records: one when it begins, one when it ends.
            stage = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
            if (event["user"].get("username"), what.get("namespace", ""), event["stage"]) == (user, namespace, stage):
                resource = "/".join(part for part in (what.get("resource"), what.get("subresource")) if part)
                found[f"{event['verb']} {resource}"] += 1
        return found


def _begun(cluster: OneNodeCluster) -> Audit:
    folder = cluster.kubeconfig().parent
    policy, log = folder / "audit-policy.yaml", folder / "audit.log"
    policy.write_text(_POLICY)
    log.unlink(missing_ok=True)
    audit = Audit(cluster, log, (f"--audit-policy-file={policy}", f"--audit-log-path={log}"))
    audit.restart_api_server()
    return audit


@contextmanager
def audited(cluster: OneNodeCluster) -> Iterator[Audit]:
    """Restart the API server so that it writes its audit log, and without one at the end."""
    audit = _begun(cluster)
    try:
        yield audit
    finally:
        cluster.kill("kube-apiserver")
        cluster.start("kube-apiserver")


@contextmanager
def audited_cluster(name: str) -> Iterator[Audit]:
    """A cluster of its own, gone at the end, whose API server writes its audit log."""
    cluster = OneNodeCluster(name, build())
    cluster.up()
    try:
        yield _begun(cluster)
    finally:
        cluster.down()
