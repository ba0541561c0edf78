"""Throws random and mutated files and argument lists at the command line, and says which call ended as none may.

    python thrown_inputs.py FOLDER KUBECONFIG SEED COUNT

Promise: each call is a process of its own, in FOLDER, with its own standard input; one that does not end within a minute is
killed and counts as one that hangs. Each line of stdout is a call that ended wrong, as JSON; the last one has the counts.
The server of KUBECONFIG has to refuse everything at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from random import Random

from manifest_texts import FRAGMENTS, Texts

#: Seconds.
LONGEST = 60

JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: thrown, namespace: etl, labels: {team: data}}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 60
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: base
          image: a:1
          command: [sh, -c, "echo $A"]
          env: [{name: A, value: "1"}]
          resources: {limits: {memory: 64Mi}}
      volumes: [{name: v, emptyDir: {}}]
"""
OTHERS = (
    "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {}}}\n",
    "apiVersion: v1\nkind: List\nitems: [{kind: Job}, {kind: Pod}]\n",
    "kind: Pod\nspec: {containers: [{name: a, image: b}]}\n",
    "a: 1\n---\nb: 2\n",
)
_OPTIONS = {
    "run": (
        *(
            "--image",
            "--manifest",
            "-n",
            "--namespace",
            "--name",
            "--env",
            "--ttl",
            "--on-finish",
            "--backoff-limit",
            "--startup-timeout",
        ),
        *(
            "--timeout",
            "--keep",
            "--no-logs",
            "--raw",
            "--kubeconfig",
            "--context",
            "-v",
            "--",
            "--help",
            "--field-validation",
        ),
        "--from-cron-job",
    ),
    "delete": (
        *(
            "--uid",
            "-l",
            "--selector",
            "-n",
            "--namespace",
            "--wait-for",
            "--timeout",
            "--release-stuck",
            "--release-after",
        ),
        *("--propagation-policy", "--only-if", "--include-owned", "--json", "--kubeconfig", "--context", "-v", "--"),
    ),
    "doctor": (
        "-n",
        "--namespace",
        "-A",
        "--job",
        "--json",
        "--fix",
        "--yes",
        "--rbac",
        "--kubeconfig",
        "--context",
        "-v",
        "--watch -A -n",
    ),
}
_VALUES: tuple[str | bytes, ...] = (
    *(
        "",
        " ",
        "a",
        "A",
        "-",
        "--",
        "..",
        "../..",
        "/",
        ".",
        "~",
        "a/b",
        "a b",
        " a ",
        "größe",
        "報告",
        "🙂",
        "\n",
        "a\nb",
        "\x1b[31m",
        "%s",
        "{}",
        "None",
    ),
    *(
        "0",
        "1",
        "-1",
        "1e9",
        "1.5",
        "nan",
        "inf",
        "99999999999999999999",
        "0x10",
        "true",
        "never",
        "A=1",
        "A=",
        "=1",
        "=",
        "A=ö",
        "keep",
        "delete",
    ),
    *(
        "succeeded=delete",
        "failed=keep",
        "gone",
        "accepted",
        "ours",
        "gc",
        "any",
        "finished",
        "Orphan",
        "strict",
        "app=a",
        "app in (a,b)",
        "app!",
        "!app",
    ),
    *(
        "app=a,b",
        ",",
        "a" * 64,
        "a" * 300,
        "x" * 100_000,
        "manifest.yaml",
        "kubeconfig",
        "absent.yaml",
        "/dev/null",
        "/dev/zero",
        "/dev/urandom",
        "/proc/self/mem",
    ),
    *(
        "etl",
        "Etl",
        "20261",
        "2026-01-01",
        "a:1",
        "@x",
        "localhost:5000/a@sha256:1",
        "00000000-0000-0000-0000-000000000000",
        b"\xff\xfe",
        b"a\xe9",
    ),
)


