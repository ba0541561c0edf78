"""An interpreter ends well while threads of ours are about to wake its coroutines."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

#: Hundreds of waiters fail at once, because there is no such kubeconfig file; the program ends with the first of them. The
#: interpreter takes the GIL away all the time, as it does on a machine with much load.
PROGRAM = """
import asyncio, json, sys
from unique_k8s_job import _core

sys.setswitchinterval(1e-6)
cluster = _core.Cluster({"source": "file", "path": "/no/such/kubeconfig", "verify_ssl": True})
job = {"namespace": "etl", "name": "train", "uid": "u"}
request = json.dumps({"version": 1, "job": job, "owner": None, "until": "finished", "get_logs": False})

async def first():
    waiting = [asyncio.ensure_future(_core.Waiter(cluster, request).next()) for _ in range(400)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

asyncio.new_event_loop().run_until_complete(first())
"""


def test_program_that_ends_while_hundreds_are_woken_ends_with_0() -> None:
    def end(_: int) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
        )
        fatal = [line for line in ended.stderr.splitlines() if "Fatal" in line]
        return ended.returncode, "".join(fatal)

    with ThreadPoolExecutor(8) as pool:
        # Three of eighty ended with a signal, before threads of ours left Python first.
        ends = set(pool.map(end, range(80)))
    assert ends == {(0, "")}, ends
