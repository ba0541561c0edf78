"""An HTTP proxy that knows CONNECT, counts, and may refuse; and one that speaks SOCKS5.

Promise: `tunnels` has the target of every CONNECT, in order, also of those that were refused.
"""

from __future__ import annotations

import base64
import select
import socket

from listener import Listener


class ForwardProxy:
    """Listens from the beginning until `close`.

    :param refuses: answer every CONNECT with this code
    :param password: of the user `joe`; without it the answer is 407
    :param socks: speak SOCKS5 instead, without authentication
    """

    def __init__(self, *, refuses: int = 0, password: str = "", socks: bool = False) -> None:
        self._refuses = refuses
        self._wanted = base64.b64encode(f"joe:{password}".encode()) if password else b""
        self._socks = socks
        self._listener = Listener(self._tunnel)
        self.port = self._listener.port
        self.address = f"{'socks5' if socks else 'http'}://127.0.0.1:{self.port}"
        self.tunnels: list[str] = []

    def close(self) -> None:
        self._listener.close()

    def _tunnel(self, client: socket.socket) -> None:
        target = self._asked_by_socks(client) if self._socks else self._asked(client)
        if not target:
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as server:
            client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00" if self._socks else b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)

    def _asked(self, client: socket.socket) -> str:
        head = b""
        while b"\r\n\r\n" not in head:
            received = client.recv(4096)
            if not received:
                return ""
            head += received
        target = head.split()[1].decode()
        self.tunnels.append(target)
        code = self._refuses or (407 if self._wanted and self._wanted not in head else 200)
        if code == 200:
            return target
        client.sendall(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code)
        return ""

    def _asked_by_socks(self, client: socket.socket) -> str:
        client.recv(262)
        client.sendall(b"\x05\x00")
        asked = client.recv(262)
        if asked[3] == 1:
            host, rest = socket.inet_ntoa(asked[4:8]), asked[8:]
        else:
            host, rest = asked[5 : 5 + asked[4]].decode(), asked[5 + asked[4] :]
        target = f"{host}:{int.from_bytes(rest[:2], 'big')}"
        self.tunnels.append(target)
        return target
