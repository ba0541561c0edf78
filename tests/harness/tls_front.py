"""A server before the API server that ends TLS with any certificate, and passes requests on.

Promise: one request a connection, as it came, but for a prefix of the path that is taken off; the answer as it came.
`handshakes` counts the connections that were begun, whether they came to an end or not.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from pathlib import Path

from listener import Listener, server_tls


class TlsFront:
    """Listens from the beginning until `close`.

    :param upstream: host and port of the API server
    :param certificate: chain and key in one PEM file; none speaks HTTP
    :param prefix: what the path begins with here, such as `/clusters/a`
    :param clients: want a certificate of a client that this file of certificates proves
    """

    def __init__(
        self,
        upstream: tuple[str, int],
        certificate: Path | None,
        *,
        address: str = "127.0.0.1",
        prefix: str = "",
        clients: Path | None = None,
    ) -> None:
        self._upstream = upstream
        self._prefix = prefix.encode()
        self._tls = server_tls(certificate, clients)
        self._inside = ssl.create_default_context()
        self._inside.check_hostname, self._inside.verify_mode = False, ssl.CERT_NONE
        self._listener = Listener(self._pass_on, address)
        self.port = self._listener.port

    @property
    def handshakes(self) -> int:
        return self._listener.accepted

    def close(self) -> None:
        self._listener.close()

    def _pass_on(self, client: socket.socket) -> None:
        client.settimeout(30)
        outside = client
        if self._tls:
            outside = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        with outside:
            if isinstance(outside, ssl.SSLSocket):
                try:
                    outside.do_handshake()
                except ssl.SSLError:
                    drain(outside)
                    return
            request = self._request(outside)
            if not request:
                return
            with (
                socket.create_connection(self._upstream, timeout=30) as plain,
                self._inside.wrap_socket(plain) as inside,
            ):
                inside.sendall(request)
                while data := inside.recv(65536):
                    outside.sendall(data)

    def _request(self, stream: socket.socket) -> bytes:
        """One whole request, which ends its connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            received = stream.recv(65536)
            if not received:
                return b""
            data += received
            if not data[:1].isalpha():  # as servers of HTTP answer to TLS
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        length = 0
        for field in fields:
            key, _, value = field.partition(b":")
            if key.strip().lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            body += stream.recv(65536)
        if self._prefix:
            verb, target, version = line.split(b" ")
            if not target.startswith(self._prefix + b"/"):
                return b""
            line = b" ".join((verb, target.removeprefix(self._prefix), version))
        kept = [field for field in fields if not field.lower().startswith(b"connection:")]
        return b"\r\n".join((line, *kept, b"Connection: close")) + b"\r\n\r\n" + body


def drain(stream: socket.socket) -> None:
    """Read until the other side has closed: closing with something unread would reset the connection, and the alert with it."""
    stream.shutdown(socket.SHUT_WR)
    while select.select([stream], [], [], 10)[0] and os.read(stream.fileno(), 65536):
        pass