class Thrower:
    """Makes calls: a command, its arguments and its files."""

    def __init__(self, random: Random, kubeconfig: Path) -> None:
        self._random = random
        self._kubeconfig = kubeconfig.read_bytes()
        self._texts = Texts(random)

    def call(self, folder: Path) -> tuple[list[bytes], Path]:
        """Write the files of a call; its arguments and its standard input."""
        (folder / "manifest.yaml").write_bytes(self._manifest())
        (folder / "kubeconfig").write_bytes(self._config())
        stdin = folder / self._random.choice(("manifest.yaml", "manifest.yaml", "kubeconfig"))
        if self._random.random() < 0.4:
            arguments: list[str | bytes] = ["run", "--manifest", self._random.choice(("manifest.yaml", "-"))]
        elif self._random.random() < 0.1:
            arguments = [self._random.choice((*_OPTIONS, "--kubeconfig")), "--kubeconfig", "kubeconfig"]
        else:
            arguments = self._arguments()
        return [one.encode() if isinstance(one, str) else one for one in arguments], stdin

    def _arguments(self) -> list[str | bytes]:
        command = (
            self._random.choice((*_OPTIONS, "run", "", "help", "-x"))
            if self._random.random() < 0.1
            else self._random.choice(list(_OPTIONS))
        )
        arguments: list[str | bytes] = [command]
        for _ in range(self._random.randint(0, 5)):
            if self._random.random() < 0.75:
                arguments += self._random.choice(_OPTIONS.get(command, ("--help", "--version"))).split()
            if self._random.random() < 0.7:
                arguments.append(self._random.choice(_VALUES))
        return arguments

    def _manifest(self) -> bytes:
        kind = self._random.random()
        if kind < 0.2:
            text = self._texts.text()
        else:
            text = JOB if self._random.random() < 0.8 else self._random.choice(OTHERS)
            for _ in range(self._random.randint(0, 4)):
                text = self._changed(text)
        encoding = self._random.choice(("utf-8",) * 8 + ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"))
        return self._damaged(text.encode(encoding, "replace"))

    def _changed(self, text: str) -> str:
        """A word, a line or a place of it is another one."""
        kind = self._random.random()
        if kind < 0.4:
            lines = text.splitlines(keepends=True)
            if not lines:
                return text
            at = self._random.randrange(len(lines))
            lines[at] = self._random.choice(("", lines[at] * 2, f"  {lines[at]}", lines[at].lstrip(" ")))
            return "".join(lines)
        if kind < 0.8:
            words = text.split(" ")
            words[self._random.randrange(len(words))] = self._random.choice(
                ("10:30", "{}", "[]", "null", "~", "-1", "1.5", "yes", "'x'", "x", "[{}]", "{a: }")
            )
            return " ".join(words)
        at = self._random.randint(0, len(text))
        return text[:at] + self._random.choice(FRAGMENTS) + text[at + self._random.choice((0, 1)) :]

    def _damaged(self, data: bytes) -> bytes:
        if self._random.random() < 0.9:
            return data
        at = self._random.randint(0, len(data))
        return self._random.choice(
            (
                data[:at],
                data[:at] + bytes([self._random.randrange(256)]) + data[at:],
                self._random.randbytes(64),
                b"\x1f\x8b" + data,
            )
        )

    def _config(self) -> bytes:
        """A kubeconfig that is damaged, but leads nowhere else."""
        text = self._kubeconfig.decode()
        server = next(word for word in text.split('"') if word.startswith("http"))
        changed = text
        for _ in range(self._random.randint(0, 2)):
            changed = self._changed(changed)
        return (changed if server in changed else text.replace(server, "")).encode()


def ended(arguments: list[bytes], folder: Path, stdin: Path) -> tuple[int, str]:
    """Run one call in a child of this process, which has imported everything; its exit code and all that it wrote."""
    output = folder / "output"
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for descriptor, file, flags in ((0, stdin, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(file, flags), descriptor)
        os.dup2(1, 2)
        sys.argv = ["unique-k8s-job", *map(os.fsdecode, arguments)]
        signal.alarm(LONGEST)
        from unique_k8s_job.cli.program import main

        main()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output.read_bytes().decode("utf-8", "replace")


def wrong(code: int, output: str) -> str | None:
    """What is wrong with the end of a call."""
    if code == -signal.SIGALRM:
        return "it hangs"
    if code not in (0, 1, 124, 125, 130):
        return f"exit code {code}"
    if "Traceback" in output or "internal error" in output:
        return "a fault"
    return None if output.strip() else "it says nothing"


def throw(folder: Path, kubeconfig: Path, seed: int, count: int) -> None:
    """Throw, and print what went wrong, and the counts."""
    import unique_k8s_job.cli.command_line  # noqa: F401 before the first child

    os.environ["KUBECONFIG"] = str(kubeconfig)
    thrower = Thrower(Random(seed), kubeconfig)
    codes: Counter[int] = Counter()
    for number in range(count):
        arguments, stdin = thrower.call(folder)
        code, output = ended(arguments, folder, stdin)
        codes[code] += 1
        if why := wrong(code, output):
            shown = [os.fsdecode(one)[:80] for one in arguments]
            manifest = (folder / "manifest.yaml").read_bytes().decode("utf-8", "replace")
            print(
                json.dumps(
                    {"number": number, "why": why, "arguments": shown, "manifest": manifest, "output": output[-1500:]}
                ),
                flush=True,
            )
    print(json.dumps({"calls": count, "codes": codes}), flush=True)


if __name__ == "__main__":
    throw(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
