"""Makes the configuration of a cluster from an Airflow connection of type `kubernetes`.

docs/connection.md describes the extras. They are those that the `cncf.kubernetes` provider defines for that type, plain or with the prefix
`extra__kubernetes__`: `in_cluster`, `kube_config`, `kube_config_path`, `cluster_context`, `namespace`,
`disable_verify_ssl`. Extras that only that provider's own operators use are accepted. Any other extra is refused,
because a misspelled one would lead to another cluster. The type and its form are registered only where that provider is
not installed. Secrets inside a kubeconfig are masked before anything can log them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from unique_k8s_job import native
from unique_k8s_job.described import described, failure, yaml_problem
from unique_k8s_job.exceptions import ConfigurationError, UniqueK8sJobError
from unique_k8s_job.task.compat import BaseHook, mask_secret
from unique_k8s_job.task.compat.missing_connection import find_again
from unique_k8s_job.task.triggerer import off_the_loop, on_the_loop
from unique_k8s_job.visible import visible

if TYPE_CHECKING:
    from unique_k8s_job._core import Configuration, ResultSidecar

DEFAULT_CONNECTION = "kubernetes_default"
_PREFIX = "extra__kubernetes__"
#: The extras about the sidecar that prints results, with what each is of it; they are no part of the configuration of
#: the cluster.
_SIDECAR: Mapping[str, str] = {
    "xcom_sidecar_container_image": "image",
    "xcom_sidecar_container_resources": "resources",
    "xcom_sidecar_container_security_context": "security_context",
}
#: The extras that are read here.
_EXTRAS = (
    "in_cluster",
    "kube_config",
    "kube_config_path",
    "cluster_context",
    "namespace",
    "disable_verify_ssl",
    *_SIDECAR,
)
#: The other extra of the `cncf.kubernetes` provider (10.25.0, `hooks/kubernetes.py`), which is ignored here.
_EXTRAS_OF_OTHERS = ("disable_tcp_keepalive",)
_SECRETS = {"token", "password", "client-key-data", "id-token", "refresh-token", "access-token", "client-secret"}


class UniqueK8sJobHook(BaseHook):
    """The cluster of a connection.

    :param kubernetes_conn_id: a connection of type `kubernetes`; None for the default configuration. The default id
        need not exist: then the first of `KUBECONFIG`, `~/.kube/config` and the service account of the Pod counts
    :param in_cluster: use the service account of the Pod we run in
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    """

    #: This path is a part of the logger's name, which users may have configured.
    __module__ = "unique_k8s_job.hook"

    conn_name_attr = "kubernetes_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "kubernetes"
    hook_name = "Kubernetes Jobs"

    def __init__(
        self,
        kubernetes_conn_id: str | None = DEFAULT_CONNECTION,
        *,
        in_cluster: bool | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
    ) -> None:
        super().__init__()
        self.kubernetes_conn_id = kubernetes_conn_id
        self.in_cluster = in_cluster
        self.config_file = config_file
        self.cluster_context = cluster_context

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of the form, for Airflow before 3.2; later ones read them from the provider's info."""
        from importlib import import_module

        from unique_k8s_job.provider_info import CONNECTION_FIELDS

        forms = import_module("wtforms")

        def field(about: Mapping[str, Any]) -> Any:
            schema = about["schema"]
            if "boolean" in schema["type"]:
                return forms.BooleanField(about["label"], description=about["description"])
            kind = forms.PasswordField if schema.get("format") == "password" else forms.StringField
            return kind(about["label"], description=about["description"])

        return {name: field(about) for name, about in CONNECTION_FIELDS.items()}

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which of Airflow's own fields the form has not, for Airflow before 3.2."""
        from unique_k8s_job.provider_info import HIDDEN_FIELDS

        return {"hidden_fields": list(HIDDEN_FIELDS), "relabeling": {}}

    def configuration(self) -> Configuration:
        """Return the configuration for the Rust core.

        :raises ConfigurationError: if more than one source of a configuration is named, or one cannot be read
        :raises AirflowUnreachableError: if Airflow cannot say whether the default connection exists
        """
        return self._combined(self._extras())

    def get_conn(self) -> Any:
        """Return the native `Cluster`; it connects at its first use."""
        return native.Cluster(self.configuration())

    async def aget_conn(self) -> Any:
        """Return the native `Cluster`, from within the event loop of a triggerer."""
        return native.Cluster(await self._aconfiguration())

    async def _aconfiguration(self) -> Configuration:
        if not self.kubernetes_conn_id or not hasattr(self, "aget_connection"):  # Airflow before 3.1
            return await off_the_loop(self.configuration)
        try:
            connection = await on_the_loop(self.aget_connection, self.kubernetes_conn_id)
        except Exception as error:
            if not self._is_missing_default(error):
                raise
            connection = await off_the_loop(find_again, self.kubernetes_conn_id)
        return await off_the_loop(self._combined, connection.extra_dejson if connection else {})

    def xcom_sidecar(self) -> ResultSidecar:
        """Return what the connection says of the sidecar that prints results: `image`, `resources`, `security_context`.

        :raises ConfigurationError: if an extra is not what it has to be
        """
        extras = self._extras()
        given = {
            key: _sidecar_extra(name, key, value)
            for name, key in _SIDECAR.items()
            if (value := _extra(extras, name)) is not None
        }
        return cast("ResultSidecar", given)

    def test_connection(self) -> tuple[bool, str]:
        """Say for Airflow's button "Test" which cluster answers, who we are there, and which rights are missing."""
        try:
            cluster = self.get_conn()
            return True, connected(native.rights(cluster, cluster.namespace()))
        except UniqueK8sJobError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, its text may quote the connection
            return False, f"{failure(error)}; the log of the webserver may say more"

    def _extras(self) -> Mapping[str, Any]:
        if not self.kubernetes_conn_id:
            return {}
        try:
            connection = self.get_connection(self.kubernetes_conn_id)
        except Exception as error:
            if not self._is_missing_default(error):
                raise
            connection = find_again(self.kubernetes_conn_id)
        extras: Mapping[str, Any] = connection.extra_dejson if connection else {}
        return extras

    def _is_missing_default(self, error: Exception) -> bool:
        # The class of "not found" moved between Airflow's versions.
        return "NotFound" in type(error).__name__ and self.kubernetes_conn_id == DEFAULT_CONNECTION

    def _combined(self, extras: Mapping[str, Any]) -> Configuration:
        return cluster_configuration(
            extras,
            in_cluster=self.in_cluster,
            config_file=self.config_file,
            cluster_context=self.cluster_context,
        )


