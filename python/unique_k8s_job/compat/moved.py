"""Says which modules and classes of cncf.kubernetes have a class here, and what a subclass of each must not use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from unique_k8s_job.compat import replaced

PACKAGE = "airflow.providers.cncf.kubernetes"
MODULES = (f"{PACKAGE}.operators.job", f"{PACKAGE}.operators.kueue")
OURS = "unique_k8s_job.compat"


class Absent(NamedTuple):
    """What the provider's class has, and ours does not have, each with what to use instead."""

    overrides: Mapping[str, str]
    reads: Mapping[str, str]


OF_A_JOB = Absent(replaced.OF_A_JOB, replaced.READS)
OF_OTHERS = Absent(replaced.OF_OTHERS, replaced.OF_OTHERS)
CLASSES: Mapping[str, Absent] = {
    "KubernetesJobOperator": OF_A_JOB,
    "KubernetesDeleteJobOperator": OF_OTHERS,
    "KubernetesPatchJobOperator": OF_OTHERS,
    "KubernetesStartKueueJobOperator": OF_A_JOB,
}
#: The parameters that are templates here, and were none there: braces in them were only text.
TEMPLATES_ONLY_HERE = (
    "active_deadline_seconds",
    "affinity",
    "backoff_limit",
    "completion_mode",
    "completions",
    "container_security_context",
    "dns_config",
    "dnspolicy",
    "host_aliases",
    "image_pull_policy",
    "image_pull_secrets",
    "init_containers",
    "parallelism",
    "ports",
    "priority_class_name",
    "runtime_class_name",
    "schedulername",
    "security_context",
    "service_account_name",
    "subdomain",
    "termination_grace_period",
    "termination_message_policy",
    "tolerations",
    "ttl_seconds_after_finished",
)
