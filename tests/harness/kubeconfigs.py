"""Kubeconfigs of every kind, for the test that compares kubectl with us: what people have in their files, good and bad.

Promise: `corpus` yields each case once, in a folder of its own, written out, with the environment and the context it is used
with. No case says what is right: kubectl does.
"""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certificates import Authority, Pair, key_pem, self_signed
from forward_proxy import ForwardProxy
from tls_front import TlsFront

Config = dict[str, Any]
V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


@dataclass(frozen=True)
class Case:
    """One kubeconfig, or list of them, as it is used."""

    name: str
    #: The value of KUBECONFIG.
    files: str
    context: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reality:
    """The API server behind all of it, and its authority, which also proves clients."""

    host: str
    port: int
    authority: Authority
    #: Tokens of `admin`, who may act as others, and of `airflow`, who may not.
    admin: str
    airflow: str

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.port}"


def data(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def has_ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    try:
        return "00000000000000000000000000000001" in Path("/proc/net/if_inet6").read_text()
    except FileNotFoundError:
        return False


class Corpus:
    """Writes the cases, and keeps the servers that they lead to."""

    def __init__(self, reality: Reality, folder: Path) -> None:
        self._real = reality
        self._folder = folder
        self._fronts: list[TlsFront | ForwardProxy] = []
        self._count = 0

    def close(self) -> None:
        for front in self._fronts:
            front.close()

    def cases(self) -> Iterator[Case]:
        yield from self._files()
        yield from self._contexts()
        yield from self._tokens()
        yield from self._impersonation()
        yield from self._client_certificates()
        yield from self._plugins()
        yield from self._server_certificates()
        yield from self._proxies()
        yield from self._addresses()
        yield from self._spellings()

    # --- parts -----------------------------------------------------------------------------------------------------

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._folder / f"{self._count:03}"
        folder.mkdir()
        return folder

    def _real_cluster(self, **fields: Any) -> Config:
        return {"server": self._real.server, "certificate-authority-data": data(self._real.authority.pem), **fields}

    def _config(self, user: Config | None = None, cluster: Config | None = None, **context: Any) -> Config:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "c", "cluster": self._real_cluster() if cluster is None else cluster}],
            "users": [{"name": "u", "user": {"token": self._real.airflow} if user is None else user}],
            "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u", **context}}],
        }

    def _case(self, name: str, config: Config | str, *, folder: Path | None = None, **more: Any) -> Case:
        folder = folder or self._new_folder()
        file = folder / "config"
        file.write_text(config if isinstance(config, str) else yaml.safe_dump(config), newline="")
        return Case(name, str(file), **more)

    def _front(self, pair: Pair | None, *chain: Pair, **more: Any) -> TlsFront:
        file = pair.write(self._new_folder() / "server.pem", *chain) if pair else None
        front = TlsFront((self._real.host, self._real.port), file, **more)
        self._fronts.append(front)
        return front

    def _proxy(self, **how: Any) -> ForwardProxy:
        proxy = ForwardProxy(**how)
        self._fronts.append(proxy)
        return proxy

    # --- kinds -----------------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[Case]:
        ca = self._real.authority.pem
        yield self._case("data", self._config())
        folder = self._new_folder()
        (folder / "ca.crt").write_text(ca)
        absolute = {"server": self._real.server, "certificate-authority": str(folder / "ca.crt")}
        yield self._case("file, absolute", self._config(cluster=absolute), folder=folder)
        folder = self._new_folder()
        (folder / "ca.crt").write_text(ca)
        relative = {"server": self._real.server, "certificate-authority": "ca.crt"}
        yield self._case("file, relative", self._config(cluster=relative), folder=folder)
        folder = self._new_folder()
        (folder / "ca.crt").write_text(ca)
        (folder / "deep").mkdir()
        up = {"server": self._real.server, "certificate-authority": "../ca.crt"}
        yield self._case("file, relative and up", self._config(cluster=up), folder=folder / "deep")
        missing = {"server": self._real.server, "certificate-authority": "missing.crt"}
        yield self._case("file that is missing", self._config(cluster=missing))
        folder = self._new_folder()
        (folder / "ca.crt").write_text(ca)
        both = self._real_cluster(**{"certificate-authority": "ca.crt"})
        yield self._case("data and file", self._config(cluster=both), folder=folder)
        empty = self._real_cluster(
            **{"certificate-authority": "", "tls-server-name": "", "proxy-url": "", "insecure-skip-tls-verify": False}
        )
        yield self._case("empty texts", self._config({"token": self._real.airflow, "tokenFile": ""}, empty))
        yield self._case("data that is no base64", self._config(cluster=self._real_cluster() | {
            "certificate-authority-data": "%%%"}))  # fmt: skip
        yield self._case("data that is no certificate", self._config(cluster=self._real_cluster() | {
            "certificate-authority-data": data("nothing")}))  # fmt: skip
        yield from self._lists()

    def _lists(self) -> Iterator[Case]:
        """Several files in KUBECONFIG."""

        def listed(name: str, *configs: Config | str | None, **more: Any) -> Case:
            folder = self._new_folder()
            files = []
            for number, config in enumerate(configs):
                file = folder / f"part{number}"
                if config is not None:
                    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
                files.append(str(file))
            return Case(name, ":".join(files), **more)

        whole = self._config()
        parts = [{"apiVersion": "v1", "kind": "Config", key: whole[key]} for key in ("clusters", "users", "contexts")]
        yield listed("three files", *parts, {"current-context": "it"})
        yield listed("a missing and an empty file", None, "", whole, "")
        other = {"users": [{"name": "u", "user": {"token": self._real.admin}}]}
        yield listed("the first user of a name counts", other, whole)
        yield listed("the last user of a name does not", whole, other)
        yield listed("the first current-context counts", {"current-context": "nowhere"}, whole)
        yield listed("a broken file among good ones", whole, "clusters: [")
        folder = self._new_folder()
        (folder / "one").mkdir()
        (folder / "one" / "ca.crt").write_text(self._real.authority.pem)
        relative = {"server": self._real.server, "certificate-authority": "ca.crt"}
        (folder / "one" / "config").write_text(yaml.safe_dump({"clusters": self._config(cluster=relative)["clusters"]}))
        (folder / "two").write_text(
            yaml.safe_dump({key: whole[key] for key in ("users", "contexts", "current-context")})
        )
        yield Case("each file's own folder", f"{folder}/one/config:{folder}/two")

    def _contexts(self) -> Iterator[Case]:
        config = self._config()
        config["contexts"] += [
            {"name": "admin", "context": {"cluster": "c", "user": "admin", "namespace": "kube-system"}},
            {"name": "nobody", "context": {"cluster": "c"}},
            {"name": "stranger", "context": {"cluster": "c", "user": "stranger"}},
            {"name": "lost", "context": {"cluster": "lost", "user": "u"}},
            {"name": "empty", "context": {"cluster": "c", "user": "u", "namespace": ""}},
            {"name": "null", "context": None},
        ]
        config["users"].append({"name": "admin", "user": {"token": self._real.admin}})
        for context in ("it", "admin", "nobody", "stranger", "lost", "empty", "null", "unknown"):
            yield self._case(f"context {context}", config, context=context)
        yield self._case("empty current-context", {**config, "current-context": ""})
        yield self._case(
            "no current-context", {key: value for key, value in config.items() if key != "current-context"}
        )
        yield self._case("empty namespace", self._config(namespace=""))
        partial = self._config()
        partial["contexts"].append({"name": "half", "context": {"user": "u"}})
        partial["users"].append({"name": "nothing", "user": None})
        yield self._case("another entry is half a one", partial)

    def _tokens(self) -> Iterator[Case]:
        airflow, admin = self._real.airflow, self._real.admin
        for name, text, token in (
            ("tokenFile", airflow, None),
            ("tokenFile that ends in a newline", airflow + "\n", None),
            ("tokenFile beside another token", airflow, admin),
            ("empty tokenFile beside a token", "", admin),
            ("missing tokenFile beside a token", None, admin),
            ("missing tokenFile", None, None),
            ("empty tokenFile", "", None),
        ):
            folder = self._new_folder()
            if text is not None:
                (folder / "token").write_text(text)
            user = {"tokenFile": "token", **({"token": token} if token else {})}
            yield self._case(name, self._config(user), folder=folder)
        yield self._case("token that nobody knows", self._config({"token": "nobody"}))
        yield self._case("basic authentication", self._config({"username": "joe", "password": "p"}))
        yield self._case("user name alone", self._config({"username": "joe"}))
        yield self._case(
            "basic authentication and token", self._config({"username": "joe", "password": "p", "token": airflow})
        )
        yield self._case("no credentials", self._config({}))

    def _impersonation(self) -> Iterator[Case]:
        extra = {"example.org/Reason%": ["one", "two"], "plain": ["x"]}
        for name, fields in (
            ("as", {"as": "joe"}),
            ("as with groups", {"as": "joe", "as-groups": ["a", "b c"]}),
            ("as with uid", {"as": "joe", "as-uid": "u-1"}),
            ("as with extra", {"as": "joe", "as-user-extra": extra}),
            ("as with everything", {"as": "joe", "as-uid": "1", "as-groups": ["a"], "as-user-extra": extra}),
            ("as, outside ASCII", {"as": "jürgen", "as-groups": ["größe"]}),
            ("as a service account", {"as": "system:serviceaccount:default:default"}),
            ("groups without as", {"as-groups": ["a"]}),
            ("uid without as", {"as-uid": "1"}),
            ("empty as", {"as": ""}),
        ):
            yield self._case(name, self._config({"token": self._real.admin, **fields}))
        yield self._case("as, without the right to", self._config({"token": self._real.airflow, "as": "joe"}))

    def _client_certificates(self) -> Iterator[Case]:
        authority = self._real.authority

        def user(pair: Pair, *chain: Pair, key: str | None = None) -> Config:
            pem = pair.pem + "".join(one.pem for one in chain)
            return {"client-certificate-data": data(pem), "client-key-data": data(key or key_pem(pair.key))}

        for kind in ("P-256", "P-384", "P-521", "RSA", "Ed25519"):
            pair = authority.client("joe", "eng", "ops", kind=kind)
            yield self._case(f"client certificate, {kind}", self._config(user(pair)))
        for kind in ("P-256", "RSA"):
            pair = authority.client("joe", kind=kind)
            yield self._case(
                f"client key in its old form, {kind}",
                self._config(user(pair, key=key_pem(pair.key, form="Traditional"))),
            )
        joe = authority.client("joe", "eng")
        sec1 = key_pem(joe.key, form="Traditional")
        wrong_header = sec1.replace("EC PRIVATE KEY", "PRIVATE KEY")
        yield self._case("client key under another header", self._config(user(joe, key=wrong_header)))
        parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        yield self._case("client key after its parameters", self._config(user(joe, key=parameters + sec1)))
        yield self._case("client key, encrypted", self._config(user(joe, key=key_pem(joe.key, passphrase=b"p"))))
        old = key_pem(joe.key, form="Traditional", passphrase=b"p")
        yield self._case("client key, encrypted in the old way", self._config(user(joe, key=old)))
        yield self._case("client key of another", self._config(user(joe, key=key_pem(authority.client("x").key))))
        between = authority.authority("between")
        yield self._case("client certificate with its chain", self._config(user(between.client("joe", "eng"), between)))
        yield self._case("client certificate without its chain", self._config(user(between.client("joe", "eng"))))
        yield self._case("client certificate of nobody", self._config(user(Authority.new("nobody").client("joe"))))
        yield self._case("client certificate, expired", self._config(user(authority.client("joe", days=(-9, -1)))))
        files = {"client-certificate": "joe.crt", "client-key": "joe.key"}
        both = user(joe)
        for name, used in (("in files", files), ("as data and file", {**files, **both})):
            folder = self._new_folder()
            (folder / "joe.crt").write_text(joe.pem)
            (folder / "joe.key").write_text(key_pem(joe.key))
            yield self._case(f"client certificate {name}", self._config(used), folder=folder)
        yield self._case(
            "client certificate without key", self._config({"client-certificate-data": both["client-certificate-data"]})
        )
        lonely = {"client-key-data": both["client-key-data"], "token": self._real.airflow}
        yield self._case("client key without certificate", self._config(lonely))
        yield self._case("client certificate and token", self._config({**both, "token": self._real.airflow}))
        yield self._case("client certificate, then as", self._config({
            **user(authority.client("root", "system:masters")), "as": "joe"}))  # fmt: skip

    def _plugin(self, folder: Path, script: str, version: str = V1, **more: Any) -> Config:
        file = folder / "plugin"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return {"exec": {"apiVersion": version, "command": str(file), "interactiveMode": "Never", **more}}

    def _gives(self, version: str = V1, **status: str) -> str:
        given = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        return f"cat <<'END'\n{json.dumps(given)}\nEND"

    def _plugins(self) -> Iterator[Case]:
        token = {"token": self._real.airflow}

        def case(name: str, script: str, version: str = V1, cluster: Config | None = None, **more: Any) -> Case:
            folder = self._new_folder()
            beside = more.pop("beside", {})
            environment = more.pop("environment", {})
            user = self._plugin(folder, script, version, **more)
            user["exec"] = {key: value for key, value in user["exec"].items() if value is not None}
            return self._case(
                name, self._config({**user, **beside}, cluster), folder=folder, environment=environment
            )  # fmt: skip

        for version in (V1, V1BETA1):
            short = version.rpartition("/")[2]
            gives = self._gives(version, **token)
            for mode in ("Never", "IfAvailable", "Always", None):
                yield case(f"plugin {short}, interactiveMode {mode}", gives, version, interactiveMode=mode)
            told = (self._real.server, "certificate-authority-data", data(self._real.authority.pem))
            knows = "".join(f'case "$KUBERNETES_EXEC_INFO" in *"{word}"*) ;; *) exit 7;; esac\n' for word in told)
            yield case(f"plugin {short}, provideClusterInfo", knows + gives, version, provideClusterInfo=True)
            yield case(f"plugin {short}, not provideClusterInfo", knows + gives, version, provideClusterInfo=False)
            other = V1BETA1 if version == V1 else V1
            yield case(f"plugin {short} that answers {other.rpartition('/')[2]}", self._gives(other, **token), version)
        yield case("plugin v1alpha1", self._gives(**token), "client.authentication.k8s.io/v1alpha1")
        extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "its-audience"}}
        reads = 'case "$KUBERNETES_EXEC_INFO" in *its-audience*) ;; *) exit 7;; esac\n'
        yield case(
            "plugin with a configuration of the cluster", reads + self._gives(**token),
            cluster=self._real_cluster(extensions=[extension]), provideClusterInfo=True,
        )  # fmt: skip
        yield case("plugin with arguments and variables", '[ "$1$WORD" = ab ] || exit 7\n' + self._gives(**token),
                   args=["a"], env=[{"name": "WORD", "value": "b"}])  # fmt: skip
        yield case("plugin that fails", "echo no >&2; exit 3")
        yield case("plugin that gives nothing", "true")
        yield case("plugin that gives no status", f'echo \'{{"apiVersion": "{V1}", "kind": "ExecCredential"}}\'')
        yield case("plugin that gives an empty token", self._gives(token=""))
        yield case("plugin that is missing", "", command="/nowhere/plugin")
        yield case("plugin without a command", "", command="")
        yield case("plugin without a version", self._gives(**token), None)  # type: ignore[arg-type]
        yield case("plugin beside a token", "exit 3", beside={"token": self._real.airflow})
        yield case("plugin and provider", self._gives(**token), beside={"auth-provider": {"name": "gcp"}})
        joe = self._real.authority.client("joe", "eng")
        gives = self._gives(clientCertificateData=joe.pem, clientKeyData=key_pem(joe.key))
        yield case("plugin that gives a certificate", gives)
        yield case("plugin that gives half a certificate", self._gives(clientCertificateData=joe.pem))
        admin = self._real.authority.client("root")
        beside = {"client-certificate-data": data(admin.pem), "client-key-data": data(key_pem(admin.key))}
        yield case("plugin beside a certificate", "exit 3", beside=beside)
        folder = self._new_folder()
        relative = self._plugin(folder, self._gives(**token), command="./plugin")
        yield self._case("plugin by a relative path", self._config(relative), folder=folder)
        folder = self._new_folder()
        named = self._plugin(folder, self._gives(**token), command="plugin")
        path = {"PATH": f"{folder}:/usr/bin:/bin"}
        yield self._case("plugin by its name", self._config(named), folder=folder, environment=path)

    def _server_certificates(self) -> Iterator[Case]:
        mine = Authority.new("mine")

        def case(
            name: str, pair: Pair, *chain: Pair, trusts: str | None, host: str = "localhost", **fields: Any
        ) -> Case:
            front = self._front(pair, *chain)
            cluster = {"server": f"https://{host}:{front.port}", **fields}
            if trusts is not None:
                cluster["certificate-authority-data"] = data(trusts)
            return self._case(name, self._config(cluster=cluster))

        good = mine.server("localhost")
        insecure: Config = {"insecure-skip-tls-verify": True}
        yield case("server certificate", good, trusts=mine.pem)
        for kind in ("P-384", "P-521", "RSA", "Ed25519"):
            yield case(f"server certificate, {kind}", mine.server("localhost", kind=kind), trusts=mine.pem)
        yield case("server certificate of another authority", good, trusts=Authority.new("mine").pem)
        yield case("server certificate, nothing to prove it", good, trusts=None)
        yield case("insecure", self_signed("elsewhere"), trusts=None, **insecure)
        yield case("insecure, P-521", mine.server("elsewhere", kind="P-521"), trusts=None, **insecure)
        yield case("insecure and an authority", good, trusts=mine.pem, **insecure)
        yield case("server certificate, expired", mine.server("localhost", days=(-9, -1)), trusts=mine.pem)
        yield case("server certificate, not valid yet", mine.server("localhost", days=(1, 9)), trusts=mine.pem)
        yield case("server certificate for another name", mine.server("elsewhere"), trusts=mine.pem)
        yield case("tls-server-name", mine.server("elsewhere"), trusts=mine.pem, **{"tls-server-name": "elsewhere"})
        yield case("tls-server-name that is wrong", good, trusts=mine.pem, **{"tls-server-name": "elsewhere"})
        yield case(
            "tls-server-name, an address", mine.server("10.9.8.7"), trusts=mine.pem, **{"tls-server-name": "10.9.8.7"}
        )
        yield case("server certificate for an address", mine.server("127.0.0.1"), trusts=mine.pem, host="127.0.0.1")
        yield case("address that is a DNS name in it", good, trusts=mine.pem, host="127.0.0.1")
        yield case("wildcard", mine.server("*.k8s.example"), trusts=mine.pem, **{"tls-server-name": "a.k8s.example"})
        yield case("wildcard of all", mine.server("*.example"), trusts=mine.pem, **{"tls-server-name": "a.example"})
        yield case(
            "wildcard, two labels",
            mine.server("*.k8s.example"),
            trusts=mine.pem,
            **{"tls-server-name": "a.b.k8s.example"},
        )
        yield case("common name alone", mine.server(common_name="localhost"), trusts=mine.pem)
        yield case(
            "certificate for clients",
            mine.server("localhost", purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
            trusts=mine.pem,
        )
        anything = x509.ObjectIdentifier("2.5.29.37.0")
        yield case("certificate for any purpose", mine.server("localhost", purpose=anything), trusts=mine.pem)
        between = mine.authority("between")
        below = between.server("localhost")
        yield case("chain", below, between, trusts=mine.pem)
        yield case("chain that lacks its middle", below, trusts=mine.pem)
        yield case("chain whose middle is trusted", below, trusts=between.pem)
        yield case("pinned leaf", good, trusts=good.pem)
        yield case("pinned leaf beside an authority", good, trusts=Authority.new("x").pem + good.pem)
        yield case("pinned leaf of a longer chain", below, between, trusts=below.pem)
        yield case("another leaf is pinned", good, trusts=mine.server("localhost").pem)
        yield case("pinned leaf, expired", old := mine.server("localhost", days=(-9, -1)), trusts=old.pem)
        yield case("pinned leaf for another name", away := mine.server("elsewhere"), trusts=away.pem)
        yield case(
            "pinned leaf for clients",
            wrong := mine.server("localhost", purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
            trusts=wrong.pem,
        )
        signed = self_signed("localhost")
        yield case("self-signed", signed, trusts=signed.pem)
        yield case("self-signed, not trusted", signed, trusts=mine.pem)
        own = self_signed("localhost", authority=True)
        yield case("self-signed, CA:TRUE", own, trusts=own.pem)
        over = self_signed("localhost", authority=True, days=(-9, -1))
        yield case("self-signed, CA:TRUE, expired", over, trusts=over.pem)
        elsewhere = self_signed("elsewhere", authority=True)
        yield case("self-signed, CA:TRUE, another name", elsewhere, trusts=elsewhere.pem)
        yield case("CA:TRUE of an authority", mine.server("localhost", authority=True), trusts=mine.pem)
        leaf = mine.server("localhost")
        forged = Authority(leaf.certificate, leaf.key).server("localhost", common_name="forged")
        yield case("signed by a leaf that is pinned", forged, leaf, trusts=leaf.pem)
        yield case(
            "authority that has expired",
            (gone := Authority.new("gone", days=(-9, -1))).server("localhost"),
            trusts=gone.pem,
        )
        yield case(
            "several authorities and a text", good, trusts=f"# mine\n{Authority.new('x').pem}\nnoise\n{mine.pem}"
        )

    def _proxies(self) -> Iterator[Case]:
        def via(name: str, url: str, **more: Any) -> Case:
            return self._case(name, self._config(cluster=self._real_cluster(**{"proxy-url": url})), **more)

        plain = self._proxy().address
        guarded = self._proxy(password="word").address
        yield via("proxy", plain)
        yield via("proxy with a slash", plain + "/")
        yield via("proxy with a password", guarded.replace("://", "://joe:word@"))
        yield via("proxy with a wrong password", guarded.replace("://", "://joe:other@"))
        yield via("proxy that wants a password", guarded)
        yield via("proxy that forbids", self._proxy(refuses=403).address)
        yield via("proxy that reaches nobody", self._proxy(refuses=502).address)
        yield via("proxy by SOCKS", self._proxy(socks=True).address)
        yield via("proxy of an unknown scheme", "ftp://127.0.0.1:1")
        yield via("proxy in spite of NO_PROXY", plain, environment={"NO_PROXY": "*"})
        dead = "http://127.0.0.1:9"
        yield self._case("proxy of the environment", self._config(), environment={"HTTPS_PROXY": plain})
        yield self._case(
            "proxy of the environment, forbidding",
            self._config(),
            environment={"HTTPS_PROXY": self._proxy(refuses=403).address},
        )
        yield self._case("NO_PROXY", self._config(), environment={"HTTPS_PROXY": dead, "NO_PROXY": self._real.host})
        yield self._case(
            "NO_PROXY, a network", self._config(), environment={"HTTPS_PROXY": dead, "NO_PROXY": "x,10.0.0.0/8"}
        )

    def _addresses(self) -> Iterator[Case]:
        mine = Authority.new("mine")
        trusts: Config = {"certificate-authority-data": data(mine.pem)}

        def at(name: str, server: str, user: Config | None = None, **fields: Any) -> Case:
            return self._case(name, self._config(user, {"server": server, **fields}))

        bare = f"{self._real.host}:{self._real.port}"
        yield self._case("server without a scheme", self._config(cluster=self._real_cluster(server=bare)))
        for name, suffix in (("slash", "/"), ("second slash", "//"), ("query", "/?a=b"), ("fragment", "#x")):
            yield self._case(
                f"server with a {name}", self._config(cluster=self._real_cluster(server=self._real.server + suffix))
            )
        yield self._case(
            "no server", self._config(cluster={"certificate-authority-data": data(self._real.authority.pem)})
        )
        front = self._front(mine.server("localhost", "127.0.0.1"), prefix="/k8s/clusters/c-1")
        yield at("path", f"https://localhost:{front.port}/k8s/clusters/c-1", **trusts)
        yield at("path with a slash", f"https://localhost:{front.port}/k8s/clusters/c-1/", **trusts)
        yield at("path that is wrong", f"https://localhost:{front.port}/k8s", **trusts)
        yield at("HTTPS in capitals", f"HTTPS://LOCALHOST:{self._front(mine.server('localhost')).port}", **trusts)
        plain = self._front(None)
        yield at("HTTP, and a token", f"http://127.0.0.1:{plain.port}")
        yield at("HTTPS where HTTP is spoken", f"https://127.0.0.1:{plain.port}", **trusts)
        if has_ipv6():
            front = self._front(mine.server("::1"), address="::1")
            yield at("IPv6", f"https://[::1]:{front.port}", **trusts)
            yield at(
                "IPv6, for another name",
                f"https://[::1]:{self._front(mine.server('localhost'), address='::1').port}",
                **trusts,
            )
        clients = self._new_folder() / "clients.pem"
        clients.write_text(mine.pem)
        strict = self._front(mine.server("localhost"), clients=clients)
        joe = mine.client("joe")
        token = {"token": self._real.airflow}
        shown = {"client-certificate-data": data(joe.pem), "client-key-data": data(key_pem(joe.key))}
        yield at(
            "front that wants a client certificate", f"https://localhost:{strict.port}", {**token, **shown}, **trusts
        )
        yield at("front that gets none", f"https://localhost:{strict.port}", token, **trusts)
        stranger = Authority.new("stranger").client("joe")
        other = {"client-certificate-data": data(stranger.pem), "client-key-data": data(key_pem(stranger.key))}
        yield at("front that gets another", f"https://localhost:{strict.port}", {**token, **other}, **trusts)

    def _spellings(self) -> Iterator[Case]:
        config = self._config()
        text = yaml.safe_dump(config)
        yield self._case("JSON", json.dumps(config))
        yield self._case("CRLF", text.replace("\n", "\r\n"))
        yield self._case("byte order mark", "\ufeff" + text)
        yield self._case("comments and an anchor", "# mine\nx: &x {a: 1}\ny: *x\n" + text)
        yield self._case(
            "neither kind nor version", {k: v for k, v in config.items() if k not in ("kind", "apiVersion")}
        )
        yield self._case("another kind", {**config, "kind": "Pod"})
        yield self._case("another version", {**config, "apiVersion": "v2"})
        yield self._case("unknown fields", {**config, "more": {"a": 1}, "preferences": {"colors": True}})
        null = {
            **config,
            "extensions": None,
            "preferences": None,
            "users": [*config["users"], {"name": "nothing", "user": {"exec": None}}],
        }
        yield self._case("null", null)
        yield self._case("two documents", f"{text}---\n{yaml.safe_dump({'current-context': 'nowhere'})}")
        yield self._case("the second document is the good one", f"{{}}\n---\n{text}")
        yield self._case("a name twice", {**config, "users": config["users"] * 2})
        yield self._case("a key twice", f"{text}current-context: it\n")
        yield self._case("a number for a token", self._config({"token": 1}))
        yield self._case(
            "a text for true", self._config(cluster=self._real_cluster(**{"insecure-skip-tls-verify": "false"}))
        )
        yield self._case("data over several lines", text.replace(
            data(self._real.authority.pem), json.dumps("\n".join(base64.encodebytes(self._real.authority.pem.encode()).decode().split("\n")))))  # fmt: skip
        yield self._case("empty file", "")
        yield self._case("no YAML", "{")
