"""Every parameter of `KubernetesJobOperator` of cncf.kubernetes 10.25.0, and what becomes of it: `docs/parameters.md`.

The names are those of the signatures of the provider's `KubernetesJobOperator` and `KubernetesPodOperator`. With
`UNIQUE_K8S_JOB_WRITE_TABLES=1` the page is written.
"""

from __future__ import annotations

import ast
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
    #: The tests that cover it: the first one of the classes alone, the others on a real cluster.
    tests: tuple[str, ...]


# Of the classes alone.
_FIELD = "test_argument_is_a_field_of_the_job"
_FILE = "test_template_file_is_the_job"
_SPEC = "test_full_job_spec_is_the_job"
_MERGED = "test_templates_and_specs_merge_in_the_providers_order_by_the_rules_of_kubernetes"
_MEANS = "test_parameter_means_an_argument_of_ours"
_WARNED = "test_parameter_that_can_mean_nothing_is_warned_of_once_at_the_line_of_the_dag_file"
_SECRETS = "test_secrets_and_config_maps_are_variables_and_files_of_the_base_container"
_LINES = "test_lines_are_formatted_and_given_to_the_callbacks"
_LOGS = "test_logs_are_those_of_the_base_container_unless_others_are_named"
_FIXED = "test_name_begins_with_job_and_is_whole_without_a_suffix"
_HOOK = "test_arguments_that_choose_the_cluster_reach_the_hook"
_PLAIN = "test_plain_task_of_the_provider_gets_no_warning"
# On a real cluster, the first and the deferred one in a real Airflow, too.
_REAL = "test_system_test_dag_of_the_provider_runs_green_with_its_import_swapped"
_DEFERRED_STOP = "test_job_of_a_deferred_task_outlives_a_users_stop_only_if_it_is_wanted"
_WORKS = "test_secrets_config_maps_templates_and_the_choice_of_logs_work_as_in_the_provider"
_GOES_ON = "test_task_that_does_not_wait_is_green_with_its_job_which_another_task_deletes_after_its_end"
_WHOSE_LOGS = "test_log_has_the_lines_of_those_containers_that_are_named"
_ENDINGS = "test_finished_job_is_kept_or_deleted_as_the_provider_says_it"
_NEXT_TRY = "test_retry_after_a_stop_that_keeps_the_job_takes_it_over_or_replaces_it"
_NO_START = "test_job_that_does_not_start_ends_after_the_sum_of_both_limits_and_its_events_are_told"
_SAME = "the same"
_ALWAYS = "always so: each finding about a Job that does not move is in the log, and the error says why it failed"

