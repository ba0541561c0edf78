"""However a `run` ends, its Job is deleted, or left as told, and named; the exit code is one of the documented ones.

Signals at 200 random moments and streams that break at 80, against a small API server, so that every moment is reached in a
minute; some of both on the real cluster. The moments are those of a seeded generator: a failure names its own.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from command_line import PROGRAM
from one_node_cluster import IMAGE, OneNodeCluster, names
from small_api_server import SmallApiServer
from unique_k8s_job.cli.exit_codes import INTERRUPTED, OUR_ERROR, SUCCESS
from waiting import until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
#: So many processes at a time.
AT_ONCE = 4


@dataclass
class Call:
    """One `run` under way, and what it has said."""

    process: subprocess.Popen[bytes]
    #: By stream, as far as it has a reader.
    said: dict[str, str] = field(default_factory=dict)

    def is_met(self, sent: signal.Signals) -> bool:
        """Whether the program catches a signal by now. SIGHUP is caught by nobody else, and SIGINT by Python, too."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return True
        caught = next((line for line in status.splitlines() if line.startswith("SigCgt")), "SigCgt: 0")
        mask = int(caught.split()[1], 16)
        return all(mask & 1 << (number - 1) for number in {signal.SIGHUP, sent} - {signal.SIGPIPE})

    @property
    def text(self) -> str:
        return "".join(self.said.values())

    def end(self, what: str) -> int:
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{what}: not ended after 90 s\n{self.text}") from None


@contextmanager
def started(kubeconfig: Path, *arguments: str, broken: dict[str, str] | None = None) -> Iterator[Call]:
    """A call of `run`.

    :param broken: by stream: `full`, `closed`, or `gone`, whose reader `break_off` ends
    """
    broken = broken or {}
    places: dict[str, int] = {
        name: os.open("/dev/full", os.O_WRONLY) if broken.get(name) == "full" else subprocess.PIPE
        for name in ("stdout", "stderr")
    }
    closed = [number for name, number in (("stdout", 1), ("stderr", 2)) if broken.get(name) == "closed"]
    redirect = " ".join(f"{number}>&-" for number in closed)
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" {redirect}', "bash", str(PROGRAM), "run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=places["stdout"],
        stderr=places["stderr"],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    call = Call(process)

    def read(name: str, pipe: IO[bytes]) -> None:
        call.said[name] = ""
        while data := os.read(pipe.fileno(), 65536):
            call.said[name] += data.decode(errors="replace")

    readers = []
    for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
        if pipe is not None and broken.get(name) != "gone":
            readers.append(threading.Thread(target=read, args=(name, pipe), daemon=True))
            readers[-1].start()
    try:
        yield call
        for reader in readers:
            reader.join(10)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        for place in places.values():
            if place != subprocess.PIPE:
                os.close(place)


