"""No secret in any text: one in every place where one can be, times every failure that the code can have.

A place is a row of `IDENTITIES` or `EVERYWHERE`, a failure a row of one of the tables below; whatever is said, raised or
logged is searched for all secrets at once. What is known of the process list is in `test_process_list_...`.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broken_server import BrokenServer, answer, self_signed, status
from small_api_server import SmallApiServer
from unique_k8s_job import (
    K8sJobDeleteOperator,
    UniqueK8sJobOperator,
    UniqueK8sJobSensor,
    UniqueK8sJobTrigger,
    debug_log,
    native,
)
from unique_k8s_job.cli import version
from unique_k8s_job.described import fault
from unique_k8s_job.exceptions import UniqueK8sJobError
from unique_k8s_job.hooks import kubernetes as hook
from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook, cluster_configuration
from unique_k8s_job.manifest.encoding import decoded
from unique_k8s_job.manifest.read import read_manifest
from unique_k8s_job.request.arguments import env_vars, given
from unique_k8s_job.request.delete import _target as delete_target
from unique_k8s_job.request.job import plain_request
from unique_k8s_job.task import identity, stop_in_trigger, stop_in_worker, triggerer
from unique_k8s_job.task.known_names import KnownNames
from unique_k8s_job.task.trigger_event import unreadable
from unique_k8s_job.triggers import connection as trigger_connection
from unique_k8s_job.triggers import job as triggers
from unique_k8s_job.triggers import sensor as sensor_trigger
from unique_k8s_job.triggers.sensor import UniqueK8sJobSensorTrigger

PROGRAM = Path(sys.executable).parent / "unique-k8s-job"
MARK = "hunter2"

Config = dict[str, Any]
#: The secrets that the test of this moment holds, and for each test how many of them were searched for.
_held: set[str] = set()
_counted: dict[str, int] = {}


def secret(place: str) -> str:
    """The secret of a place: each is another, so that a leak names its place."""
    return holding(f"{MARK}-{place}-x")


def holding(text: str) -> str:
    """Take note of the places whose secrets a text of this test holds; returns it."""
    _held.update(re.findall(rf"{MARK}-[^-]*-x", text))
    return text


def hidden(text: str) -> list[str]:
    """All forms in which a part of a secret could stand in a text."""
    text = text.lower()
    forms = [MARK, base64.b64encode(MARK.encode()).decode().rstrip("=")[:-1].lower(), MARK.encode().hex()]
    return [form for form in forms if form in text]


def whole(error: BaseException) -> str:
    """All that can be printed of an exception, with what it was raised from and in."""
    seen: set[int] = set()
    texts = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        texts += [
            str(each),
            repr(each),
            repr(each.args),
            repr(getattr(each, "facts", "")),
            repr(getattr(each, "seen", "")),
        ]
        texts += [repr(note) for note in getattr(each, "__notes__", [])]
        texts += traceback.format_exception(type(each), each, each.__traceback__)
        todo += [each.__cause__, each.__context__]
    return "\n".join(texts)


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every logger at DEBUG, that of the native core, too."""
    _held.clear()
    caplog.set_level(logging.DEBUG)
    # The native core's, at `trace`; the variable is for programs that a test starts.
    caplog.set_level(debug_log.LEVELS["trace"], debug_log.NAME)
    monkeypatch.setenv(debug_log.VARIABLE, "trace")
    monkeypatch.setenv("RUST_LOG", "trace")
    for name in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def searched(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Search what is handed over, with all that was printed and logged since; returns it, so that it can be looked into."""

    def search(what: str, *texts: object) -> str:
        debug_log.flush()
        out, err = capfd.readouterr()
        found = "\n".join([*map(str, texts), out, err, caplog.text, *(repr(vars(record)) for record in caplog.records)])
        assert not hidden(found), f"{what}: {[line for line in found.splitlines() if hidden(line)][:5]}"
        caplog.clear()
        table = request.node.originalname.removeprefix("test_")
        _counted[table] = _counted.get(table, 0) + max(1, len(_held))
        return found

    yield search


# --- the places --------------------------------------------------------------------------------------------------------


def _plugin(folder: Path, script: str) -> Config:
    file = folder / "plugin"
    file.write_text(holding(f"#!/bin/sh\n{script}\n"))
    file.chmod(0o700)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(file),
            "args": [secret("argument"), f"--key={secret('option')}"],
            "env": [{"name": "WORD", "value": secret("variable")}],
            "installHint": f"see https://u:{secret('hint')}@host",
            "interactiveMode": "Never",
            "provideClusterInfo": True,
        }
    }


def _issued(folder: Path) -> Config:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": secret("issued")},
    }
    return _plugin(folder, f"echo {secret('stderr')} >&2; cat <<'END'\n{json.dumps(credential)}\nEND")


def _token_file(folder: Path) -> Config:
    (folder / "token").write_text(secret("file") + "\n")
    return {"tokenFile": str(folder / "token")}


def _client_key(folder: Path) -> Config:
    pem = base64.b64encode(
        f"-----BEGIN PRIVATE KEY-----\n{secret('key')}\n-----END PRIVATE KEY-----\n".encode()
    ).decode()
    return {"client-certificate-data": pem, "client-key-data": pem}


#: Who we are: each is a user of a kubeconfig, with secrets in all that it has.
IDENTITIES: dict[str, Callable[[Path], Config]] = {
    "token": lambda _: {"token": secret("token")},
    "token file": _token_file,
    "basic": lambda _: {"username": "joe", "password": secret("password")},
    "plugin": _issued,
    "client key": _client_key,
    "provider": lambda _: {"auth-provider": {"name": "oidc", "config": {"id-token": secret("id")}}},
}

#: Where a secret is besides, whoever we are: userinfo and query of the server's URL.
EVERYWHERE = ("server's userinfo", "server's query")


def kubeconfig(user: Config, server: str, **cluster: Any) -> Config:
    """A kubeconfig; secrets are also in the userinfo and the query of its server."""
    scheme, _, place = server.partition("://")
    url = f"{scheme}://u:{secret('userinfo')}@{place}/?token={secret('query')}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "etl"}}],
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }


#: To a server without TLS no credential would be sent.
UNPROVED = {"insecure-skip-tls-verify": True}


def tls(folder: Path) -> Path:
    """Certificate and key of a server."""
    return self_signed(folder / "tls.pem", "localhost")


def survey(configuration: Config) -> str:
    """What is said of a cluster that does not work; by the hook's button, and by the command line's overview."""
    said = []
    cluster = native.Cluster(configuration)
    said.append(repr(cluster))
    try:
        looking = native.Survey(cluster, "etl")
        while piece := looking.next():
            said.append(piece)
    except Exception as error:  # noqa: BLE001  # whatever is raised is searched
        said.append(whole(error))
    return "\n".join(said)


# --- the failures ------------------------------------------------------------------------------------------------------

HTML = f"<html><body>Bad gateway {'x' * 9}</body></html>"

#: What a server says, and a word that tells that the failure was this one.
SERVERS: dict[str, tuple[bytes, str]] = {
    "401": (status(401), "401"),
    "403": (status(403), "403"),
    "404": (status(404), "404"),
    "422": (status(422), "422"),
    "429": (status(429), "429"),
    "500": (status(500), "500"),
    "redirect": (answer(302, "", "text/plain", "Location: http://127.0.0.1:1/"), "302"),
    "HTML": (answer(502, HTML, "text/html"), "Bad gateway"),
    "HTML with 200": (answer(200, HTML, "text/html"), "JSON"),
    "another type": (answer(200, '{"items": 5}'), "answer"),
    "cut": (answer(200, "{", length=99), "closed"),
    "no HTTP": (b"\x00\x01\x02 nonsense\r\n\r\n", "HTTP"),
    "closed at once": (b"", ""),
}


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("failure", SERVERS)
def test_server_that_fails(failure: str, identity: str, tmp_path: Path, searched: Callable[..., str]) -> None:
    says, word = SERVERS[failure]
    with BrokenServer(says, tls(tmp_path)) as server:
        config = kubeconfig(IDENTITIES[identity](tmp_path), f"https://127.0.0.1:{server.port}", **UNPROVED)
        said = searched(failure, survey({"source": "text", "text": json.dumps(config)}))
    if identity != "client key":  # its key is none, which is told first
        assert word in said, said
        assert " try=1" in said, "the debug log is not among what is searched"


CONNECTIONS = (
    "refused",
    "not resolved",
    "unknown issuer",
    "no TLS",
    "proxy refuses",
    "proxy asks",
    "proxy closed",
    "socks",
)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("failure", CONNECTIONS)
def test_connection_that_fails(failure: str, identity: str, tmp_path: Path, searched: Callable[..., str]) -> None:
    user = IDENTITIES[identity](tmp_path)
    with BrokenServer() as closed, BrokenServer(answer(200), at_once=True) as plain:
        closed.close()
        word, server, cluster, proxy = "refused", f"https://127.0.0.1:{closed.port}", {}, ""
        if failure == "not resolved":
            word, server = "cannot be resolved", "https://no.such.name.invalid"
        elif failure == "no TLS":
            word, server = "TLS", f"https://127.0.0.1:{plain.port}"
        elif failure == "unknown issuer":
            other = BrokenServer(answer(200), self_signed(tmp_path / "server.pem", "another.name"))
            word, server = "certificate", f"https://127.0.0.1:{other.port}"
        elif failure.startswith("proxy"):
            code = {"proxy refuses": 503, "proxy asks": 407}.get(failure)
            way = BrokenServer(answer(code) if code else b"")
            word, proxy = "proxy", f"http://u:{secret('proxy')}@127.0.0.1:{way.port}"
        elif failure == "socks":
            word, proxy = "SOCKS", f"socks5://u:{secret('proxy')}@127.0.0.1:{plain.port}"
        if proxy:
            cluster = {"proxy-url": proxy}
        config = kubeconfig(user, server, **cluster)
        said = searched(failure, survey({"source": "text", "text": json.dumps(config)}))
    if identity != "client key":
        assert word in said, said
        assert ("did not answer" in said) is (failure not in ("unknown issuer", "no TLS", "proxy asks")), said


PLUGINS = {
    "fails": (f"echo {secret('stdout')}; echo $WORD $* {secret('stdout')} >&2; exit 3", "exit code 3"),
    "tells a secret of its own": (
        f"echo 'password={secret('own')} token: {secret('second')}' >&2; echo 'Authorization: Bearer {secret('third')}' >&2; exit 4",
        "exit code 4",
    ),
    "is killed": ("kill -9 $$", "SIGKILL"),
    "gives nothing": ("true", "not an ExecCredential"),
    "gives garbage": (f"echo {secret('stdout')}", "not an ExecCredential"),
    "gives another kind": (f'echo \'{{"token": "{secret("stdout")}"}}\'', "not an ExecCredential"),
    "writes without end": (f"yes {secret('stdout')}", "more than 1 MiB"),
    "tells the cluster": ('echo "$KUBERNETES_EXEC_INFO" >&2; exit 1', "exit code 1"),
}


@pytest.mark.parametrize("failure", PLUGINS)
def test_plugin_that_fails(failure: str, tmp_path: Path, searched: Callable[..., str]) -> None:
    script, word = PLUGINS[failure]
    config = kubeconfig(
        _plugin(tmp_path, script), "https://127.0.0.1:1", **{"proxy-url": f"http://u:{secret('p')}@h:1"}
    )
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    for source in (
        {"source": "text", "text": json.dumps(config)},
        {"source": "file", "path": str(tmp_path / "config")},
    ):
        said = searched(failure, survey(source))
        assert word in said and "plugin" in said, said


def test_plugin_that_is_missing_is_told_with_its_hint(tmp_path: Path, searched: Callable[..., str]) -> None:
    config = kubeconfig(_plugin(tmp_path, ""), "https://127.0.0.1:1")
    config["users"][0]["user"]["exec"]["command"] = "no-such-plugin"
    said = searched("missing", survey({"source": "text", "text": json.dumps(config)}))
    assert "`no-such-plugin`" in said and "not found" in said and "see https://***@host" in said, said


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _with(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    if not path:
        return put
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], put)
    return copy


def test_kubeconfig_with_a_value_of_another_type_at_each_key(tmp_path: Path, searched: Callable[..., str]) -> None:
    user: Config = {
        "token": secret("token"),
        "username": "u",
        "password": secret("password"),
        **_plugin(tmp_path, "true"),
    }
    full = kubeconfig(user, "https://127.0.0.1:1", **{"proxy-url": f"http://u:{secret('proxy')}@h:1"})
    places = list(_paths(full))
    assert len(places) > 30
    wrong: tuple[Any, ...] = ({secret("key"): [secret("value")]}, [secret("value")], secret("value"), None, 5)
    for number, place in enumerate(places):
        # Names are told, on purpose: of a context that there is not, and of those that there are.
        names = place and place[-1] in ("current-context", "name", "cluster", "user")
        for put in [one for one in wrong if not (names and isinstance(one, str))]:
            # Another file each time, for a connection is kept by what it was made of.
            file = tmp_path / f"config-{number}-{wrong.index(put)}"
            file.write_text(yaml.safe_dump(_with(full, place, put)))
            try:
                native.Cluster({"source": "file", "path": str(file)}).namespace()
            except UniqueK8sJobError as error:
                searched(f"{put!r} at {place}", whole(error))


BROKEN_YAML = (
    "users: [{name: u, user: {token: %s: x}}]",
    "users:\n- name: u\n  user:\n    token: '%s\n",
    "users:\n- name: u\n   user:\n  token: %s\n",
    "token: %s\n\tuser: x",
    "a: &%s b\nc: *%s-not",
    "token: !%s x",
    "%%%s\n---\na: b",
    'token: "\\q%s"',
    "{token: %s",
    "token: %s\ntoken: %s",
    "? [%s]\n: {%s",
    "%s",
    "- %s",
)


@pytest.mark.parametrize("text", BROKEN_YAML)
def test_kubeconfig_that_is_no_yaml(
    text: str, tmp_path: Path, searched: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text.replace("%s", secret("text")).replace("%%", "%")
    file = tmp_path / "config"
    file.write_text(text)
    for source in ({"source": "file", "path": str(file)}, {"source": "text", "text": text}, {"source": "default"}):
        monkeypatch.setenv("KUBECONFIG", str(file))
        with pytest.raises(UniqueK8sJobError) as caught:
            native.Cluster(source).namespace()
        searched(text, whole(caught.value))
    try:
        cluster_configuration({"kube_config": text})
    except UniqueK8sJobError as error:
        searched(text, whole(error))
    try:
        read_manifest(text)
    except UniqueK8sJobError as error:
        searched(text, whole(error))


def test_token_with_a_control_character_is_an_error_of_the_configuration(searched: Callable[..., str]) -> None:
    for token in (f"{secret('a')}\n{secret('b')}", f"{secret('a')}\x00", f"{secret('a')}\x7f"):
        config = kubeconfig({"token": token}, "https://127.0.0.1:1")
        said = searched("token", survey({"source": "text", "text": json.dumps(config)}))
        assert "ConfigurationError" in said and "control character" in said and "internal error" not in said, said


def _raised(call: Callable[[], object]) -> str:
    try:
        return repr(call())
    except UniqueK8sJobError as error:
        return whole(error)


VALUE = secret("value")

#: No name, and longer than any slip of a name.
TOKEN = f"{VALUE}+{secret('key')}/=="


def read_names(target: dict[str, str]) -> object:
    return native.find_jobs(native.Cluster({"source": "default"}), target)


#: Values of arguments, extras and events that are not what they should be: each may be a secret, put in the wrong place.
ARGUMENTS: dict[str, Callable[[], object]] = {
    "flag of a connection": lambda: cluster_configuration({"in_cluster": VALUE}),
    "other flag": lambda: cluster_configuration({"disable_verify_ssl": VALUE}),
    "kube_config of another type": lambda: cluster_configuration({"kube_config": [VALUE]}),
    "extra of another type": lambda: native.Cluster({**cluster_configuration({}), "namespace": [VALUE]}),
    "configuration that is no dict": lambda: native.Cluster(VALUE),  # type: ignore[arg-type]
    "configuration with half a character": lambda: native.Cluster({"source": "default", "context": f"{VALUE}\udcff"}),
    "configuration with what JSON has not": lambda: native.Cluster(
        {"source": "default", "context": VALUE.encode()}  # type: ignore[typeddict-item]
    ),
    "env value of another type": lambda: env_vars({"A": [VALUE]}),
    "env of another type": lambda: env_vars(VALUE),
    "env with what JSON has not": lambda: env_vars([{"name": "A", "value": VALUE.encode()}]),
    "number": lambda: given(UniqueK8sJobOperator(task_id="t", image="a:1", backoff_limit=VALUE)),  # type: ignore[arg-type]
    "dict": lambda: given(UniqueK8sJobOperator(task_id="t", image="a:1", affinity=VALUE)),  # type: ignore[arg-type]
    "two targets to delete": lambda: delete_target(name="a", uid=None, label_selector=VALUE),
    "manifest whose second document is none": lambda: read_manifest(f"a: {VALUE}\n---\n{VALUE}"),
    "manifest with a key that stands twice": lambda: read_manifest(f"a: {VALUE}\na: {VALUE}"),
    "manifest in JSON with a key that stands twice": lambda: read_manifest(f'{{"a": "{VALUE}", "a": "{VALUE}"}}'),
    "manifest with a number that is none": lambda: read_manifest(f"a: !!int {VALUE}"),
    "manifest with more text": lambda: read_manifest(f"a: {VALUE}\n...\n{VALUE}"),
    "manifest with a separator that is none": lambda: read_manifest(f"a: {VALUE}\n--- {VALUE}"),
    "manifest with an alias of nothing": lambda: read_manifest(f"a: *{VALUE}"),
    "manifest with a character that is none": lambda: read_manifest(f"a: {VALUE}\x07"),
    "manifest in another encoding": lambda: decoded(f"a: {VALUE}é".encode("latin-1"), "job.yaml"),
    "manifest in half of an encoding": lambda: decoded(f"a: {VALUE}".encode("utf-16")[:-1], "job.yaml"),
    "manifest that is a list": lambda: read_manifest(f"[{VALUE}]"),
    "request with an unknown value": lambda: native.job_name({"attempt": VALUE}),
    "request that is no dict": lambda: native.assemble(VALUE),
    "order to delete": lambda: native.delete_jobs(native.Cluster({"source": "default"}), {"target": VALUE}),
    "order with more seconds than any moment is ahead": lambda: native.delete_jobs(
        native.Cluster({"source": "default"}),
        {"target": {"kind": "selector", "labels": VALUE}, "timeout_seconds": 2**64 - 1},
    ),
    "value that is half a character": lambda: plain_request({"manifest": {"a": f"{VALUE}\udcff"}}),
    "value that is no JSON": lambda: plain_request({"manifest": {"a": VALUE.encode()}}),
    "namespace": lambda: read_names({"namespace": TOKEN}),
    "name": lambda: read_names({"namespace": "etl", "name": TOKEN}),
    "namespace of a request": lambda: native.assemble(
        {"attempt": {}, "slug": "a", "default_slug": "a", "namespace": TOKEN}
    ),
    "event of another version": lambda: str(unreadable({"what": VALUE})) + str(unreadable(VALUE)),
}


@pytest.mark.parametrize("failure", ARGUMENTS)
def test_argument_that_is_wrong(failure: str, searched: Callable[..., str]) -> None:
    said = searched(failure, _raised(ARGUMENTS[failure]))
    assert "Error" in said or failure.startswith("event"), said


def _context() -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="etl", run_id="r", task_id="work", map_index=-1, try_number=1, max_tries=2, id="u")
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=0)}


#: Answers to the POST of a Job full of secrets.
REFUSALS = {
    "401": status(401),
    "403": status(403),
    "422": status(422),
    "redirect": answer(302),
    "HTML": answer(404, HTML),
}


@pytest.mark.parametrize("failure", REFUSALS)
def test_operator_whose_job_is_refused(failure: str, tmp_path: Path, searched: Callable[..., str]) -> None:
    with BrokenServer(REFUSALS[failure], tls(tmp_path)) as server:
        config = kubeconfig(IDENTITIES["token"](tmp_path), f"https://127.0.0.1:{server.port}", **UNPROVED)
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        operator = UniqueK8sJobOperator(
            task_id="work",
            kubernetes_conn_id=None,
            config_file=str(tmp_path / "config"),
            image="a:1",
            env_vars={"PASSWORD": secret("env")},
            arguments=[secret("argument")],
            manifest={
                "spec": {"template": {"spec": {"volumes": [{"name": "v", "csi": {"secret": secret("manifest")}}]}}}
            },
        )
        with pytest.raises(UniqueK8sJobError) as caught:
            operator.execute(_context())  # type: ignore[arg-type]
    searched(failure, whole(caught.value))


#: The other classes, each with what it is asked for in the worker.
OTHERS: dict[str, Callable[..., Any]] = {
    "delete": lambda **connection: K8sJobDeleteOperator(
        task_id="t", name="a", namespace="etl", timeout=3, **connection
    ),
    "sensor": lambda **connection: UniqueK8sJobSensor(task_id="t", name="a", namespace="etl", **connection),
}


@pytest.mark.parametrize("failure", ["401", "403", "422", "HTML"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_task_in_the_worker_that_is_refused(
    kind: str, failure: str, tmp_path: Path, searched: Callable[..., str]
) -> None:
    with BrokenServer(REFUSALS[failure], tls(tmp_path)) as server:
        config = kubeconfig(IDENTITIES["token"](tmp_path), f"https://127.0.0.1:{server.port}", **UNPROVED)
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        task = OTHERS[kind](kubernetes_conn_id=None, config_file=str(tmp_path / "config"))
        with pytest.raises(UniqueK8sJobError) as caught:
            task.execute(_context())
    searched(failure, whole(caught.value))


async def _events_of(trigger: Any) -> list[Any]:
    """The payloads of its events; none where it still tries after 3 s, whose words are in the log."""

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    try:
        return await asyncio.wait_for(events(), 3)
    except asyncio.TimeoutError:
        return []


#: What is handed to the triggerer; all of it is stored in the database, and so is the event.
TRIGGERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Job": (
        UniqueK8sJobTrigger,
        {"job": json.dumps({"version": 1, "job": {"namespace": "etl", "name": "a", "uid": "u"}})},
    ),
    "sensor": (UniqueK8sJobSensorTrigger, {"target": {"namespace": "etl", "name": "a"}, "poke_interval": 1.0}),
}


@pytest.mark.parametrize("failure", ["401", "HTML", "fails"])
@pytest.mark.parametrize("kind", TRIGGERS)
def test_what_a_trigger_stores_and_the_event_that_it_sends(
    kind: str, failure: str, tmp_path: Path, searched: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (triggers, sensor_trigger):
        monkeypatch.setattr(module, "HOLD_EVENT", 0.0)
    with BrokenServer(SERVERS[failure][0] if failure in SERVERS else b"", tls(tmp_path)) as server:
        user = _plugin(tmp_path, PLUGINS[failure][0]) if failure in PLUGINS else IDENTITIES["token"](tmp_path)
        config = kubeconfig(user, f"https://127.0.0.1:{server.port}", **UNPROVED)
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        connection = {"kubernetes_conn_id": None, "config_file": str(tmp_path / "config")}
        trigger = TRIGGERS[kind][0](**TRIGGERS[kind][1], connection=connection)

        sent = asyncio.run(_events_of(trigger))
    searched(failure, repr(trigger), trigger.serialize(), repr(vars(trigger)), json.dumps(sent, default=repr))


@pytest.mark.parametrize("kind", TRIGGERS)
def test_trigger_whose_secrets_backend_fails(
    kind: str, monkeypatch: pytest.MonkeyPatch, searched: Callable[..., str]
) -> None:
    def fails(*_: object) -> object:
        raise RuntimeError(secret("backend"))

    for name in ("get_connection", "aget_connection"):
        monkeypatch.setattr(UniqueK8sJobHook, name, fails, raising=False)
    monkeypatch.setattr(trigger_connection, "READ_WITHIN", 1.5)
    for module in (triggers, sensor_trigger):
        monkeypatch.setattr(module, "HOLD_EVENT", 0.0)
    sent = asyncio.run(_events_of(TRIGGERS[kind][0](**TRIGGERS[kind][1], connection={"kubernetes_conn_id": "mine"})))
    said = searched(kind, json.dumps(sent))
    assert "RuntimeError" in json.dumps(sent) and "tried again" in said, said


@pytest.mark.parametrize("left", ["after a while", "by a cancellation"])
@pytest.mark.parametrize("kind", TRIGGERS)
def test_trigger_whose_secrets_backend_fails_once_nobody_waits_for_it(
    kind: str, left: str, monkeypatch: pytest.MonkeyPatch, searched: Callable[..., str]
) -> None:
    begun, release = threading.Event(), threading.Event()

    def fails(*_: object) -> object:
        begun.set()
        release.wait(30)
        raise RuntimeError(secret("backend"))

    async def fails_on_the_loop(*_: object) -> object:
        begun.set()
        await asyncio.to_thread(release.wait, 30)
        raise RuntimeError(secret("backend"))

    async def main() -> None:
        waiting = asyncio.create_task(_events_of(TRIGGERS[kind][0](**TRIGGERS[kind][1], connection=connection)))
        await asyncio.to_thread(begun.wait, 30)
        if left == "by a cancellation":
            waiting.cancel()
        else:
            await asyncio.sleep(0.2)
        release.set()
        await asyncio.gather(waiting, return_exceptions=True)
        while triggerer._at_work:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    connection = {"kubernetes_conn_id": "mine"}
    if hasattr(UniqueK8sJobHook, "aget_connection"):
        monkeypatch.setattr(UniqueK8sJobHook, "aget_connection", fails_on_the_loop)
    monkeypatch.setattr(UniqueK8sJobHook, "get_connection", fails)
    monkeypatch.setattr(trigger_connection, "READ_ONCE_WITHIN", 0.1)
    monkeypatch.setattr(trigger_connection, "READ_WITHIN", 0.0)
    for module in (triggers, sensor_trigger):
        monkeypatch.setattr(module, "HOLD_EVENT", 0.0)
    asyncio.run(main())
    assert "has failed: RuntimeError" in searched(kind)


def _raises(*_: object, **__: object) -> Any:
    raise RuntimeError(secret("backend"))


class _Said:
    """A log that keeps what is said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str, _: str = "info") -> None:
        self.texts.append(text)