#: What is not simply the same: the others are arguments of the same name, covered by `_FIELD`.
SPECIAL: dict[str, Row] = {
    "job_template_file": Row("`manifest`", "a file, merged under everything else", (_FILE,)),
    "full_job_spec": Row("`manifest`", "merged over `job_template_file`; a model or a dict", (_SPEC, _WORKS)),
    "pod_template_file": Row("`manifest`", "the Pods of the Job, merged over the specs of Jobs", (_MERGED,)),
    "pod_template_dict": Row(
        "`manifest`",
        "the same as a dict",
        ("test_template_fields_are_those_of_the_provider_and_models_are_rendered_too", _WORKS),
    ),
    "full_pod_spec": Row("`manifest`", "merged over the templates of Pods; a model or a dict", (_MERGED,)),
    "backoff_limit": Row("`backoff_limit`", "not given, Kubernetes' own 6 counts", (_FIELD,)),
    "parallelism": Row("`parallelism`", "not given, that of the template stays", (_FIELD,)),
    "ttl_seconds_after_finished": Row(
        "`ttl_seconds_after_finished`",
        "counts once the outcome is recorded; not given, one day",
        ("test_ttl_counts_from_the_end_of_a_job_for_which_nobody_waits", _GOES_ON),
    ),
    "wait_until_job_complete": Row("", "False: green once the Job is made, as there", (_MEANS, _WORKS)),
    "deferrable": Row("`deferrable`", "needs `wait_until_job_complete=True`, as there", (_MEANS, _REAL)),
    "on_kill_propagation_policy": Row(
        "`on_stop`",
        'the deletion is confirmed either way; `Orphan` is `on_stop="leave"`',
        (_MEANS, _NEXT_TRY, _DEFERRED_STOP),
    ),
    "on_kill_action": Row("`on_stop`", "`keep_pod` is `leave`", (_MEANS, _NEXT_TRY, _DEFERRED_STOP)),
    "on_finish_action": Row(
        "`on_finish`",
        "what was asked of the Pods is done with the Job and its Pods; not given, both stay for the TTL",
        (_MEANS, _ENDINGS),
    ),
    "name": Row("`name`", "begins with `job-`, as there", (_FIXED, _WORKS)),
    "random_name_suffix": Row("`name_policy`", "False is `fixed`", (_FIXED, _ENDINGS)),
    "kubernetes_conn_id": Row("`kubernetes_conn_id`", _SAME, (_HOOK,)),
    "in_cluster": Row("`in_cluster`", _SAME, (_HOOK,)),
    "cluster_context": Row("`cluster_context`", _SAME, (_HOOK,)),
    "config_file": Row("`config_file`", "in the triggerer, too", (_HOOK, _GOES_ON)),
    "secrets": Row("`secrets`", "those of the provider, or dicts", (_SECRETS, _WORKS)),
    "configmaps": Row("`configmaps`", _SAME, (_SECRETS, _WORKS)),
    "reattach_on_restart": Row("`reattach`", "False is `replace`", (_MEANS, _NEXT_TRY)),
    "durable": Row("`reattach`", "False is `replace`; it counts before `reattach_on_restart`", (_MEANS, _NEXT_TRY)),
    "startup_timeout_seconds": Row(
        "`startup_timeout_seconds`",
        "the sum of both limits: alone, 8 is 8 + 8 s; given neither, 600 s",
        (_MEANS, _NO_START),
    ),
    "schedule_timeout_seconds": Row(
        "`startup_timeout_seconds`",
        "the sum of both limits; not given, it is the same as the other",
        (_MEANS, _NO_START),
    ),
    "get_logs": Row("`get_logs`", "live, of all Pods", (_LOGS, _WHOSE_LOGS)),
    "container_logs": Row("`container_logs`", "not given, the base container", (_LOGS, _WHOSE_LOGS)),
    "init_container_logs": Row("`init_container_logs`", "not given, none", (_LOGS, _WHOSE_LOGS)),
    "base_container_name": Row(
        "`base_container_name`",
        "found by name; the class variable counts, too",
        ("test_subclass_names_its_base_container", _WORKS),
    ),
    "image_pull_secrets": Row("`image_pull_secrets`", "also names with commas between them", (_MEANS,)),
    "pod_runtime_info_envs": Row("`env_vars`", "added to it", ("test_environment_of_the_pod_is_added", _WORKS)),
    "skip_on_exit_code": Row(
        "`skip_on_exit_code`",
        "works for Jobs, deferred, too",
        (_MEANS, "test_exit_code_that_the_dag_names_skips_the_task"),
    ),
    "xcom_sidecar_container_security_context": Row(
        "`xcom_sidecar_security_context`",
        'of the sidecar of `xcom="sidecar"`; where there is none, without effect, with a warning',
        ("test_security_context_of_the_sidecar_is_passed_on_where_there_is_one", _ENDINGS),
    ),
    "do_xcom_push": Row("`xcom`", "True is `termination-message`: the same file, without a sidecar", (_MEANS, _WORKS)),
    "unwrap_single": Row(
        "", "False puts the result of one Pod into a list", ("test_result_of_one_pod_is_a_list_only_if_wanted", _WORKS)
    ),
    "log_events_on_failure": Row("", _ALWAYS, (_PLAIN, _NO_START)),
    "log_events_on_startup": Row("", _ALWAYS, (_PLAIN, _NO_START)),
    "progress_callback": Row("", "called for each line, in a worker", (_LINES, _WORKS)),
    "log_formatter": Row("", "called for each line, in a worker", (_LINES,)),
    "callbacks": Row("", "`progress_callback` is called in a worker; a warning names the others", (_LINES,)),
}
#: The parameters that change what happens on the cluster, or what is read from it: each has a test there.
ON_THE_CLUSTER = set(SPECIAL) - {
    # What these become is written into the Job, or is done with its log once it has arrived.
    *("job_template_file", "pod_template_file", "full_pod_spec", "backoff_limit", "parallelism", "image_pull_secrets"),
    *("kubernetes_conn_id", "in_cluster", "cluster_context", "log_formatter", "callbacks"),
}


def row(name: str) -> Row:
    if name in SPECIAL:
        return SPECIAL[name]
    if name in without_meaning.OF_A_JOB:
        return Row("", f"without effect, with a warning: {without_meaning.OF_A_JOB[name]}", (_WARNED,))
    assert name in SAME, f"`{name}` has no row"
    return Row(f"`{name}`", _SAME, (_FIELD,))


