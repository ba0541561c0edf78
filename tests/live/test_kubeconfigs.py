"""kubectl and we take a kubeconfig to mean the same: both get in, as the same user, or neither does."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from certificates import Authority
from kubeconfigs import Case, Corpus, Reality
from one_node_cluster import CHECKOUT, OneNodeCluster
from unique_k8s_job import native
from unique_k8s_job.exceptions import UniqueK8sJobError

#: Where kubectl gets in and we do not, or the other way; the page says why.
DIFFERENT = {
    "a key twice": "A key that stands twice",
    "server certificate, P-521": "P-521",
    "client certificate, P-521": "P-521",
    "CA:TRUE of an authority": "CA:TRUE",
    "certificate for any purpose": "any purpose",
    "wildcard of all": "`*.example`",
    "a text for true": "in quotes",
}
PAGE = CHECKOUT / "docs" / "kubeconfig.md"
#: Nothing here waits for a server that may come back; the longest of it is the start of a process.
AT_ONCE = 20.0


@pytest.fixture(scope="module")
def reality(cluster: OneNodeCluster) -> Reality:
    def token(user: str) -> str:
        found: str = yaml.safe_load(cluster.kubeconfig(user).read_text())["users"][0]["user"]["token"]
        return found

    config = yaml.safe_load(cluster.kubeconfig().read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    keys = cluster.kubeconfig().parents[1] / "pki"
    authority = Authority.read(keys / "ca.crt", keys / "ca.key")
    return Reality(str(server.hostname), int(server.port or 443), authority, token("admin"), token("airflow"))


def clean(home: Path, case: Case) -> dict[str, str]:
    """The environment of a case."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return {**kept, "HOME": str(home), "KUBECONFIG": case.files, **case.environment}


@contextmanager
def environment(wanted: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def of_kubectl(program: Path, home: Path, case: Case, variables: dict[str, str]) -> Any:
    """The identity that kubectl has, or what it says instead."""
    context = [f"--context={case.context}"] if case.context else []
    ended = subprocess.run(
        [str(program), "kubectl", *context, "auth", "whoami", "-o", "json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=variables, cwd=home, timeout=120, check=False,
    )  # fmt: skip
    if ended.returncode:
        return ended.stderr.strip() or f"exit code {ended.returncode}"
    info = json.loads(ended.stdout)["status"]["userInfo"]
    extra = {key: sorted(values) for key, values in info.get("extra", {}).items()}
    return {
        "user": info.get("username"),
        "uid": info.get("uid"),
        "groups": sorted(info.get("groups", [])),
        "extra": extra,
    }


def of_us(case: Case, variables: dict[str, str]) -> Any:
    """The same of ours."""
    with environment(variables):
        try:
            info = native.identity(native.Cluster({"source": "default", "context": case.context}))
        except UniqueK8sJobError as error:
            return str(error)
    extra = {key: sorted(values) for key, values in info["extra"].items()}
    return {"user": info["user"], "uid": info["uid"], "groups": sorted(info["groups"]), "extra": extra}


def test_every_kubeconfig_means_what_kubectl_takes_it_to_mean(
    cluster: OneNodeCluster, reality: Reality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "cases").mkdir()
    corpus = Corpus(reality, tmp_path / "cases")
    begun = time.monotonic()
    try:
        cases = list(corpus.cases())
        variables = [clean(home, case) for case in cases]
        late: list[str] = []
        ours: list[Any] = []
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            theirs = pool.map(partial(of_kubectl, cluster.program, home), cases, variables)
            for case, its in zip(cases, variables, strict=True):
                asked = time.monotonic()
                ours.append(of_us(case, its))
                if time.monotonic() - asked > AT_ONCE:
                    late.append(f"{case.name}: {time.monotonic() - asked:.0f} s: {ours[-1]}")
        counts = Counter[str]()
        wrong = []
        for case, kubectl, we in zip(cases, theirs, ours, strict=True):
            gets_in = isinstance(kubectl, dict)
            same = we == kubectl if gets_in else isinstance(we, str)
            if same is (case.name in DIFFERENT):
                wrong.append(f"{case.name}\n  kubectl: {kubectl}\n  we: {we}")
            counts["documented differences" if not same else "both get in" if gets_in else "neither gets in"] += 1
    finally:
        corpus.close()
    with capsys.disabled():
        seen = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        print(f"\n{len(cases)} kubeconfigs: {seen}; {time.monotonic() - begun:.0f} s")
    assert not wrong, f"{len(wrong)} of {len(cases)}\n" + "\n".join(wrong)
    assert not late, "\n".join(late)
    assert len(cases) >= 40
    assert counts["both get in"] >= 20
    assert counts["neither gets in"] >= 20


def test_each_documented_difference_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert [words for words in DIFFERENT.values() if words not in text] == []
