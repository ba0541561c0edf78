"""What `@task.unique_k8s_job` puts into a Job, and what it refuses; Jobs themselves are for the tests on a real cluster."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from unique_k8s_job.decorators import function_in_job
from unique_k8s_job.decorators.job import (
    UniqueK8sJobCommandOperator,
    UniqueK8sJobFunctionOperator,
    unique_k8s_job_cmd_task,
    unique_k8s_job_task,
)
from unique_k8s_job.decorators.shipped_function import LARGEST, arguments_of, literal, source_of
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.operators.job import UniqueK8sJobOperator

ODD = "$HOME $(HOME) $$ ö"


def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[int, Any, str]:
    """What becomes of a call in another process, whose locale knows only ASCII: exit code, result, stderr."""
    ended = subprocess.run(
        [
            *(sys.executable, "-u", "-c", Path(function_in_job.__file__).read_text()),
            *(function.__name__, "/dev/stdout", source_of(function), arguments_of(function, args, kwargs, {})),
        ],
        env={"LC_ALL": "C"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr.decode()


def echo(value: Any, *more: Any, word: str = "default", **others: Any) -> list[Any]:
    # A comment.
    text = """
# no comment: $HOME $(HOME) $$ ö
"""
    return [value, more, word, others, text]


async def waits(seconds: float) -> str:
    import asyncio

    await asyncio.sleep(seconds)
    return "waited"


def annotated(value: Decimal) -> NotImported:  # type: ignore[name-defined]  # noqa: F821
    return value + 1


def factorial(number: int) -> int:
    return 1 if number < 2 else number * factorial(number - 1)


def test_function_gets_its_arguments_and_its_result_comes_back() -> None:
    def inner(value: int) -> int:
        text = """
at the beginning of a line"""
        return value + len(text)

    assert called(echo, {"a": [1, None, 2.5, True, ODD]}, "more", word="w", other=0)[:2] == (
        0,
        [{"a": [1, None, 2.5, True, ODD]}, ["more"], "w", {"other": 0}, f"\n# no comment: {ODD}\n"],
    )
    assert called(waits, 0)[:2] == (0, "waited")
    assert called(annotated, 1)[:2] == (0, 2)
    assert called(factorial, 5)[:2] == (0, 120)
    assert called(inner, 1)[:2] == (0, 28)


def test_traceback_has_the_lines_of_the_function_and_none_of_ours() -> None:
    def fails() -> None:
        raise LookupError("no table")

    def returns_a_set() -> set[int]:
        return {1}

    code, result, said = called(fails)
    assert (code, result) == (1, None)
    assert said.splitlines()[-1] == "LookupError: no table"
    assert 'raise LookupError("no table")' in said and "exec(" not in said
    code, _, said = called(returns_a_set)
    assert (code, said) == (
        1,
        "What `returns_a_set` returned is no JSON: Object of type set is not JSON serializable\n",
    )


def test_exit_code_that_the_function_chooses_is_that_of_the_job() -> None:
    def leaves() -> None:
        raise SystemExit(7)

    assert called(leaves)[0] == 7


def expanded(text: str, at: int = 0) -> str:
    """What the kubelet makes of an argument: the rules of `expansion.Expand`, where `HOME` is /root."""
    if (dollar := text.find("$", at)) < 0 or dollar + 1 == len(text):
        return text[at:]
    if text[dollar + 1] == "$":
        return text[at:dollar] + "$" + expanded(text, dollar + 2)
    if text.startswith("$(HOME)", dollar):
        return text[at:dollar] + "/root" + expanded(text, dollar + 7)
    return text[at : dollar + 2] + expanded(text, dollar + 2)


@pytest.mark.parametrize("text", ["", "$", "$$", "$(HOME)", "$$(HOME)", "a$", "$($", ODD])
def test_kubernetes_leaves_every_text_as_it_is(text: str) -> None:
    assert expanded("$(HOME)") == "/root"
    assert expanded(literal(text)) == text


@pytest.mark.parametrize(
    ("value", "path", "seen"),
    [
        (date(2026, 1, 1), "value", "`value` is a value of type date"),
        ({"days": [1, date(2026, 1, 1)]}, "value['days'][1]", "a value of type date"),
        ({"a": {1: "b"}}, "value['a']", "a key of `value['a']` is a value of type int, and JSON has only texts"),
        (b"bytes", "value", "a value of type bytes"),
        ({1, 2}, "value", "a value of type set"),
    ],
)
def test_argument_that_is_no_json_is_refused_with_its_name_and_without_its_value(
    value: Any, path: str, seen: str
) -> None:
    for args, kwargs in (((value,), {}), ((), {"value": value})):
        with pytest.raises(ConfigurationError, match="cannot be sent to its Job") as caught:
            arguments_of(echo, args, kwargs, {})
        assert caught.value.path == path
        assert seen in caught.value.seen[0]
        assert "2026" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        arguments_of(echo, [1, 2, {3}], {}, {})
    assert caught.value.path == "argument 3"


def test_parameter_with_a_name_of_the_context_has_its_value() -> None:
    def task(first: str, ds: str | None = None, params: Mapping[str, Any] | None = None) -> None: ...

    context = {"ds": "2026-01-01", "params": ChainMap({"a": 1}), "ti": object(), "first": "no"}
    assert json.loads(arguments_of(task, ["a"], {}, context)) == {
        "args": ["a"],
        "kwargs": {"ds": "2026-01-01", "params": {"a": 1}},
    }
    assert json.loads(arguments_of(task, ["a", "b"], {"params": None}, context))["kwargs"] == {"params": None}

    def wants_the_instance(ti: Any = None) -> None: ...

    with pytest.raises(ConfigurationError, match="Argument `ti` of `wants_the_instance` cannot be sent"):
        arguments_of(wants_the_instance, [], {}, context)


def test_function_that_cannot_run_by_itself_is_refused_with_the_reason() -> None:
    outside = 1

    def closes_over() -> int:
        return outside

    @functools.lru_cache
    def cached() -> None: ...

    for function, words in (
        (closes_over, "it uses `outside` of the function around it"),
        (cached, "its decorator `functools.lru_cache` is not in the Job"),
        (lambda: 1, "it is no function with a `def` of its own"),
        (len, "its source is not known"),
    ):
        with pytest.raises(ConfigurationError, match="cannot be sent to a Job") as caught:
            source_of(function)  # type: ignore[arg-type]
        assert words in caught.value.seen[0]
        assert caught.value.hint


def test_what_is_too_large_is_refused_with_its_size_and_what_to_do() -> None:
    fitting = LARGEST - len(arguments_of(echo, [""], {}, {}))
    assert len(arguments_of(echo, ["x" * fitting], {}, {})) == LARGEST
    with pytest.raises(
        ConfigurationError, match="The arguments of `echo` cannot be sent to a Job: too large"
    ) as caught:
        arguments_of(echo, ["x" * (fitting + 1)], {}, {})
    assert caught.value.seen == [f"{LARGEST + 1} bytes, and at most {LARGEST} fit"]
    assert caught.value.hint and "pass its address" in caught.value.hint


def test_decorators_of_airflow_are_not_in_the_source() -> None:
    @unique_k8s_job_task(image="a:1", python="python3.12")
    def train(number: int) -> int:
        return number

    function = train.function  # type: ignore[attr-defined]
    assert source_of(function) == "if True:\n    def train(number: int) -> int:\n        return number\n"


def test_decorated_operator_is_the_operator_with_a_function_in_the_place_of_the_command() -> None:
    @unique_k8s_job_task(image="a:1")
    def train(number: int) -> dict[str, int]:
        return {"a": number}

    operator = train(1).operator  # type: ignore[attr-defined]
    assert isinstance(operator, UniqueK8sJobFunctionOperator) and isinstance(operator, UniqueK8sJobOperator)
    assert (operator.xcom, operator.multiple_outputs, operator.task_id) == ("termination-message", True, "train")
    assert {"op_args", "op_kwargs", "image", "env_vars"} <= set(operator.template_fields)
    assert not {"cmds", "arguments"} & set(operator.template_fields), "the source of a function is no template"

    @unique_k8s_job_task(image="a:1", do_xcom_push=False)
    def silent() -> None: ...

    assert silent().operator.xcom is None  # type: ignore[attr-defined]
    for argument in ("cmds", "arguments"):
        for factory in (unique_k8s_job_task, unique_k8s_job_cmd_task):
            with pytest.raises(ConfigurationError, match=f"`{argument}` is not for `@task.unique_k8s_job"):
                factory(image="a:1", **{argument: ["sh"]})(lambda: 1)()  # type: ignore[call-overload]


def test_import_of_the_decorators_loads_no_native_module_and_nothing_that_reads_sources() -> None:
    script = """