class Covering(NamedTuple):
    """A test of any of the suites."""

    suite: str
    #: Its text, with that of what it is made of in its file.
    text: str


def every_test() -> dict[str, Covering]:
    """Every test of the suites, by its name."""
    found: dict[str, Covering] = {}
    for suite in ("python", "live", "airflow"):
        for file in (CHECKOUT / "tests" / suite).glob("test_*.py"):
            source = file.read_text()
            parts = {name: part for part in ast.parse(source).body for name in _names(part)}
            texts = {name: _text(source, part) for name, part in parts.items()}
            for name in (name for name in parts if name.startswith("test_")):
                used = {item.id for item in ast.walk(parts[name]) if isinstance(item, ast.Name)} & set(parts)
                found[name] = Covering(suite, "\n".join([texts[name], *(texts[other] for other in sorted(used))]))
    return found


def _names(part: ast.stmt) -> list[str]:
    if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
        return [part.name]
    targets = part.targets if isinstance(part, ast.Assign) else [part.target] if isinstance(part, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _text(source: str, part: ast.stmt) -> str:
    first = min([part.lineno, *(item.lineno for item in getattr(part, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : part.end_lineno])


def named_in(text: str, *names: str) -> bool:
    return any(re.search(rf"\b{name}\b", text) for name in names if name)


def _listed(tests: tuple[str, ...]) -> str:
    return ", ".join(f"`{test}`" for test in tests)


def page() -> str:
    lines = [
        "# Every parameter of cncf.kubernetes, and ours",
        "",
        f"This table has each parameter of `KubernetesJobOperator` of cncf.kubernetes {PEER}, with those that it inherits",
        'from `KubernetesPodOperator`, and what becomes of it in `unique_k8s_job.compat.KubernetesJobOperator`. "Ours" is the',
        "argument of `UniqueK8sJobOperator` that does it. Where the behaviour differs, see [differences.md](differences.md).",
        f"A test writes this page: {len(NAMES)} of {len(NAMES)} parameters. It checks that each test exists and names the",
        "parameter. The first test is one of the classes alone. A parameter that changes what happens on the cluster has others,",
        "on a real one.",
        "",
        "| parameter | ours | what becomes of it | tests |",
        "|---|---|---|---|",
        *(f"| `{name}` | {row(name).ours} | {row(name).how} | {_listed(row(name).tests)} |" for name in NAMES),
        "",
    ]
    return "\n".join(lines)


def test_every_parameter_of_the_provider_is_accepted_and_has_its_row_and_its_test() -> None:
    assert len(NAMES) == len(set(NAMES)) == 88
    accepted = set(inspect.signature(KubernetesJobOperator.__init__).parameters) - {"self", "kwargs"}
    assert accepted == set(NAMES)
    ours = set(inspect.signature(UniqueK8sJobOperator.__init__).parameters)
    known = every_test()
    for name in NAMES:
        found = row(name)
        argument = found.ours.strip("`")
        assert not argument or argument in ours, f"`{name}`: no argument {argument}"
        assert set(found.tests) <= set(known), f"`{name}`: no tests {set(found.tests) - set(known)}"
        first, *others = (known[test] for test in found.tests)
        assert first.suite == "python" and named_in(first.text, name), f"`{name}` is not in {found.tests[0]}"
        for test, text in zip(found.tests[1:], others, strict=True):
            assert text.suite != "python" and named_in(text.text, name, argument), f"`{name}` is not in {test}"
        assert others or name not in ON_THE_CLUSTER, f"`{name}` has no test on a real cluster"


def test_page_of_the_parameters_is_what_the_code_says() -> None:
    if os.environ.get("UNIQUE_K8S_JOB_WRITE_TABLES"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run this test with UNIQUE_K8S_JOB_WRITE_TABLES=1"


def test_page_of_the_differences_has_each_method_that_a_subclass_must_not_override() -> None:
    table = (
        (CHECKOUT / "docs" / "differences.md").read_text().split("| it overrides | use instead |")[1].split("\n\n")[0]
    )
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert sorted(named) == sorted(replaced.OF_A_JOB)
    assert set(replaced.OF_OTHERS) <= set(named)


def test_page_of_the_differences_has_each_name_that_a_subclass_cannot_read() -> None:
    table = (CHECKOUT / "docs" / "differences.md").read_text().split("| it reads | what there is |")[1].split("\n\n")[0]
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`self\.(\w+)`", line.split(" | ")[0])]
    assert sorted(named) == sorted(set(replaced.READS) - set(replaced.OF_A_JOB))


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_row_is_for_a_parameter(name: str) -> None:
    assert name in NAMES