def connected(found: Mapping[str, Any]) -> str:
    """Return a sentence about a cluster that has answered `native.rights`. Pure."""
    version = f" {found['version'].removeprefix('v')}" if found["version"] else " of an unknown version"
    user = found["user"] or "unknown (this API server does not say)"
    said = f"Kubernetes{version} at {found['server']} answers: user `{visible(user)}`, namespace `{found['namespace']}`"
    missing: dict[str, list[str]] = {}
    for right in found["rights"]:
        if right["need"] == "required" and not right["allowed"]:
            missing.setdefault(right["resource"], []).append(right["verb"])
    if not missing:
        return f"{said}, all needed rights"
    lacks = "; ".join(f"{resource}: {', '.join(verbs)}" for resource, verbs in missing.items())
    return f"{said}. Missing rights in this namespace: {lacks} (the Role is in docs/rbac.yaml)"


def cluster_configuration(
    extras: Mapping[str, Any],
    *,
    in_cluster: bool | None = None,
    config_file: str | None = None,
    cluster_context: str | None = None,
) -> Configuration:
    """Combine a connection's extras with the operator's arguments, which win.

    :raises ConfigurationError: if an extra is unknown, or more than one source of a configuration is named
    """
    _refuse_unknown(extras)

    def extra(name: str) -> Any:
        return _extra(extras, name)

    text = None
    if not in_cluster and not config_file:
        # `in_cluster=False` only excludes the service account; the connection still says which configuration counts.
        if in_cluster is None:
            in_cluster = _boolean("in_cluster", extra("in_cluster"))
        config_file, text = extra("kube_config_path"), extra("kube_config")
    named = [
        name
        for name, value in (("in_cluster", in_cluster), ("kube_config_path", config_file), ("kube_config", text))
        if value
    ]
    if len(named) > 1:
        raise ConfigurationError(
            "The Kubernetes connection names more than one configuration",
            seen=[", ".join(named)],
            hint="keep one of them",
        )
    configuration: Configuration = {
        "source": "default",
        "context": cluster_context or extra("cluster_context"),
        "verify_ssl": not _boolean("disable_verify_ssl", extra("disable_verify_ssl")),
        "namespace": extra("namespace"),
    }
    if in_cluster:
        configuration["source"] = "in_cluster"
    elif config_file:
        configuration |= {"source": "file", "path": os.path.expanduser(config_file)}
    elif text:
        configuration |= {"source": "text", "text": _kubeconfig(text)}
    return configuration