def _store_of_names() -> list[str]:
    said = _Said()
    names = KnownNames(SimpleNamespace(get=lambda *_: [], set=_raises), said.message)
    names.add("a")
    KnownNames(SimpleNamespace(get=_raises), said.message)
    return said.texts


#: Questions to Airflow, whose errors are those of its database, of its API or of a secrets backend.
QUESTIONS: dict[str, Callable[[], object]] = {
    "stop in a worker": lambda: stop_in_worker.ask({"ti": SimpleNamespace(get_task_states=_raises)}),
    "stopped": lambda: stop_in_worker.stopped({"ti": SimpleNamespace(get_task_states=_raises)}),
    "stop in a trigger": lambda: asyncio.run(stop_in_trigger.ask(SimpleNamespace(), 10)),
    "states": lambda: asyncio.run(stop_in_trigger.ask_for_states("etl", [], [])),
    "names": _store_of_names,
    "fault": lambda: _fault_of(_raises),
    "deployment": lambda: version._deployment(),
}


def _fault_of(call: Callable[[], object]) -> object:
    try:
        return call()
    except RuntimeError as error:
        return str(fault(error))


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_to_airflow_that_fails(
    question: str, monkeypatch: pytest.MonkeyPatch, searched: Callable[..., str]
) -> None:
    for name in ("answer_in_triggerer", "states_in_triggerer"):
        monkeypatch.setattr(stop_in_trigger, name, _raises)
    for name in ("answer_in_worker", "state_in_worker"):
        monkeypatch.setattr(stop_in_worker, name, _raises)
    monkeypatch.setattr(identity, "deployment", _raises)
    monkeypatch.setenv("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
    assert "RuntimeError" in searched(question, QUESTIONS[question]())


@pytest.mark.parametrize("kind", TRIGGERS)
def test_trigger_that_fails_as_nobody_has_foreseen(
    kind: str, monkeypatch: pytest.MonkeyPatch, searched: Callable[..., str]
) -> None:
    for module in (triggers, sensor_trigger):
        monkeypatch.setattr(module, "HOLD_EVENT", 0.0)
        monkeypatch.setattr(module, "connect", _raises)
    sent = asyncio.run(_events_of(TRIGGERS[kind][0](**TRIGGERS[kind][1])))
    said = searched(kind, json.dumps(sent))
    assert "The trigger failed: RuntimeError" in said and "test_secrets.py:" in said, said


def test_button_of_the_connection(monkeypatch: pytest.MonkeyPatch, searched: Callable[..., str]) -> None:
    def fails(_: object) -> object:
        raise RuntimeError(secret("backend"))

    monkeypatch.setattr(hook.UniqueK8sJobHook, "get_connection", fails)
    good, said = UniqueK8sJobHook("mine").test_connection()
    assert not good
    searched("button", said)


@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        ("doctor", "--json"),
        ("doctor", "--fix", "--yes"),
        ("doctor", "--rbac"),
        ("delete", "--json", "j"),
        ("delete", "--dag", MARK, "--yes"),
        ("list", "--dag", MARK),
        ("run", "--env", MARK),
    ],
)
def test_command_line(command: tuple[str, ...], tmp_path: Path, searched: Callable[..., str]) -> None:
    config = kubeconfig(_plugin(tmp_path, PLUGINS["fails"][0]), "https://127.0.0.1:1")
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    more = ("--image", "a:1") if command[0] == "run" else ()
    ended = subprocess.run(
        [PROGRAM, *command, *more],
        env={**os.environ, "KUBECONFIG": str(tmp_path / "config"), "RUST_LOG": "trace"},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ended.returncode, ended
    searched(str(command), ended.stdout, ended.stderr)


DAG_FILE = """
import os
from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.utils.db import initdb

from unique_k8s_job import UniqueK8sJobOperator

MARK, FOLDER = os.environ["MARKED"], os.environ["FOLDER"]
job = {
    "image": "a:1",
    "env_vars": {"SETTING": f"{MARK}-env-x"},
    "arguments": [f"{MARK}-argument-x"],
    "manifest": {"spec": {"template": {"spec": {"volumes": [{"name": "v", "csi": {"secret": f"{MARK}-manifest-x"}}]}}}},
}
with DAG("etl", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    UniqueK8sJobOperator(task_id="succeeds", kubernetes_conn_id="mine", **job)
    for name, more in (("refused", {}), ("plugin", {}), ("late", {"execution_timeout": timedelta(seconds=3)})):
        job |= {"kubernetes_conn_id": None, "config_file": f"{FOLDER}/{name}"}
        UniqueK8sJobOperator(task_id=name, **job, **more)

if __name__ == "__main__":
    initdb()
    dag.test()
"""

#: Where Airflow keeps what the author of a DAG wrote: the documented places.
OF_THE_AUTHOR = {"serialized_dag", "rendered_task_instance_fields"}


def test_real_dag(tmp_path: Path, searched: Callable[..., str]) -> None:
    """`dag.test()` of the Airflow of this environment: one task succeeds, the others are refused, without credentials, late."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "etl.py").write_text(DAG_FILE)
    with (
        SmallApiServer(lasts=0.2).serving() as small,
        SmallApiServer(lasts=600).serving() as slow,
        BrokenServer(REFUSALS["422"], tls(tmp_path)) as refuses,
    ):
        token = IDENTITIES["token"](tmp_path)
        fails = _plugin(tmp_path, PLUGINS["fails"][0])
        (tmp_path / "refused").write_text(
            json.dumps(kubeconfig(token, f"https://127.0.0.1:{refuses.port}", **UNPROVED))
        )
        (tmp_path / "late").write_text(json.dumps(kubeconfig(token, slow.url)))
        fails["exec"]["command"] = str((tmp_path / "plugin").rename(tmp_path / "fails"))
        (tmp_path / "plugin").write_text(json.dumps(kubeconfig(fails, "https://127.0.0.1:1")))
        extra = {"kube_config": json.dumps(kubeconfig(token, small.url))}
        mine = json.dumps({"conn_type": "kubernetes", "password": secret("connection"), "extra": extra})
        ended = subprocess.run(
            [sys.executable, str(tmp_path / "dags" / "etl.py")],
            env={
                **os.environ,
                "MARKED": MARK,
                "FOLDER": str(tmp_path),
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
                "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
                # At DEBUG, Airflow's own channel logs what goes through it; ours is wanted whole.
                "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "unique_k8s_job=DEBUG",
                "AIRFLOW_CONN_MINE": mine,
            },
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert set(slow.made) == slow.deleted and len(small.made) == 1, ended.stdout[-3000:]
    said = searched("dag.test()", ended.stdout, ended.stderr, *_tables(tmp_path / "airflow" / "airflow.db"))
    for word in ("succeeded", "422", "exit code 3", "TaskTimeout", "return_value"):
        assert word in said, f"no {word!r} in {said[-6000:]}"


def _tables(database: Path) -> Iterator[str]:
    """All that Airflow has stored: XCom, triggers, tasks, and whatever else."""
    with sqlite3.connect(database) as opened:
        for (table,) in opened.execute("select name from sqlite_master where type = 'table'").fetchall():
            if table not in OF_THE_AUTHOR:
                yield f"{table}: {opened.execute(f'select * from {table}').fetchall()}"


@pytest.fixture(scope="module", autouse=True)
def silence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[str]]:
    """What is said of a server that says nothing: half a minute, during which the other tests run."""
    folder = tmp_path_factory.mktemp("silent")
    with ThreadPoolExecutor(1) as pool, BrokenServer(b"never said", tls(folder), silent=True) as server:
        config = kubeconfig(IDENTITIES["plugin"](folder), f"https://127.0.0.1:{server.port}", **UNPROVED)
        yield pool.submit(survey, {"source": "text", "text": json.dumps(config)})


def test_server_that_is_silent(silence: Future[str], searched: Callable[..., str]) -> None:
    said = searched("silent", silence.result(120))
    assert "did not answer" in said, said


def test_client_certificate_that_has_expired(tmp_path: Path, searched: Callable[..., str]) -> None:
    certificate, key = _expired()
    (tmp_path / "clients.pem").write_bytes(certificate)
    with BrokenServer(answer(200), tls(tmp_path), clients=tmp_path / "clients.pem") as server:
        user = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
        server_url = f"https://127.0.0.1:{server.port}"
        config = kubeconfig(user, server_url, **{"insecure-skip-tls-verify": True})
        said = searched("expired", survey({"source": "text", "text": json.dumps(config)}))
    assert "does not accept the client certificate" in said and "Expired" in said, said
    for line in key.decode().splitlines():
        assert line not in said and base64.b64encode(line.encode()).decode() not in said


def _expired() -> tuple[bytes, bytes]:
    """A certificate that was good until yesterday, and its key; both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "joe")])
    now = datetime.now(timezone.utc)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = built.not_valid_before(now - timedelta(days=2)).not_valid_after(now - timedelta(days=1))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), pem


