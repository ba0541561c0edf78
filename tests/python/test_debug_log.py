"""The debug log of the core, as a Python logger hears it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from small_api_server import SmallApiServer
from unique_k8s_job import debug_log, native

NAME = "unique_k8s_job.core"
PROGRAM = Path(sys.executable).parent / "unique-k8s-job"


class Heard(logging.Handler):
    """What the logger was told."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def lines(self) -> list[str]:
        debug_log.flush()
        return [record.getMessage() for record in self.records]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """A handler of the logger, which is off; it is off again afterwards."""
    monkeypatch.delenv(debug_log.VARIABLE, raising=False)
    handler, logger = Heard(), logging.getLogger(NAME)
    level = logger.level
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    monkeypatch.delenv(debug_log.VARIABLE, raising=False)
    native.loaded()


@pytest.fixture
def server() -> Iterator[SmallApiServer]:
    with SmallApiServer().serving() as serving:
        yield serving


def look(server: SmallApiServer, folder: Path) -> None:
    """One request, for all Jobs of a namespace."""
    cluster = native.Cluster({"source": "file", "path": str(server.kubeconfig(folder))})
    native.find_jobs(cluster, {"namespace": "etl", "label_selector": "a=b", "explain": False})


def requests_in(heard: Heard) -> list[str]:
    """The lines of requests; others tell of configurations and retries."""
    return [line for line in heard.lines() if " try=" in line]


def test_off_by_default(heard: Heard, server: SmallApiServer, tmp_path: Path) -> None:
    look(server, tmp_path)
    assert heard.lines() == []


def test_logger_at_debug_hears_each_request_and_when_it_was(
    heard: Heard, server: SmallApiServer, tmp_path: Path
) -> None:
    logging.getLogger(NAME).setLevel(logging.DEBUG)
    began = time.time()
    look(server, tmp_path)
    requests = requests_in(heard)
    assert len(requests) == len(server.requests), (heard.lines(), server.requests)
    assert "GET /apis/batch/v1/namespaces/etl/jobs?limit=" in requests[0] and "status=200" in requests[0], requests
    assert all(record.name == NAME and record.levelno == logging.DEBUG for record in heard.records)
    assert all(began <= record.created <= time.time() for record in heard.records)


def test_logger_that_is_turned_off_again_hears_nothing(heard: Heard, server: SmallApiServer, tmp_path: Path) -> None:
    logging.getLogger(NAME).setLevel(logging.DEBUG)
    look(server, tmp_path)
    assert heard.lines()
    logging.getLogger(NAME).setLevel(logging.WARNING)
    look(server, tmp_path)
    before = len(heard.records)
    look(server, tmp_path)
    assert len(heard.lines()) == before


@pytest.mark.parametrize("variable", ["debug", "TRACE"])
def test_variable_turns_it_on(
    variable: str, heard: Heard, server: SmallApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debug_log.VARIABLE, variable)
    look(server, tmp_path)
    assert any("status=200" in line for line in heard.lines())


def test_variable_of_an_unknown_value_is_told_once_and_turns_nothing_on(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(debug_log.VARIABLE, "loud")
    native.loaded()
    native.loaded()
    assert caplog.text.count("`loud` is no level of the debug log") == 1
    assert not logging.getLogger(NAME).isEnabledFor(logging.DEBUG)


def test_forked_child_has_lines_of_its_own_and_none_of_its_parents(
    heard: Heard, server: SmallApiServer, tmp_path: Path
) -> None:
    logging.getLogger(NAME).setLevel(logging.DEBUG)
    look(server, tmp_path)
    of_parent = requests_in(heard)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            heard.records.clear()
            look(server, tmp_path)
            os.write(writing, json.dumps(requests_in(heard)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        of_child = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert len(of_child) == len(of_parent), (of_child, of_parent)
    look(server, tmp_path)
    assert len(requests_in(heard)) == 2 * len(of_parent)


class Flood(BaseHTTPRequestHandler):
    """Lists are empty, and a watch brings more events at once than the queue has room for, then ends."""

    watches = 0

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        kind = "Job" if "/jobs" in self.path else "Pod"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if "watch=" not in self.path:
            version = "batch/v1" if kind == "Job" else "v1"
            empty = {"apiVersion": version, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": []}
            self.wfile.write(json.dumps(empty).encode())
            return
        Flood.watches += 1
        event = {"type": "BOOKMARK", "object": {"kind": kind, "metadata": {"resourceVersion": "1"}}}
        self.wfile.write((json.dumps(event) + "\n").encode() * 6_000)


def test_full_queue_drops_lines_and_says_how_many_while_nobody_waits(heard: Heard, tmp_path: Path) -> None:
    go_on = threading.Event()

    class Slow(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            go_on.wait(60)

    logger, slow = logging.getLogger(NAME), Slow()
    logger.setLevel(debug_log.LEVELS["trace"])
    logger.addHandler(slow)
    flood = ThreadingHTTPServer(("127.0.0.1", 0), Flood)
    flood.daemon_threads = True
    threading.Thread(target=flood.serve_forever, args=(0.05,), daemon=True).start()
    server = SmallApiServer()
    server.url = f"http://127.0.0.1:{flood.server_port}"
    try:
        cluster = native.Cluster({"source": "file", "path": str(server.kubeconfig(tmp_path))})
        watches = native.Unattended(cluster, "etl")
        # One of the two is asked for again only once its first stream was read to its end, with the handler still in its
        # first line.
        _until(lambda: Flood.watches >= 3)
        del watches
    finally:
        go_on.set()
        logger.removeHandler(slow)
        flood.shutdown()
        flood.server_close()
    _until(lambda: any("lines of the debug log were dropped" in record.getMessage() for record in heard.records))


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so in time"
        time.sleep(0.05)


def test_line_has_the_lowest_level_that_a_handler_takes(heard: Heard, server: SmallApiServer, tmp_path: Path) -> None:
    """Those of Airflow 3 take nothing below `[logging] logging_level`, whatever the level of a logger."""
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        heard.setLevel(logging.INFO)
        look(server, tmp_path)
        assert requests_in(heard)
    finally:
        logger.propagate = True
    assert {record.levelno for record in heard.records} == {logging.INFO}


LAST = """
import json, logging, sys
from unique_k8s_job import native
logging.basicConfig(format="%(name)s %(message)s")
cluster = native.Cluster({"source": "file", "path": sys.argv[1]})
native.find_jobs(cluster, {"namespace": "etl", "label_selector": "a=b", "explain": False})
"""


def test_end_of_the_process_waits_for_the_last_line(server: SmallApiServer, tmp_path: Path) -> None:
    for _ in range(5):
        server.requests.clear()
        ended = subprocess.run(
            [sys.executable, "-c", LAST, str(server.kubeconfig(tmp_path))],
            env={**os.environ, debug_log.VARIABLE: "debug"}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert ended.stderr.count(" try=") == len(server.requests), ended.stderr


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, unique_k8s_job.cli.command_line; print([m for m in sys.modules if 'debug_log' in m])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("more", [("--verbose",), ()])
def test_command_line_says_its_requests_where_it_is_asked_to(
    more: tuple[str, ...], server: SmallApiServer, tmp_path: Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != debug_log.VARIABLE}
    ended = subprocess.run(
        [PROGRAM, "run", "--image", "a:1", "--kubeconfig", str(server.kubeconfig(tmp_path)), *more],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    posts = [line for line in ended.stderr.splitlines() if "POST /apis/batch/v1/namespaces/etl/jobs status=201" in line]
    assert len(posts) == len(more), ended.stderr
