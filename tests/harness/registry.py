"""A registry of images that has none: 404 for each, or 401 below `private/`. Served inside the cluster's own network, where
the container runtime asks localhost without TLS.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 5999


class Registry(BaseHTTPRequestHandler):
    """Answers as the distribution API does for images that are not there."""

    def do_GET(self) -> None:
        private = "/private/" in self.path
        code, name = (401, "UNAUTHORIZED") if private else (404, "MANIFEST_UNKNOWN")
        body = f'{{"errors": [{{"code": "{name}"}}]}}'.encode()
        if self.path == "/v2/":
            code, body = 200, b"{}"
        self.send_response(code)
        if private:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def registry(network_namespace: Path) -> Iterator[str]:
    """The address under which the cluster's node reaches it."""
    process = subprocess.Popen(
        ["nsenter", f"--net={network_namespace}", sys.executable, __file__], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the registry did not start"
        yield f"localhost:{PORT}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Registry)
    print("ready", flush=True)
    server.serve_forever()
