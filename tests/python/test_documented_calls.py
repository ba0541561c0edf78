"""What the pages show to be copied: Python parses and gives our classes arguments that they have; commands have their options."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import unique_k8s_job
from unique_k8s_job import compat
from unique_k8s_job.cli.command_line import commands
from unique_k8s_job.decorators.job import UniqueK8sJobCommandOperator, UniqueK8sJobFunctionOperator
from unique_k8s_job.task.compat import BaseOperator, BaseSensorOperator

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted({CHECKOUT / "README.md", *CHECKOUT.glob("docs/*.md")})
CLASSES = {
    name: getattr(home, name) for home in (compat, unique_k8s_job) for name in home.__all__ if not name.startswith("__")
} | {"unique_k8s_job": UniqueK8sJobFunctionOperator, "unique_k8s_job_cmd": UniqueK8sJobCommandOperator}


def arguments_of(kind: type) -> set[str]:
    """Those of the class, of the classes that it is made of, and of every operator."""
    kinds = {*kind.__mro__, BaseOperator, BaseSensorOperator}
    return {name for each in kinds if "__init__" in vars(each) for name in inspect.signature(each.__init__).parameters}


def python_of(text: str) -> list[str]:
    return [textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]


def unknown_arguments(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr == "partial":
            called = called.value
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in CLASSES:
            known = arguments_of(CLASSES[name])
            yield from (f"{name}({word.arg}=)" for word in node.keywords if word.arg and word.arg not in known)


def unknown_options(text: str) -> Iterator[str]:
    """Options of our commands, in the text of a page, that the command line does not have."""
    assert isinstance(commands, click.Group)
    for command, rest in re.findall(r"\bunique-k8s-job (\w+)([^`\n]*)", text):
        if command not in commands.commands:
            continue
        known = {
            option
            for parameter in commands.commands[command].params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        words = re.split(r" -- |[|#;]", rest)[0].split()
        given = {word.split("=")[0] for word in words if word.startswith("-")}
        yield from (f"{command} {option}" for option in sorted(given - known - {"--help"}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_to_be_copied_exists(page: Path) -> None:
    text = page.read_text()
    unknown = [argument for code in python_of(text) for argument in unknown_arguments(code)]
    assert [*unknown, *unknown_options(text)] == []


def test_a_stale_argument_and_a_stale_option_are_found() -> None:
    assert list(unknown_arguments("UniqueK8sJobOperator(task_id='t', imagee='a:1')")) == [
        "UniqueK8sJobOperator(imagee=)"
    ]
    assert list(unknown_options("`unique-k8s-job doctor --jobs a` and unique-k8s-job run --image a -- ls --all")) == [
        "doctor --jobs"
    ]
