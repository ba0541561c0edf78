"""A StatsD server that keeps what Airflow sends about our Jobs: a real UDP socket of the loopback.

Promise: once `start` has returned, nothing that is sent to `port` is lost for want of a reader. `stop` ends the reader.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass

from waiting import until

#: As Airflow sends it with `[metrics] statsd_influxdb_enabled`: `name,dag_id=d,task_id=t:1|c`.
_LINE = re.compile(r"(?P<name>[^,:]+)(?P<tags>(?:,[^:]*)?):(?P<value>[^|]+)\|(?P<kind>\w+)")


@dataclass(frozen=True)
class Metric:
    """One metric as it was received."""

    name: str
    tags: dict[str, str]
    value: float
    #: `c`: a counter; `ms`: a duration.
    kind: str


class MetricsListener:
    """What was received so far; `settings` make an Airflow send its metrics here."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._received: list[Metric] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._reader.join(10)
        self._socket.close()

    def settings(self) -> dict[str, str]:
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_PREFIX": "airflow",
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            # The others would fill the buffer of the socket while nobody has time to read.
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "unique_k8s_job",
        }

    def of_task(self, dag_id: str, task_id: str) -> dict[str, Metric]:
        """The metrics of one task by name, without Airflow's prefix."""
        prefix = "airflow."
        return {
            metric.name.removeprefix(prefix): metric
            for metric in list(self._received)
            if (metric.tags.get("dag_id"), metric.tags.get("task_id")) == (dag_id, task_id)
        }

    def wait_for(self, dag_id: str, task_id: str, name: str) -> dict[str, Metric]:
        """The metrics of one task, once this one is among them: that which a task sends last."""

        def arrived() -> dict[str, Metric] | None:
            sent = self.of_task(dag_id, task_id)
            return sent if name in sent else None

        return until(f"{name} of {task_id}", arrived, seconds=30)

    def _read(self) -> None:
        while text := self._socket.recv(65536).decode(errors="replace"):
            for line in text.splitlines():
                found = _LINE.fullmatch(line)
                if found and "unique_k8s_job." in found["name"]:
                    tags = dict(tag.split("=", 1) for tag in found["tags"].split(",") if "=" in tag)
                    self._received.append(Metric(found["name"], tags, float(found["value"]), found["kind"]))
