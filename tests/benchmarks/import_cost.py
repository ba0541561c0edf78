"""What an import adds to a process that has Airflow loaded already, as every DAG parse has.

The modules are compiled beforehand, as pip does when it installs a package; else an import would compile them each time
where `PYTHONDONTWRITEBYTECODE` is set.
"""

from __future__ import annotations

import json
import statistics
import subprocess

ROUNDS = 7

PROBE = """
import json, os, sys, time
import airflow.sdk
from airflow.sdk import DAG, BaseHook, BaseOperator
from airflow.triggers.base import BaseTrigger

def sockets():
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return sum(link.startswith("socket:") for link in links)

def state():
    pages = int(open("/proc/self/statm").read().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, threads, sockets(), len(sys.modules)

before = state()
began = time.perf_counter()
exec(sys.argv[1])
ms = (time.perf_counter() - began) * 1000
after = state()
print(json.dumps({
    "ms": ms, "MiB": after[0] - before[0], "threads": after[1], "sockets": after[2] - before[2],
    "modules": after[3] - before[3], "native": any(name.endswith("._core") and "unique_k8s_job" in name for name in sys.modules),
}))
"""

IMPORT = "from unique_k8s_job import UniqueK8sJobOperator"
HUNDRED = (
    IMPORT
    + "\nwith DAG('many', schedule=None):\n for i in range(100):\n"
    + "  UniqueK8sJobOperator(task_id=f't{i}', image='busybox', cmds=['true'])"
)
PEER = "from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator"
COMPILE = """
import compileall, importlib.util, sys
[folder] = importlib.util.find_spec(sys.argv[1]).submodule_search_locations
compileall.compile_dir(folder, quiet=1)
"""


def measure(python: str, peer: str | None) -> list[tuple[str, str]]:
    _compile(python, "unique_k8s_job")
    rows = [
        ("import of our operator, on top of airflow.sdk", _describe(python, IMPORT)),
        ("the same and a DAG of 100 operators", _describe(python, HUNDRED)),
    ]
    if peer:
        _compile(peer, "airflow.providers.cncf.kubernetes")
        rows.append(("import of cncf's KubernetesJobOperator", _describe(peer, PEER)))
    return rows


def _compile(python: str, package: str) -> None:
    subprocess.run([python, "-c", COMPILE, package], check=True)


def _describe(python: str, statement: str) -> str:
    found = [_probe(python, statement) for _ in range(ROUNDS)]
    ms = statistics.median(one["ms"] for one in found)
    mib = statistics.median(one["MiB"] for one in found)
    last = found[-1]
    native = "native module loaded" if last["native"] else "native module not loaded"
    return (
        f"{ms:.1f} ms, {mib:.1f} MiB, {last['modules']:.0f} modules, {last['threads']:.0f} thread(s) in all, "
        f"{last['sockets']:.0f} sockets, {native}"
    )


def _probe(python: str, statement: str) -> dict[str, float]:
    done = subprocess.run([python, "-c", PROBE, statement], capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer
