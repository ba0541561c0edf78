"""A socket of this machine that gives each connection to a thread of its own: what the test servers are made of.

Promise: it listens from the beginning until `close`; `accepted` counts the connections, also those that fail at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path


class Listener:
    """Calls `serve` with every connection, and closes it afterwards; an error of the connection ends it.

    :param address: of this machine; IPv6, too
    """

    def __init__(self, serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> None:
        self._serve = serve
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family, backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            self._serve(client)


def server_tls(certificate: Path | None, clients: Path | None) -> ssl.SSLContext | None:
    """TLS as a server speaks it; none without a certificate.

    :param certificate: chain and key in one PEM file
    :param clients: want a certificate of a client that this file of certificates proves
    """
    if certificate is None:
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if clients:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(clients)
    return tls