@pytest.fixture(scope="module")
def how_long(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a whole call takes on this machine while others run beside it."""

    def one(folder: Path) -> float:
        began = time.monotonic()
        with SmallApiServer(answers_after=0.1).serving() as server, started(server.kubeconfig(folder), *JOB) as call:
            assert call.end("a plain call") == SUCCESS, call.text
        return time.monotonic() - began

    folders = [tmp_path_factory.mktemp("plain") for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return max(pool.map(one, folders))


JOB = ("--image", IMAGE, "--", "work")


def ended_by_signal(number: int, folder: Path, how_long: float) -> str:
    """Send one signal at a random moment; what became of the run, for the count."""
    chance = random.Random(number)
    sent, keep = SIGNALS[number % len(SIGNALS)], number % 7 == 0
    moment = chance.uniform(0, how_long)
    what = f"no. {number}: {sent.name} after {moment:.3f} s{', --keep' if keep else ''}"
    with (
        SmallApiServer(lasts=0.5, answers_after=chance.choice((0.0, 0.1, 0.4))).serving() as server,
        started(server.kubeconfig(folder), *(("--keep",) if keep else ()), *JOB) as call,
    ):
        time.sleep(moment)
        met = call.is_met(sent)
        call.process.send_signal(sent)
        code = call.end(what)
    shown = f"{what}: exit code {code}\n{call.text}"
    # While Python imports `site`, nobody can catch SIGINT: it ends as by the signal, or says that it could not begin.
    if not met and (code < 0 or "Fatal Python error: init_" in call.text):
        assert not server.made, shown
        return "before the program began"
    # Python prints and forgets a KeyboardInterrupt that it meets while it looks for the program.
    if not met and "Failed checking if argv[0] is an import path entry" in call.text:
        assert code == SUCCESS and server.made, shown
        return "before the program began"
    assert "Traceback" not in call.text, shown
    if sent is signal.SIGPIPE:
        assert code == SUCCESS, shown
    assert code in (SUCCESS, INTERRUPTED), shown
    for name in server.made:
        assert f"etl/{name}" in call.said["stderr"], shown
    left = set(server.made) - server.deleted
    if code == INTERRUPTED and left:
        assert keep, shown
        assert f"kubectl -n etl delete job {next(iter(left))}" in call.said["stderr"], shown
    if code == SUCCESS:
        assert "succeeded" in call.said["stderr"], shown
        return "ended before it"
    return "left" if left else "deleted" if server.made else "not made"


def test_signal_at_any_moment_leaves_no_job_unnamed(tmp_path: Path, how_long: float) -> None:
    folders = [tmp_path / str(number) for number in range(200)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(lambda number: ended_by_signal(number, folders[number], how_long), range(200)))
    count = Counter(ends)
    print(f"200 signals within {how_long:.1f} s of a run: {dict(count)}")
    assert count["deleted"] > 10 and count["not made"] > 10, count


BREAKAGES: list[dict[str, str]] = [
    {"stdout": "full"},
    {"stderr": "full"},
    {"stdout": "full", "stderr": "full"},
    {"stdout": "closed"},
    {"stderr": "closed"},
    {"stdout": "closed", "stderr": "closed"},
    {"stdout": "gone"},
    {"stderr": "gone"},
    {"stdout": "gone", "stderr": "gone"},
    {"stdout": "full", "stderr": "gone"},
]


def ended_by_stream(number: int, folder: Path, how_long: float) -> str:
    chance = random.Random(number)
    broken = BREAKAGES[number % len(BREAKAGES)]
    moment = chance.uniform(0, how_long)
    keep = number % 3 == 0
    what = f"no. {number}: {broken} after {moment:.3f} s{', --keep' if keep else ''}"
    arguments = (*(("--keep",) if keep else ()), *JOB)
    with SmallApiServer().serving() as server, started(server.kubeconfig(folder), *arguments, broken=broken) as call:
        time.sleep(moment)
        for name in ("stdout", "stderr"):
            pipe = getattr(call.process, name)
            if broken.get(name) == "gone" and pipe is not None:
                pipe.close()
        code = call.end(what)
        at_work = [name for name in server.made if name in server.jobs and not server.has_ended(name)]
    shown = f"{what}: exit code {code}, made {list(server.made)}, deleted {server.deleted}\n{call.text}"
    assert "Traceback" not in call.text, shown
    # A run that has told the outcome of its Job before is over.
    assert code in (SUCCESS, OUR_ERROR), shown
    # What was told to a reader who then went away with it was told.
    if call.said and not (code == SUCCESS and broken.get("stderr") == "gone"):
        for name in server.made:
            assert f"etl/{name}" in call.text, shown
    left = set(server.made) - server.deleted
    if broken == {"stdout": "gone"}:
        assert code == SUCCESS, shown
    if code == OUR_ERROR:
        assert not left or keep, shown
        return "left" if left else "deleted" if server.made else "not made"
    assert server.made and not at_work, shown
    return "to its end"


def test_stream_that_breaks_at_any_moment_leaves_no_job_unnamed(tmp_path: Path, how_long: float) -> None:
    folders = [tmp_path / str(number) for number in range(80)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(lambda number: ended_by_stream(number, folders[number], how_long), range(80)))
    count = Counter(ends)
    print(f"80 broken streams: {dict(count)}")
    assert count["deleted"] > 3 and count["to its end"] > 3 and count["left"] > 0, count


def test_on_the_real_cluster_too(cluster: OneNodeCluster, namespace: str, tmp_path: Path) -> None:
    script = "trap 'exit 0' TERM; i=0; while true; do echo $((i=i+1)); sleep 0.1; done"
    said: list[str] = []

    def one(number: int) -> None:
        chance = random.Random(number)
        broken = BREAKAGES[number % len(BREAKAGES)] if number % 2 else {}
        arguments = ("--namespace", namespace, "--image", IMAGE, "--", "sh", "-c", script)
        with started(cluster.kubeconfig(), *arguments, broken=broken) as call:
            time.sleep(chance.uniform(0.5, 5))
            for name in ("stdout", "stderr"):
                pipe = getattr(call.process, name)
                if broken.get(name) == "gone" and pipe is not None:
                    pipe.close()
            # That a reader is gone is met by the next text, and there may be none before the Job ends.
            if not any(word in broken.values() for word in ("full", "closed")):
                call.process.send_signal(SIGNALS[number % 4])
            code = call.end(f"no. {number}")
        assert "Traceback" not in call.text, call.text
        assert code in (OUR_ERROR, INTERRUPTED), f"no. {number} {broken}: {code}\n{call.text}"
        said.append(call.text)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(12)))
    left = until("every Job gone", lambda: [] == names(cluster.jobs(namespace)), seconds=30, seen=lambda: "".join(said))
    assert left


@pytest.mark.parametrize("command", [("doctor",), ("doctor", "--json"), ("delete", "--json", "train"), ("--help",)])
@pytest.mark.parametrize(
    "redirect", ["> /dev/full", "2> /dev/full", ">&-", "2>&-", "| true", "2>&1 | true", "2> >(true)"]
)
def test_other_commands_end_with_a_documented_code_whatever_becomes_of_their_streams(
    command: tuple[str, ...], redirect: str, tmp_path: Path
) -> None:
    with SmallApiServer(lasts=60).serving() as server:
        server.store({"metadata": {"name": "train"}, "spec": {"template": {}}}, "etl")
        ended = subprocess.run(
            ["bash", "-c", f'"$@" {redirect}; exit ${{PIPESTATUS[0]}}', "bash", str(PROGRAM), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "KUBECONFIG": str(server.kubeconfig(tmp_path))},
        )
    lost = redirect in ("> /dev/full", ">&-")
    assert ended.returncode == (OUR_ERROR if lost else SUCCESS), ended
    assert "Traceback" not in ended.stderr + ended.stdout, ended
    if command[0] == "delete":
        assert server.deleted == {"train"}, ended