def _processes(mark: str) -> dict[int, str]:
    """The processes with this in their environment, and their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_text(errors="replace"):
                found[int(entry.name)] = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_process_list_shows_no_secret_and_a_plugin_that_hangs_does_not_outlive_us(
    number: signal.Signals, tmp_path: Path, searched: Callable[..., str]
) -> None:
    user = _plugin(tmp_path, "exec sleep 600")
    mark = f"test-{os.getpid()}-{number}"
    user["exec"] |= {
        "args": [],
        "env": [{"name": "MARK", "value": mark}, {"name": "WORD", "value": secret("variable")}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig(user, "https://127.0.0.1:1")))
    started = subprocess.Popen(
        [PROGRAM, "doctor", "-n", "etl"],
        env={**os.environ, "KUBECONFIG": str(tmp_path / "config")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _until(lambda: any("sleep" in line for line in _processes(mark).values()))
        searched("process list", _processes(mark), Path(f"/proc/{started.pid}/cmdline").read_text())
        started.send_signal(number)
        out, err = started.communicate(timeout=60)
    finally:
        started.kill()
    _until(lambda: not _processes(mark))
    searched("streams", out, err)


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so in time"
        time.sleep(0.05)


#: So many places times failures are searched at least: fewer means that rows were lost.
LEAST = 2_400


def test_count(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Places times failures, as they were searched above; the terminal summary tells them."""
    gc.collect()
    tables = ", ".join(f"{table} {number}" for table, number in sorted(_counted.items()))
    record_property("summary", f"places x failures searched for secrets: {sum(_counted.values())} ({tables})")
    ran = {item.originalname for item in request.session.items if item.path == request.path}  # type: ignore[attr-defined]
    if ran == {name for name in globals() if name.startswith("test_")} and not request.config.option.keyword:
        assert sum(_counted.values()) >= LEAST, _counted