import sys
try:
    import airflow.sdk.bases.decorator
except ImportError:
    import airflow.decorators.base
before = set(sys.modules)
import unique_k8s_job.decorators.job
new = set(sys.modules) - before
assert not {"unique_k8s_job._core", "unique_k8s_job.decorators.shipped_function", "yaml", "ast"} & new, new
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("returned", [None, [], "sh -c true", ["sh", 1], ("sh",)])
def test_function_has_to_return_a_list_of_texts_as_the_command(returned: Any) -> None:
    operator = UniqueK8sJobCommandOperator(task_id="work", python_callable=lambda: returned, image="a:1")
    with pytest.raises(ConfigurationError, match="has to return a list of texts") as caught:
        operator.execute({})  # type: ignore[arg-type]
    assert "sh" not in caught.value.seen[0]


def test_command_may_be_the_arguments_of_the_image_and_is_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, Any]] = []
    monkeypatch.setattr(UniqueK8sJobOperator, "execute", lambda self, _: made.append((self.cmds, self.arguments)))

    def command(word: str, run_id: str) -> list[str]:
        return ["run", word, run_id, "{{ run_id }}"]

    for args_only in (False, True):
        operator = UniqueK8sJobCommandOperator(
            task_id="work", python_callable=command, op_args=["a"], image="a:1", args_only=args_only
        )
        operator.execute({"run_id": "r"})  # type: ignore[typeddict-item]
    words = ["run", "a", "r", "r"]
    assert made == [(words, None), (None, words)]


def test_decorators_are_registered_and_found() -> None:
    try:
        from airflow.sdk import task
    except ImportError:  # Airflow 2
        from airflow.decorators import task

    assert task.unique_k8s_job is unique_k8s_job_task  # type: ignore[attr-defined]
    assert task.unique_k8s_job_cmd is unique_k8s_job_cmd_task  # type: ignore[attr-defined]
