"""Every parameter of `KubernetesJobOperator` of cncf.kubernetes 10.25.0, and what becomes of it: `docs/parameters.md`.

The names are those of the signatures of the provider's `KubernetesJobOperator` and `KubernetesPodOperator`. With
`UNIQUE_K8S_JOB_WRITE_TABLES=1` the page is written.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from unique_k8s_job import UniqueK8sJobOperator
from unique_k8s_job.compat import KubernetesJobOperator, replaced, without_meaning
from unique_k8s_job.compat.job import SAME

PEER = "10.25.0"
CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "parameters.md"

#: The parameters of KubernetesJobOperator itself, then those of KubernetesPodOperator, in the order of their signatures.
NAMES = [
    "job_template_file",
    "full_job_spec",
    "backoff_limit",
    "completion_mode",
    "completions",
    "manual_selector",
    "parallelism",
    "selector",
    "suspend",
    "ttl_seconds_after_finished",
    "wait_until_job_complete",
    "job_poll_interval",
    "deferrable",
    "on_kill_propagation_policy",
    "discover_pods_retry_number",
    "unwrap_single",
    "kubernetes_conn_id",
    "namespace",
    "image",
    "name",
    "random_name_suffix",
    "cmds",
    "arguments",
    "ports",
    "volume_mounts",
    "volumes",
    "env_vars",
    "env_from",
    "secrets",
    "in_cluster",
    "cluster_context",
    "labels",
    "reattach_on_restart",
    "durable",
    "startup_timeout_seconds",
    "startup_check_interval_seconds",
    "schedule_timeout_seconds",
    "get_logs",
    "base_container_name",
    "base_container_status_polling_interval",
    "init_container_logs",
    "container_logs",
    "image_pull_policy",
    "annotations",
    "container_resources",
    "affinity",
    "config_file",
    "runtime_class_name",
    "node_selector",
    "image_pull_secrets",
    "service_account_name",
    "automount_service_account_token",
    "hostnetwork",
    "host_aliases",
    "tolerations",
    "security_context",
    "container_security_context",
    "xcom_sidecar_container_security_context",
    "dnspolicy",
    "dns_config",
    "hostname",
    "subdomain",
    "schedulername",
    "full_pod_spec",
    "init_containers",
    "log_events_on_failure",
    "log_events_on_startup",
    "do_xcom_push",
    "pod_template_file",
    "pod_template_dict",
    "priority_class_name",
    "pod_runtime_info_envs",
    "termination_grace_period",
    "configmaps",
    "skip_on_exit_code",
    "poll_interval",
    "log_pod_spec_on_failure",
    "on_finish_action",
    "on_kill_action",
    "is_delete_operator_pod",
    "termination_message_policy",
    "active_deadline_seconds",
    "callbacks",
    "progress_callback",
    "logging_interval",
    "trigger_kwargs",
    "container_name_log_prefix_enabled",
    "log_formatter",
]


class Row(NamedTuple):
    """What becomes of a parameter."""

    #: The argument of `UniqueK8sJobOperator`, if there is one.
    ours: str
    how: str
    #: The test that covers it, of any of the suites.
    test: str


_FIELDS = "test_argument_arrives_in_its_field_also_where_it_is_zero_or_false"
_ARGUMENTS = "test_every_argument_of_the_operator_that_shapes_the_job_is_known_to_the_core"
_MEANS = "test_parameter_means_an_argument_of_ours"
_WARNED = "test_parameter_that_can_mean_nothing_is_warned_of_once_at_the_line_of_the_dag_file"
_FIELD = "test_argument_is_a_field_of_the_job"
_MERGED = "test_templates_and_specs_merge_in_the_providers_order_by_the_rules_of_kubernetes"
_SECRETS = "test_secrets_and_config_maps_are_variables_and_files_of_the_base_container"
_LINES = "test_lines_are_formatted_and_given_to_the_callbacks"
_LOGS = "test_logs_are_those_of_the_base_container_unless_others_are_named"
_FIXED = "test_name_begins_with_job_and_is_whole_without_a_suffix"
_HOOK = "test_arguments_of_the_operator_win_over_the_extras"
_REAL = "test_system_test_dag_of_the_provider_runs_green_with_its_import_swapped"
_PLAIN = "test_plain_task_of_the_provider_gets_no_warning"
_SAME = "the same"
_ALWAYS = "always so: each finding about a Job that does not move is in the log, and the error says why it failed"

#: What is not simply the same: the others are arguments of the same name, covered by `_ARGUMENTS` and `_FIELDS`.
SPECIAL: dict[str, Row] = {
    "job_template_file": Row("`manifest`", "a file, merged under everything else", "test_template_file_is_the_job"),
    "full_job_spec": Row(
        "`manifest`", "merged over `job_template_file`; a model or a dict", "test_full_job_spec_is_the_job"
    ),
    "pod_template_file": Row("`manifest`", "the Pods of the Job, merged over the specs of Jobs", _MERGED),
    "pod_template_dict": Row(
        "`manifest`", "the same as a dict", "test_template_fields_are_those_of_the_provider_and_models_are_rendered_too"
    ),
    "full_pod_spec": Row("`manifest`", "merged over the templates of Pods; a model or a dict", _MERGED),
    "backoff_limit": Row("`backoff_limit`", "not given, Kubernetes' own 6 counts", _FIELD),
    "completion_mode": Row("`completion_mode`", _SAME, _FIELD),
    "completions": Row("`completions`", _SAME, _FIELD),
    "parallelism": Row("`parallelism`", "not given, that of the template stays", _FIELD),
    "suspend": Row("`suspend`", _SAME, _FIELD),
    "ttl_seconds_after_finished": Row(
        "`ttl_seconds_after_finished`",
        "counts once the outcome is recorded; not given, one day",
        "test_ttl_counts_from_the_end_of_a_job_for_which_nobody_waits",
    ),
    "wait_until_job_complete": Row("", "False: green once the Job is made, as there", _REAL),
    "deferrable": Row("`deferrable`", "needs `wait_until_job_complete=True`, as there", _REAL),
    "on_kill_propagation_policy": Row(
        "`on_stop`", 'the deletion is confirmed either way; `Orphan` is `on_stop="leave"`', _MEANS
    ),
    "on_kill_action": Row("`on_stop`", "`keep_pod` is `leave`", _MEANS),
    "on_finish_action": Row(
        "`on_finish`",
        "what was asked of the Pods is done with the Job and its Pods; not given, both stay for the TTL",
        _MEANS,
    ),
    "name": Row("`name`", "begins with `job-`, as there", _FIXED),
    "random_name_suffix": Row("`name_policy`", "False is `fixed`", _FIXED),
    "kubernetes_conn_id": Row("`kubernetes_conn_id`", _SAME, _HOOK),
    "in_cluster": Row("`in_cluster`", _SAME, _HOOK),
    "cluster_context": Row("`cluster_context`", _SAME, _HOOK),
    "config_file": Row("`config_file`", "in the triggerer, too", _HOOK),
    "namespace": Row("`namespace`", _SAME, "test_full_job_spec_is_the_job"),
    "secrets": Row("`secrets`", "those of the provider, or dicts", _SECRETS),
    "configmaps": Row("`configmaps`", _SAME, _SECRETS),
    "reattach_on_restart": Row("`reattach`", "False is `replace`", _MEANS),
    "durable": Row("`reattach`", "False is `replace`; it counts before `reattach_on_restart`", _MEANS),
    "startup_timeout_seconds": Row("`startup_timeout_seconds`", "the sum of both limits; not given, 600 s", _MEANS),
    "schedule_timeout_seconds": Row("`startup_timeout_seconds`", "the sum of both limits", _MEANS),
    "get_logs": Row("`get_logs`", "live, of all Pods", _REAL),
    "container_logs": Row("`container_logs`", "not given, the base container", _LOGS),
    "init_container_logs": Row("`init_container_logs`", "not given, none", _LOGS),
    "base_container_name": Row(
        "`base_container_name`",
        "found by name; the class variable counts, too",
        "test_subclass_names_its_base_container",
    ),
    "image_pull_secrets": Row("`image_pull_secrets`", "also names with commas between them", _MEANS),
    "pod_runtime_info_envs": Row("`env_vars`", "added to it", "test_environment_of_the_pod_is_added"),
    "skip_on_exit_code": Row("`skip_on_exit_code`", "works for Jobs, deferred, too", _MEANS),
    "xcom_sidecar_container_security_context": Row(
        "`xcom_sidecar_security_context`",
        'of the sidecar of `xcom="sidecar"`; where there is none, without effect, with a warning',
        "test_security_context_of_the_sidecar_is_passed_on_where_there_is_one",
    ),
    "do_xcom_push": Row("`xcom`", "True is `termination-message`: the same file, without a sidecar", _MEANS),
    "unwrap_single": Row(
        "", "False puts the result of one Pod into a list", "test_result_of_one_pod_is_a_list_only_if_wanted"
    ),
    "log_events_on_failure": Row("", _ALWAYS, _PLAIN),
    "log_events_on_startup": Row("", _ALWAYS, _PLAIN),
    "progress_callback": Row("", "called for each line, in a worker", _LINES),
    "log_formatter": Row("", "called for each line, in a worker", _LINES),
    "callbacks": Row("", "`progress_callback` is called in a worker; a warning names the others", _LINES),
}


def row(name: str) -> Row:
    if name in SPECIAL:
        return SPECIAL[name]
    if name in without_meaning.OF_A_JOB:
        return Row("", f"without effect, with a warning: {without_meaning.OF_A_JOB[name]}", _WARNED)
    assert name in SAME, f"`{name}` has no row"
    source = (CHECKOUT / "tests/python/test_arguments.py").read_text()
    fields = source.split("FIELDS: dict")[1].split("\n}\n")[0]
    return Row(f"`{name}`", _SAME, _FIELDS if f'"{name}":' in fields else _ARGUMENTS)


def page() -> str:
    lines = [
        "# Every parameter of cncf.kubernetes, and ours",
        "",
        f"This table has each parameter of `KubernetesJobOperator` of cncf.kubernetes {PEER}, with those that it inherits",
        'from `KubernetesPodOperator`, and what becomes of it in `unique_k8s_job.compat.KubernetesJobOperator`. "Ours" is the',
        "argument of `UniqueK8sJobOperator` that does it. Where the behaviour differs, see [differences.md](differences.md).",
        f"A test writes this page: {len(NAMES)} of {len(NAMES)} parameters.",
        "",
        "| parameter | ours | what becomes of it | test |",
        "|---|---|---|---|",
        *(f"| `{name}` | {row(name).ours} | {row(name).how} | `{row(name).test}` |" for name in NAMES),
        "",
    ]
    return "\n".join(lines)


def test_every_parameter_of_the_provider_is_accepted_and_has_its_row_and_its_test() -> None:
    assert len(NAMES) == len(set(NAMES)) == 88
    accepted = set(inspect.signature(KubernetesJobOperator.__init__).parameters) - {"self", "kwargs"}
    assert accepted == set(NAMES)
    ours = set(inspect.signature(UniqueK8sJobOperator.__init__).parameters)
    tests = "\n".join(
        file.read_text()
        for suite in ("python", "live", "airflow")
        for file in (CHECKOUT / "tests" / suite).glob("test_*.py")
    )
    for name in NAMES:
        found = row(name)
        assert f"def {found.test}(" in tests, f"`{name}`: no test {found.test}"
        assert not found.ours or re.sub(r"`", "", found.ours) in ours, f"`{name}`: no argument {found.ours}"


def test_page_of_the_parameters_is_what_the_code_says() -> None:
    if os.environ.get("UNIQUE_K8S_JOB_WRITE_TABLES"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run this test with UNIQUE_K8S_JOB_WRITE_TABLES=1"


def test_page_of_the_differences_has_each_method_that_a_subclass_must_not_override() -> None:
    table = (CHECKOUT / "docs" / "differences.md").read_text().split("| it overrides | use instead |")[1]
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert sorted(named) == sorted(replaced.OF_A_JOB)
    assert set(replaced.OF_OTHERS) <= set(named)


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_row_is_for_a_parameter(name: str) -> None:
    assert name in NAMES
