"""A small API server for what a real one cannot be made to do: answer late, hold a hundred thousand stuck Jobs, hold a page
back until somebody has read the page before.

Promise: a Job that is posted has one Pod, which writes lines for a while and then succeeds; lists come in pages of the
asked size; each request is written down, in order. It stands for no promise about Kubernetes: the real cluster does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
Query = dict[str, list[str]]

#: Seconds between two lines of a log.
LINE_EVERY = 0.02
UID = "batch.kubernetes.io/controller-uid"
#: The one node that there is, and that works.
NODE = "node"


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class SmallApiServer:
    """Serves on a port of its own from `serving` on.

    :param lasts: seconds that the Pod of a Job writes lines
    :param answers_after: seconds before a POST is answered; it is stored at once
    """

    def __init__(self, *, lasts: float = 0.5, answers_after: float = 0.0) -> None:
        self.lasts = lasts
        self.answers_after = answers_after
        self.jobs: dict[str, Object] = {}
        #: Every Job that was ever stored, by name.
        self.made: dict[str, Object] = {}
        #: Names whose deletion was asked for.
        self.deleted: set[str] = set()
        self.requests: list[str] = []
        #: The items of a list, by the last part of its path, where they are not those of `jobs`; called with the first
        #: index and the number of items.
        self.pages: dict[str, tuple[int, Callable[[int, int], list[Object]]]] = {}
        #: Called before a page is answered, with its first index.
        self.before_page: Callable[[str, int], None] = lambda _kind, _first: None
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[SmallApiServer]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def kubeconfig(self, folder: Path, namespace: str = "etl") -> Path:
        """A kubeconfig file that leads here."""
        file = folder / "kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "clusters": [{"name": "it", "cluster": {"server": self.url}}],
                    "users": [{"name": "it", "user": {}}],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
                }
            )
        )
        return file

    # --- what is there ---------------------------------------------------------------------------------------------

    def _age(self, job: Object) -> float:
        return time.monotonic() - float(job["_made"])

    def has_ended(self, name: str) -> bool:
        """Whether the Job of this name, which was made, has had its time."""
        return self._age(self.made[name]) > self.lasts

    def _job(self, job: Object) -> Object:
        """Its present state."""
        over = self._age(job) > self.lasts
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now()}
            for kind in (("SuccessCriteriaMet", "Complete") if over else ())
        ]
        status = {"startTime": job["metadata"]["creationTimestamp"], "conditions": conditions}
        shown = {key: value for key, value in job.items() if not key.startswith("_")}
        return {**shown, "status": {**status, "completionTime": now()} if over else status}

    def _pod(self, job: Object) -> Object:
        over = self._age(job) > self.lasts
        began = job["metadata"]["creationTimestamp"]
        state: Object = {"running": {"startedAt": began}}
        if over:
            state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": now()}}
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-pod",
                "namespace": job["metadata"]["namespace"],
                "uid": f"pod-of-{uid}",
                "resourceVersion": str(time.monotonic_ns()),
                "creationTimestamp": began,
                "labels": {**job["metadata"].get("labels", {}), UID: uid},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}],
            },
            "spec": {"nodeName": NODE, "containers": [{"name": "base", "image": "i"}]},
            "status": {
                "phase": "Succeeded" if over else "Running",
                "startTime": began,
                "containerStatuses": [
                    {"name": "base", "image": "i", "imageID": "i", "ready": not over, "restartCount": 0, "state": state}
                ],
            },
        }

    def node(self) -> Object:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        metadata = {"name": NODE, "uid": NODE, "resourceVersion": "1"}
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"conditions": [ready]}}

    def objects(self, kind: str) -> list[Object]:
        if kind == "nodes":
            return [self.node()]
        jobs = list(self.jobs.values())
        return (
            [self._job(job) if kind == "jobs" else self._pod(job) for job in jobs] if kind in ("jobs", "pods") else []
        )

    def listed(self, kind: str, query: Query) -> Object:
        limit = int(query.get("limit", ["500"])[0])
        first = int(query.get("continue", ["0"])[0])
        if kind in self.pages:
            count, items_of = self.pages[kind]
            self.before_page(kind, first)
            items = items_of(first, min(limit, count - first))
        else:
            labels = dict(pair.split("=", 1) for pair in query.get("labelSelector", [""])[0].split(",") if "=" in pair)
            items = [
                item
                for item in self.objects(kind)
                if all(item["metadata"].get("labels", {}).get(key) == value for key, value in labels.items())
            ]
            count = len(items)
        more = str(first + len(items)) if first + len(items) < count else ""
        metadata = {"resourceVersion": str(time.monotonic_ns()), "continue": more}
        names = {
            "jobs": "JobList",
            "pods": "PodList",
            "events": "EventList",
            "nodes": "NodeList",
            "namespaces": "NamespaceList",
        }
        version = "batch/v1" if kind == "jobs" else "v1"
        return {"apiVersion": version, "kind": names.get(kind, "List"), "metadata": metadata, "items": items}

    def store(self, job: Object, namespace: str) -> Object:
        job = {"apiVersion": "batch/v1", "kind": "Job", **job}
        name = job["metadata"]["name"]
        job["metadata"] |= {
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": now(),
        }
        self.jobs[name] = self.made[name] = {**job, "_made": time.monotonic(), "_began": time.time()}
        return self._job(self.jobs[name])

    # --- the wire --------------------------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        world = self

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def _answer(self, code: int, body: Object) -> None:
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _missing(self) -> None:
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}
                self._answer(404, {**status, "message": "not found"})

            def _chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

            def _stream(self, pieces: Iterator[bytes]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in pieces:
                    self._chunk(piece)
                self._chunk(b"")

            def _parts(self) -> tuple[list[str], Query]:
                world.requests.append(f"{self.command} {self.path}")
                address = urlsplit(self.path)
                return [part for part in address.path.split("/") if part], parse_qs(address.query)

            def _body(self) -> Any:
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                return json.loads(data) if data else {}

            def _guarded(self, serve: Callable[[], None]) -> None:
                try:
                    serve()
                except OSError:
                    self.close_connection = True  # whoever asked has gone

            def do_GET(self) -> None:
                self._guarded(self._get)

            def _get(self) -> None:
                parts, query = self._parts()
                if parts[-1] == "log":
                    self._stream(world.lines(parts[-2], query))
                elif "watch" in query:
                    self._stream(world.events(parts[-1]))
                elif parts[-1] in ("jobs", "pods", "events", "nodes", "namespaces"):
                    self._answer(200, world.listed(parts[-1], query))
                elif parts[-2] == "namespaces":
                    metadata = {"name": parts[-1], "uid": parts[-1], "resourceVersion": "1"}
                    self._answer(200, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
                elif parts[-2:] == ["nodes", NODE]:
                    self._answer(200, world.node())
                elif parts[-2] == "pods" and (job := world.jobs.get(parts[-1].removesuffix("-pod"))):
                    self._answer(200, world._pod(job))
                elif parts[-2] == "jobs" and parts[-1] in world.jobs:
                    self._answer(200, world._job(world.jobs[parts[-1]]))
                else:
                    self._missing()

            def do_POST(self) -> None:
                parts, _ = self._parts()
                stored = world.store(self._body(), parts[-2])
                time.sleep(world.answers_after)
                self._guarded(lambda: self._answer(201, stored))

            def do_PATCH(self) -> None:
                parts, _ = self._parts()
                self._body()
                job = world.jobs.get(parts[-1])
                self._guarded(lambda: self._answer(200, world._job(job)) if job else self._missing())

            def do_DELETE(self) -> None:
                parts, _ = self._parts()
                self._body()
                job = world.jobs.pop(parts[-1], None)
                world.deleted.add(parts[-1])
                self._guarded(lambda: self._answer(200, world._job(job)) if job else self._missing())

        return Handler

    def lines(self, pod: str, query: Query) -> Iterator[bytes]:
        """The log of a Pod: always the same lines, from a time on, and followed if that is asked for."""
        job = self.jobs.get(pod.removesuffix("-pod"))
        if job is None:
            return
        since = query.get("sinceTime", [""])[0]
        for number in range(int(self.lasts / LINE_EVERY) + 1):
            while self._age(job) < number * LINE_EVERY:
                if "follow" not in query or job["metadata"]["name"] not in self.jobs:
                    return
                time.sleep(LINE_EVERY / 2)
            moment = datetime.fromtimestamp(job["_began"] + number * LINE_EVERY, timezone.utc)
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            if stamp[:19] >= since[:19]:
                yield f"{stamp} line {number}\n".encode()

    def events(self, kind: str) -> Iterator[bytes]:
        """A watch: an object when it begins, changes or goes."""
        seen: dict[str, tuple[str, Object]] = {}
        end = time.monotonic() + 60
        while time.monotonic() < end:
            present = {item["metadata"]["name"]: item for item in self.objects(kind)}
            for name in [name for name in seen if name not in present]:
                yield json.dumps({"type": "DELETED", "object": seen.pop(name)[1]}).encode() + b"\n"
            for name, item in present.items():
                state = json.dumps(item.get("status", {}).get("conditions") or item["status"].get("phase"))
                if seen.get(name, ("", {}))[0] != state:
                    seen[name] = state, item
                    yield json.dumps({"type": "MODIFIED", "object": item}).encode() + b"\n"
            time.sleep(0.02)
