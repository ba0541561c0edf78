"""From an Airflow connection of type `kubernetes` to the configuration of a cluster.

Reads the extras that the `cncf.kubernetes` provider defines for that type, plain or with the prefix
`extra__kubernetes__`: `in_cluster`, `kube_config`, `kube_config_path`, `cluster_context`, `namespace`, `disable_verify_ssl`.
No second connection type is registered. Secrets inside a kubeconfig are masked before anything can log them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from unique_k8s_job._compat import BaseHook, mask_secret, off_the_loop
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.missing_connection import look_again

DEFAULT_CONNECTION = "kubernetes_default"
_PREFIX = "extra__kubernetes__"
_SECRETS = {"token", "password", "client-key-data", "id-token", "refresh-token", "access-token", "client-secret"}


class UniqueK8sJobHook(BaseHook):
    """The cluster of a connection.

    :param kubernetes_conn_id: a connection of type `kubernetes`; None for the default configuration. The default id need
        not exist: then it is `KUBECONFIG`, `~/.kube/config`, in-cluster, in this order
    :param in_cluster: use the service account of the Pod we run in
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    """

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

    def configuration(self) -> str:
        """Return the configuration for the Rust core, as JSON.

        :raises ConfigurationError: if more than one place of a configuration is named, or one cannot be read
        :raises AirflowUnreachableError: if Airflow cannot say whether the default connection exists
        """
        return self._combined(self._extras())

    def get_conn(self) -> Any:
        """Return the native `Cluster`; it connects at its first use."""
        from unique_k8s_job.native import core

        return core().Cluster(self.configuration())

    async def aget_conn(self) -> Any:
        """Return the native `Cluster`, from within the event loop of a triggerer."""
        from unique_k8s_job.native import core

        return core().Cluster(await self._aconfiguration())

    async def _aconfiguration(self) -> str:
        if not self.kubernetes_conn_id or not hasattr(self, "aget_connection"):  # Airflow before 3.1
            return await off_the_loop(self.configuration)
        try:
            connection = await self.aget_connection(self.kubernetes_conn_id)
        except Exception as error:
            if not self._is_missing_default(error):
                raise
            connection = await off_the_loop(look_again, self.kubernetes_conn_id)
        return await off_the_loop(self._combined, connection.extra_dejson if connection else {})

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's button: whether the configuration leads to a cluster."""
        try:
            return True, f"namespace `{self.get_conn().namespace()}`"
        except Exception as error:  # noqa: BLE001  # the button shows whatever went wrong
            return False, str(error)

    def _extras(self) -> Mapping[str, Any]:
        if not self.kubernetes_conn_id:
            return {}
        try:
            connection = self.get_connection(self.kubernetes_conn_id)
        except Exception as error:
            if not self._is_missing_default(error):
                raise
            connection = look_again(self.kubernetes_conn_id)
        extras: Mapping[str, Any] = connection.extra_dejson if connection else {}
        return extras

    def _is_missing_default(self, error: Exception) -> bool:
        # The class of "not found" moved between Airflow's versions.
        return "NotFound" in type(error).__name__ and self.kubernetes_conn_id == DEFAULT_CONNECTION

    def _combined(self, extras: Mapping[str, Any]) -> str:
        return json.dumps(
            cluster_configuration(
                extras,
                in_cluster=self.in_cluster,
                config_file=self.config_file,
                cluster_context=self.cluster_context,
            )
        )


def cluster_configuration(
    extras: Mapping[str, Any],
    *,
    in_cluster: bool | None = None,
    config_file: str | None = None,
    cluster_context: str | None = None,
) -> dict[str, Any]:
    """Combine a connection's extras with the operator's arguments, which win.

    :raises ConfigurationError: if more than one place of a configuration is named
    """

    def extra(name: str) -> Any:
        value = extras[name] if name in extras else extras.get(_PREFIX + name)
        return None if value == "" else value

    text = None
    if not in_cluster and not config_file:
        # `in_cluster=False` says where not to look; where to look is still for the connection to say.
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
    configuration: dict[str, Any] = {
        "context": cluster_context or extra("cluster_context"),
        "verify_ssl": not _boolean("disable_verify_ssl", extra("disable_verify_ssl")),
        "namespace": extra("namespace"),
    }
    if in_cluster:
        return {"source": "in_cluster", **configuration}
    if config_file:
        return {"source": "file", "path": os.path.expanduser(config_file), **configuration}
    if text:
        return {"source": "text", "text": _kubeconfig(text), **configuration}
    return {"source": "default", **configuration}


def _kubeconfig(value: Any) -> str:
    """The kubeconfig as JSON text, with its secrets masked in the logs."""
    if isinstance(value, str):
        import yaml

        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            # The parser's message may quote the text, which holds credentials.
            raise ConfigurationError("The extra `kube_config` is neither JSON nor YAML") from None
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
    raise ConfigurationError(f"The extra `{name}` is neither true nor false", seen=[repr(value)])
