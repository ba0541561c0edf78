"""A PostgreSQL of our own, for the Airflows that sqlite is too weak for: one database in a folder, on the loopback.

Promise: `prepare` makes it where it is not there; `command` is one process in the foreground, whoever starts it ends it
with SIGINT. PostgreSQL refuses root: as root it runs in a user namespace, where it sees itself as somebody else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

_AT_DEBIAN = Path("/usr/lib/postgresql")


class Postgres:
    """The database `postgres` of the user `airflow`, in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data = folder / "data"
        self._password = folder / "password"
        self.port = port

    def prepare(self) -> None:
        """Make the database, where it is not there yet."""
        if (self._data / "PG_VERSION").exists():
            return
        self._data.parent.mkdir(parents=True, exist_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_hex(16))
        command = ["initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=airflow", "--auth=scram-sha-256"]
        command += [f"--pwfile={self._password}", f"--pgdata={self._data}"]
        done = subprocess.run(_unprivileged(command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        """The server, in the foreground. Nothing is synced to the disk: a test's database need not outlive the machine."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=200")
        options = [part for setting in settings for part in ("-c", setting)]
        return _unprivileged(["postgres", "-D", str(self._data), "-p", str(self.port), *options])

    def url(self, driver: str) -> str:
        """The database, for SQLAlchemy."""
        return f"postgresql+{driver}://airflow:{self._password.read_text()}@127.0.0.1:{self.port}/postgres"

    def answers(self) -> bool:
        """Whether somebody listens at its port."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _unprivileged(command: list[str]) -> list[str]:
    program = shutil.which(command[0]) or next(map(str, sorted(_AT_DEBIAN.glob(f"*/bin/{command[0]}"))), None)
    if program is None:
        raise RuntimeError(f"PostgreSQL's `{command[0]}` is not installed; as root: .ci/prepare postgres")
    outside = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []
    return [*outside, program, *command[1:]]
