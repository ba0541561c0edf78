"""Airflow's REST API in the words of the tests: trigger, wait, clear, mark, log, XCom.

Promise: every call either did what its name says or raises with Airflow's own answer. Waiting calls name the state
they saw last. Nothing here starts or stops a process; that is `airflow_server`.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx

from airflow_release import INSTALLED
from waiting import until

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: What Airflow 2 writes before a record: its time, who wrote it, its level.
_HEAD = re.compile(r"^\[\d{4}-[^\]]+\] \{[^}]+\} [A-Z]+ - ", re.MULTILINE)


@dataclass(frozen=True)
class TaskInstance:
    """One task of one run; `map_index` -1 where the task is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def path(self) -> str:
        """The task instance below the prefix of the API."""
        mapped = f"/{self.map_index}" if self.map_index >= 0 else ""
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}{mapped}"


class AirflowClient:
    """One REST session with an Airflow that lets everybody be admin."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = httpx.Client(base_url=base_url, timeout=90, trust_env=False)
        self._signed_in = False

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, **keywords: Any) -> Any:
        """One request below the prefix of the API, its JSON answer, or an error with Airflow's words."""
        answer = self._answer(method, path, **keywords)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **keywords: Any) -> httpx.Response:
        if INSTALLED.token and not self._signed_in:
            token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
            self._signed_in = True
        answer = self._http.request(method, f"{INSTALLED.api}{path}", **keywords)
        for pause in (0.5, 1, 2, 4):
            if not (answer.status_code == 500 and "Database error" in answer.text):
                break
            # Sqlite is locked by a component that writes much: Airflow has rolled back whatever it did.
            time.sleep(pause)
            answer = self._http.request(method, f"{INSTALLED.api}{path}", **keywords)
        if answer.is_error:
            raise RuntimeError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer

    # --- the world -------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, str | None]:
        """`healthy` or not, per component (`metadatabase`, `scheduler`, `triggerer`, `dag_processor`)."""
        answer = self._http.get(f"{INSTALLED.api}{INSTALLED.health_path}")
        answer.raise_for_status()
        return {name: part.get("status") for name, part in answer.json().items()}

    def import_errors(self) -> list[str]:
        """Files that the dag-processor could not import, with their tracebacks."""
        answer = self.call("GET", "/importErrors")
        return [f"{error['filename']}:\n{error['stack_trace']}" for error in answer["import_errors"]]

    def make_pool(self, name: str, slots: int) -> None:
        self.call("POST", "/pools", json={"name": name, "slots": slots})

    def set_slots(self, pool: str, slots: int) -> None:
        """How many tasks of a pool may run at once from now on."""
        body = {INSTALLED.pool_name: pool, "slots": slots, "include_deferred": False, "description": ""}
        self.call("PATCH", f"/pools/{pool}", json=body)

    # --- DAGs and runs ---------------------------------------------------------------------------------------------

    def wait_for_dag(self, dag_id: str, *, seconds: float = 60) -> None:
        """Wait until the dag-processor has this DAG; an import error of any file ends the wait at once."""

        def known() -> bool:
            answer = self._http.get(f"{INSTALLED.api}/dags/{dag_id}")
            if answer.status_code == 200:
                return True
            broken = self.import_errors()
            if broken:
                raise RuntimeError("a DAG file cannot be imported\n" + "\n".join(broken))
            return False

        self.call("GET", "/version")
        until(f"DAG {dag_id} known to Airflow", known, seconds=seconds)

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run now and return its run_id."""
        self.wait_for_dag(dag_id)
        self.unpause(dag_id)
        run_id = f"manual__{secrets.token_hex(8)}"
        try:
            body = {"dag_run_id": run_id, "conf": conf or {}, **INSTALLED.run}
            self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        except RuntimeError as refused:
            # The run is there: a request that was repeated had been carried out.
            if ": 409 " not in str(refused):
                raise
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = 180) -> str:
        """The state in which the run ended."""

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in ("success", "failed") else None

        return until(
            f"end of {dag_id} {run_id}", ended, seconds=seconds, every=0.5, seen=lambda: self.states(dag_id, run_id)
        )

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Each task instance of a run with its state; mapped ones as `task[index]`."""
        found: list[dict[str, Any]] = []
        while True:  # Airflow answers at most a hundred at once
            page = {"limit": 100, "offset": len(found)}
            answer = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params=page)
            found += answer["task_instances"]
            if len(found) >= answer["total_entries"] or not answer["task_instances"]:
                break
        return {
            f"{ti['task_id']}[{ti['map_index']}]" if ti["map_index"] >= 0 else ti["task_id"]: str(ti["state"])
            for ti in found
        }

    # --- task instances --------------------------------------------------------------------------------------------

    def task(self, ti: TaskInstance) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", ti.path)
        return answer

    def wait_for_state(
        self, ti: TaskInstance, *states: str, try_number: int | None = None, seconds: float = 120
    ) -> dict[str, Any]:
        """Wait until the task instance is in one of `states` (and in this try); its record.

        A finished state of that try that is not among `states` ends the wait at once, with the task's log.
        """

        def reached() -> dict[str, Any] | None:
            record = self.task(ti)
            if try_number is not None and record["try_number"] < try_number:
                return None
            if record["state"] in states and (try_number is None or record["try_number"] == try_number):
                return record
            if record["state"] in FINISHED:
                raise AssertionError(
                    f"{ti} is {record['state']} in try {record['try_number']}, awaited {' or '.join(states)}"
                    f"{f' in try {try_number}' if try_number else ''}; its log:\n"
                    + self.log(ti, record["try_number"])[-6000:]
                )
            return None

        return until(
            f"{ti.task_id} {' or '.join(states)}" + (f" in try {try_number}" if try_number else ""),
            reached,
            seconds=seconds,
            seen=lambda: self._describe(ti),
        )

    def _describe(self, ti: TaskInstance) -> str:
        record = self.task(ti)
        tail = self.log(ti, max(record["try_number"], 1))[-4000:]
        return f"state {record['state']}, try {record['try_number']}; end of its log:\n{tail}"

    def mark(self, ti: TaskInstance, state: str) -> None:
        """What "Mark state as ..." does in the UI."""
        self.call("PATCH", ti.path, json={"new_state": state, **INSTALLED.mark})

    def clear(self, ti: TaskInstance) -> None:
        """What "Clear" does in the UI, for this task alone, in whatever state it is.

        A finished task is cleared only once its run has ended, too: the scheduler may else end the run over the clear.
        """
        if self.task(ti)["state"] in FINISHED:
            self.wait_for_run(ti.dag_id, ti.run_id)
        body = {
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "dag_run_id": ti.run_id,
            "task_ids": [ti.task_id if ti.map_index < 0 else [ti.task_id, ti.map_index]],
        }
        self.call("POST", f"/dags/{ti.dag_id}/clearTaskInstances", json=body)

    def xcom(self, ti: TaskInstance, key: str) -> Any:
        """The XCom value of the present try, or None while there is none."""
        self.call("GET", "/version")
        base = f"{INSTALLED.api}/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/xcomEntries/{key}"
        answer = self._http.get(base, params={"map_index": ti.map_index, **INSTALLED.xcom_query})
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()["value"]

    def wait_for_xcom(self, ti: TaskInstance, key: str, *, seconds: float = 60) -> Any:
        return until(
            f"XCom {key} of {ti.task_id}", lambda: self.xcom(ti, key), seconds=seconds, seen=lambda: self._describe(ti)
        )

    def links(self, ti: TaskInstance) -> dict[str, str | None]:
        """The links of the task instance, as its page shows them."""
        path = f"/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/links"
        answer: dict[str, Any] = self.call("GET", path, params={"map_index": ti.map_index} if ti.map_index >= 0 else {})
        links: dict[str, str | None] = answer.get("extra_links", answer)
        return links

    def log_records(self, ti: TaskInstance, try_number: int) -> list[dict[str, Any]]:
        """The records of one try's log, as the log view gets them."""
        records: list[dict[str, Any]] = []
        params: dict[str, Any] = {"full_content": "true", "map_index": ti.map_index}
        path = f"/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/logs/{try_number}"
        if self.task(ti)["try_number"] < 1:
            return []  # not started yet: Airflow has no log of it and answers 404
        if not INSTALLED.records:
            text = self._answer("GET", path, params=params, headers={"Accept": "text/plain"}).text
            return [{"event": line} for line in _HEAD.sub("", text).splitlines()]
        answer = self.call("GET", path, params=params, headers={"Accept": "application/json"})
        content = answer["content"]
        if isinstance(content, str):
            content = [{"event": content}]
        records += [record if isinstance(record, dict) else {"event": str(record)} for record in content]
        return records

    def log(self, ti: TaskInstance, try_number: int = 1) -> str:
        """The text of one try's log: the events, line by line, with an error's traceback where it has one."""
        return "\n".join(line for record in self.log_records(ti, try_number) for line in event_lines(record))

    def wait_for_log(self, ti: TaskInstance, words: str, *, try_number: int = 1, seconds: float = 180) -> None:
        """Wait until the log of a try shows these words, of its Job or of ours."""
        until(
            f"{words!r} in the log of {ti.dag_id}",
            lambda: words in self.log(ti, try_number),
            seconds=seconds,
            every=0.5,
            seen=lambda: self._describe(ti),
        )


def times_printed(log: str, words: str) -> int:
    """How often a container has printed these words, as a log shows it. An error that quotes its last line does not count."""
    return sum(words in line and "the last line of the log" not in line for line in log.splitlines())


def event_lines(record: dict[str, Any]) -> list[str]:
    """One log record as lines for people, without colours."""
    lines = _ANSI.sub("", str(record.get("event", ""))).splitlines() or [""]
    for error in record.get("error_detail") or ():
        lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return lines