def _extra(extras: Mapping[str, Any], name: str) -> Any:
    value = extras[name] if name in extras else extras.get(_PREFIX + name)
    return None if value == "" else value


def _sidecar_extra(name: str, key: str, value: Any) -> Any:
    """Read one extra about the sidecar. The form of the `cncf.kubernetes` provider stores objects as JSON texts."""
    if key == "image":
        if not isinstance(value, str):
            raise ConfigurationError(f"The extra `{name}` is no text", seen=[described(value)], path=name)
        return value
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            found = None
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            f"The extra `{name}` is no JSON object",
            seen=[described(value)],
            hint="write it as in a manifest of Kubernetes",
            path=name,
        )
    return dict(found)


def _refuse_unknown(extras: Mapping[str, Any]) -> None:
    known = {key for name in (*_EXTRAS, *_EXTRAS_OF_OTHERS) for key in (name, _PREFIX + name)}
    unknown = [str(key) for key in extras if key not in known]
    if not unknown:
        return
    from difflib import get_close_matches

    near = get_close_matches(unknown[0].removeprefix(_PREFIX).lower(), _EXTRAS, n=1)
    raise ConfigurationError(
        f"The Kubernetes connection has an unknown extra: `{visible(unknown[0])}`",
        seen=[f"also `{visible(key)}`" for key in unknown[1:]],
        hint=f"did you mean `{near[0]}`?"
        if near
        else f"remove it; extras are {', '.join(f'`{name}`' for name in _EXTRAS)}",
        path="extra",
    )


def _kubeconfig(value: Any) -> str:
    """Return the kubeconfig as JSON text, and have its secrets masked in the logs."""
    if isinstance(value, str):
        import yaml

        problem: str | None = None
        try:
            value = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            problem = yaml_problem(error)
        # This is outside of the `except`, because the parser's error quotes the text, and an exception keeps the one in
        # whose handler it was raised.
        if problem is not None:
            raise ConfigurationError("The extra `kube_config` is neither JSON nor YAML", seen=[problem])
    if not isinstance(value, Mapping):
        raise ConfigurationError("The extra `kube_config` is not a kubeconfig", seen=[f"a {type(value).__name__}"])
    for secret in _secrets(value):
        mask_secret(secret)
    return json.dumps(value, default=str)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _SECRETS and isinstance(inner, str) and inner:
                yield inner
            elif key in ("server", "proxy-url") and isinstance(inner, str):
                if secret := urlsplit(inner).password:
                    yield secret
            elif key == "env" and isinstance(inner, (list, tuple)):  # of a credential plugin
                yield from (str(pair["value"]) for pair in inner if isinstance(pair, Mapping) and pair.get("value"))
            else:
                yield from _secrets(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _secrets(inner)


def _boolean(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("true", "t", "yes", "1"):
        return True
    if text in ("false", "f", "no", "0", ""):
        return False
    raise ConfigurationError(f"The extra `{name}` is neither true nor false", seen=[described(value)])
