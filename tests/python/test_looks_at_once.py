"""Many sensors that look at once, with the native module and an API server that never answers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import yaml

from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

AT_ONCE = 100


@pytest.fixture
def silent_server(tmp_path: Path) -> Path:
    """Return a kubeconfig of a server that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
    place = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = {
        "clusters": [{"name": "silent", "cluster": {"server": place}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
        "current-context": "silent",
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    # Its end would let the requests go on; it is left to the end of the process.
    listener.detach()
    return path


def test_sensors_whose_looks_are_not_answered_leave_the_threads_to_others(silent_server: Path) -> None:
    async def main() -> str:
        triggers = [
            UniqueK8sJobSensorTrigger(
                target={"namespace": "etl", "name": f"job-{number}"},
                connection={"kubernetes_conn_id": None, "config_file": str(silent_server)},
            )
            for number in range(AT_ONCE)
        ]
        looks = [asyncio.ensure_future(anext(trigger.run())) for trigger in triggers]
        await asyncio.sleep(1)
        assert not any(look.done() for look in looks)
        try:
            return await asyncio.wait_for(asyncio.to_thread(lambda: "had its turn"), 10)
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    assert asyncio.run(main()) == "had its turn"
