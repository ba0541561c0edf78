"""A real Airflow, whole and headless, in a folder of its own: the Airflow of this environment, with all its components.

Promise: `start` returns when Airflow itself says that each component is healthy, and undoes itself where one does not
come up, with the end of that one's log. `stop` leaves no process behind, also none of a run that was killed: each
component is a session of its own, and every process of that session ends, whatever group it moved to.
Not here: what differs between versions (`airflow_release`), what is asked of it (`airflow_client`), and the cluster that
its tasks use.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from airflow_client import AirflowClient
from airflow_release import INSTALLED
from postgres import Postgres
from waiting import TimedOut, until

SHORT_WORLD: Mapping[str, str] = {
    # Everything that Airflow does now and then, it does often here: tests wait for events, not for defaults.
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    **INSTALLED.settings,
}

#: The session of PostgreSQL, beside those of the components.
DATABASE = "postgres"


class AirflowServer:
    """The components of a deployment over one database in `home`; `start`, then `client`, then `stop`."""

    def __init__(
        self,
        home: Path,
        *,
        dag_folders: Mapping[str, Path],
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        parallelism: int = 4,
    ) -> None:
        """`dag_folders` maps a bundle name to the folder whose files are used in place.

        `environment` is added to what all components and tasks see. Without `port` a free one is taken.
        """
        self.home = home.resolve()
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.client = AirflowClient(self.base_url)
        self._postgres = None if INSTALLED.sqlite else Postgres(self.home / "postgres", free_port())
        self._parallelism = parallelism
        self._dag_folders = dag_folders
        self._extra = dict(environment or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # --- start and stop --------------------------------------------------------------------------------------------

    def start(self, *, seconds: float = 180) -> None:
        """Migrate the database, start all components, wait until Airflow calls each of them healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.end_leftovers()
        try:
            if self._postgres:
                self._start_database(self._postgres)
            if not INSTALLED.bundles:
                self._link_dag_folders()
            self._migrate()
            for name in INSTALLED.components:
                self.start_component(name)
            self._wait_healthy(seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all components and everything they started: SIGTERM, a moment to say goodbye, SIGKILL."""
        database = self._processes.pop(DATABASE, None)
        _end(list(self._processes.values()), signal.SIGTERM)
        if database:
            # With SIGTERM it would wait for its clients.
            _end([database], signal.SIGINT)
            self._processes[DATABASE] = database
        self.end_leftovers()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        self.client.close()

    def start_component(self, name: str) -> int:
        """Start one component (again) and return its process id. Its output goes to `<name>.log` in the home."""
        return self._start_session(name, [sys.executable, "-m", "airflow", *INSTALLED.components[name]])

    def _start_session(self, name: str, command: list[str]) -> int:
        log = self.log_file(name).open("ab")
        with log:
            process = subprocess.Popen(
                command,
                env=self.environment(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        sessions = self._sessions()
        sessions[name] = process.pid
        self._sessions_file.write_text(json.dumps(sessions))
        return process.pid

    def component(self, name: str) -> int:
        """The process id of the leading process of one component, which is also that of its session."""
        return self._processes[name].pid

    def kill_component(self, name: str, signal_number: int = signal.SIGKILL, *, seconds: float = 30) -> None:
        """Send a signal to the leading process of one component and wait for its end.

        :raises AssertionError: if it lives longer than that; all its processes are killed then
        """
        process = self._processes[name]
        process.send_signal(signal_number)
        try:
            process.wait(seconds)
            del self._processes[name]
        except subprocess.TimeoutExpired:
            self.kill_whole_component(name)
            raise AssertionError(
                f"the {name} did not end within {seconds:g} s of signal {signal_number}; its log ends with\n"
                + self.log_tail(name)
            ) from None

    def kill_whole_component(self, name: str) -> None:
        """SIGKILL for every process of one component at once, as when its machine or container is lost."""
        process = self._processes.pop(name)
        for pid in processes_of_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)

    def begin_anew(self, name: str) -> None:
        """Start one component, after all its processes were killed where it lives."""
        if name in self._processes:
            self.kill_whole_component(name)
        self.start_component(name)

    def drop_unused_triggers(self) -> None:
        """What each triggerer that lives does every second: drop the triggers that no deferred task waits for."""
        self._python("-c", "from airflow.models.trigger import Trigger; Trigger.clean_unused()")

    def command(self, *arguments: str) -> str:
        """What `airflow ...` prints on a terminal of this deployment."""
        return self._python("-m", "airflow", *arguments)

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"`python {' '.join(arguments)}` ended with {done.returncode}\n{done.stdout}")
        return done.stdout

    def end_leftovers(self) -> None:
        """Kill every process of the sessions that this home ever started, until none of them lives."""

        def killed() -> bool:
            living = [
                pid
                for session in self._sessions().values()
                for pid in processes_of_session(session)
                if self._is_ours(pid, session)
            ]
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not living

        until(f"the end of every process of the Airflow in {self.home}", killed, seconds=20, every=0.05)
        self._sessions_file.unlink(missing_ok=True)

    def _is_ours(self, pid: int, session: int) -> bool:
        # Process ids are used again, after a reboot above all. Ours are those that are at home here.
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(self.home) or session in {
                p.pid for p in self._processes.values()
            }
        except OSError:
            return False

    # --- what the components see -----------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """The environment of every component; also what `airflow` on a terminal needs to see the same world."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": self._secret("fernet"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(self._parallelism),
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONDONTWRITEBYTECODE": "",
            "SCARF_ANALYTICS": "False",
            "no_proxy": "127.0.0.1,localhost",
        }
        if self._postgres:
            own["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self._postgres.url("psycopg2")
        web = self._web_of_airflow_3() if INSTALLED.bundles else self._web_of_airflow_2()
        return {**inherited, **SHORT_WORLD, **own, **web, **self._extra}

    def _web_of_airflow_2(self) -> dict[str, str]:
        return {
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__WEBSERVER__BASE_URL": self.base_url,
            "AIRFLOW__WEBSERVER__SECRET_KEY": self._secret("api"),
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.port),
        }

    def _web_of_airflow_3(self) -> dict[str, str]:
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for name, folder in self._dag_folders.items()
        ]
        return {
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt"),
            "AIRFLOW__API__BASE_URL": self.base_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": self._secret("api"),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.base_url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        }

    def log_file(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def log_tail(self, name: str, lines: int = 30) -> str:
        """The last lines of a component's output, for an error message."""
        try:
            text = self.log_file(name).read_text(errors="replace")
        except FileNotFoundError:
            return "(no output)"
        return "\n".join(text.splitlines()[-lines:])

    def _secret(self, name: str) -> str:
        # Kept in the home: a restart of the same Airflow has to be the same deployment.
        file = self.home / f"{name}.secret"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        return file.read_text()

    def _start_database(self, postgres: Postgres) -> None:
        postgres.prepare()
        self._start_session(DATABASE, postgres.command())
        process = self._processes[DATABASE]

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended with {process.returncode}\n{self.log_tail(DATABASE)}")
            return postgres.answers()

        until("an answer of PostgreSQL", answers, seconds=30, seen=lambda: self.log_tail(DATABASE))

    def _link_dag_folders(self) -> None:
        # Airflow 2 has one folder, and in it the others; there, everybody who comes is an administrator.
        (self.home / "dags").mkdir(exist_ok=True)
        for name, folder in self._dag_folders.items():
            link = self.home / "dags" / name
            link.unlink(missing_ok=True)
            link.symlink_to(folder.resolve(), target_is_directory=True)
        (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = False\n')

    def _migrate(self) -> None:
        log = self.log_file("migrate")
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=self.environment(),
                cwd=self.home,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"`airflow db migrate` failed; {log} ends with\n{self.log_tail('migrate')}")

    def _wait_healthy(self, seconds: float) -> None:
        def healthy() -> bool:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(
                        f"Airflow's {name} ended with code {process.returncode}; {self.log_file(name)} ends with\n"
                        + self.log_tail(name)
                    )
            try:
                health = self.client.health()
                return all(health.get(part) == "healthy" for part in INSTALLED.health)
            except httpx.TransportError:
                return False

        try:
            until("a healthy Airflow", healthy, seconds=seconds, seen=self._describe_health)
        except TimedOut as late:
            tails = "\n".join(f"--- {self.log_file(name)}\n{self.log_tail(name, 15)}" for name in INSTALLED.components)
            raise RuntimeError(f"{late}\n{tails}") from None

    def _describe_health(self) -> object:
        try:
            return self.client.health()
        except httpx.TransportError as error:
            return f"{self.base_url} does not answer: {error}"

    @property
    def _sessions_file(self) -> Path:
        return self.home / "sessions.json"

    def _sessions(self) -> dict[str, int]:
        try:
            known: dict[str, int] = json.loads(self._sessions_file.read_text())
        except FileNotFoundError:
            return {}
        return known


def state_folder(name: str) -> Path:
    """The home of the Airflow of this name: beside the clusters' folders, found again by a later process."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "unique-k8s-job" / "airflow" / name


def _end(processes: list[subprocess.Popen[bytes]], signal_number: int) -> None:
    """Send a signal to each, and give all of them a moment."""
    for process in processes:
        process.send_signal(signal_number)
    end = time.monotonic() + 4
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """True if a server could listen on this port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def processes_of_session(session: int) -> list[int]:
    """The living processes of one session, whatever process group they moved to."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[3]) == session and after_name[0] != "Z":
            found.append(int(entry.name))
    return found
