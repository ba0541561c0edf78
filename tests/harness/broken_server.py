"""Servers on this machine that fail in one way each: what a client does not get from a real API server on demand.

Promise: `BrokenServer.url` is where it listens until `close`; whatever arrives, it does its one thing and nothing else.
"""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from listener import Listener, server_tls


def answer(
    code: int, body: str = "", content: str = "application/json", *headers: str, length: int | None = None
) -> bytes:
    """One HTTP answer; `length` where it claims another than it has."""
    head = [
        f"HTTP/1.1 {code} Said",
        f"Content-Type: {content}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


#: The API server's own word for a code.
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "AlreadyExists",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
}


def status(code: int, message: str = "no") -> bytes:
    """An answer as the API server refuses."""
    causes = [{"reason": "FieldValueInvalid", "message": f"Invalid value: {message}", "field": "spec.template"}]
    said = {
        "status": "Failure",
        "reason": REASONS.get(code, "Unknown"),
        "message": message,
        "details": {"causes": causes},
    }
    return answer(code, json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, **said}))


class BrokenServer:
    """Answers every connection with the same bytes, and closes it.

    :param says: the bytes; none closes at once
    :param at_once: say it before anything was asked
    :param certificate: speak TLS with this certificate and key, in one PEM file
    :param clients: with TLS, want a certificate of a client that this file of certificates proves
    :param silent: say nothing, and keep the connection
    :param again: what follows, without end
    """

    def __init__(
        self,
        says: bytes = b"",
        certificate: Path | None = None,
        *,
        at_once: bool = False,
        clients: Path | None = None,
        silent: bool = False,
        again: bytes = b"",
    ) -> None:
        self._says = says
        self._at_once = at_once
        self._silent = silent
        self._again = again
        self._tls = server_tls(certificate, clients)
        self._listener = Listener(self._answer)
        self.port = self._listener.port
        #: The first lines of the requests that came whole.
        self.heard: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._listener.close()

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(10)
        stream = self._tls.wrap_socket(client, server_side=True) if self._tls else client
        head = b""
        while self._says and not self._at_once and b"\r\n\r\n" not in head:
            received = stream.recv(65536)
            if not received:
                return
            head += received
        self.heard.append(head.partition(b"\r\n")[0].decode("latin-1"))
        if self._silent:
            client.settimeout(None)
            while stream.recv(65536):
                pass
            return
        stream.sendall(self._says)
        while self._again:
            stream.sendall(self._again)
        # Closing with something unread would reset the connection, and the answer with it.
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def self_signed(file: Path, name: str, *, days: int = 1) -> Path:
    """A certificate that nobody trusts, and its key, in one PEM file."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}", "-days", str(days), "-keyout", f"{file}.key", "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(Path(f"{file}.crt").read_bytes() + Path(f"{file}.key").read_bytes())
    return file
