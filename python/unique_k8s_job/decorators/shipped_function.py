"""Turns a Python function and its arguments into the texts that go into a Job. Reads source files; asks no cluster.

Promise: what cannot be sent whole is refused before there is a Job, with its name. The arguments are JSON, because
pickle ties the image to the Python of Airflow and runs whatever it is given. The source is taken with Python's own
parser: Airflow's `get_python_source` leaves out each line of a text that begins with `#`.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from unique_k8s_job.described import described
from unique_k8s_job.exceptions import ConfigurationError

#: Bytes of one argument of a program; Linux takes no longer one (MAX_ARG_STRLEN, with the zero byte at its end).
LARGEST = 128 * 1024 - 1
#: The decorators that are left out of the source: what they do is done in Airflow.
_OF_AIRFLOW = frozenset({"unique_k8s_job", "unique_k8s_job_task", "setup", "teardown", "run_if", "skip_if"})
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a function, without its decorators.

    :raises ConfigurationError: if it cannot run by itself, or is too large
    """
    name = getattr(function, "__name__", "the function")
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise _refused(name, f"its source is not known: {error}", "define it with `def` in the DAG file") from error
    # A function inside another one is indented; so is what is shipped.
    head = "if True:\n" if text[:1].isspace() else ""
    try:
        block: Any = ast.parse(head + text)
    except SyntaxError:
        block = ast.Module(body=[], type_ignores=[])
    node = next(iter(block.body[0].body if head and block.body else block.body), None)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != name:
        raise _refused(name, "it is no function with a `def` of its own", "define it with `def` in the DAG file")
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(called).rpartition(".")[2] not in _OF_AIRFLOW:
            raise _refused(
                name, f"its decorator `{ast.unparse(called)}` is not in the Job", "decorate a function inside of it"
            )
    code: Any = getattr(inspect.unwrap(function), "__code__", None)
    if outside := sorted(set(code.co_freevars if code else ()) - {name}):
        raise _refused(
            name,
            f"it uses {', '.join(f'`{variable}`' for variable in outside)} of the function around it",
            "pass it as an argument, or import it inside the function",
        )
    lines = (head + text).splitlines(keepends=True)
    source = head + "".join(lines[node.lineno - 1 :])
    _fits(f"The source of `{name}`", source, "move most of it into a package in the image, and import it")
    return source


def arguments_of(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> str:
    """Return the arguments of the call as JSON. Parameters with a name of Airflow's context get its value.

    :raises ConfigurationError: if one cannot be sent, naming it, or all of them are too large
    """
    name = function.__name__
    parameters = inspect.signature(function).parameters.values()
    positional = [parameter.name for parameter in parameters if parameter.kind in _POSITIONAL]
    names = [*positional, *(f"argument {number}" for number in range(len(positional) + 1, len(args) + 1))]
    of_context = {
        parameter.name: context[parameter.name]
        for parameter in islice(parameters, len(args), None)
        if parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        and parameter.name not in kwargs
        and parameter.name in context
    }
    given = {
        "args": [_plain(name, path, value) for path, value in zip(names, args, strict=False)],
        "kwargs": {path: _plain(name, path, value) for path, value in {**of_context, **kwargs}.items()},
    }
    text = json.dumps(given)
    _fits(
        f"The arguments of `{name}`", text, "write the data to a store, such as S3 or a database, and pass its address"
    )
    return text


def literal(text: str) -> str:
    """Return a text that Kubernetes leaves as it is: it replaces `$(NAME)` in arguments, and `$$` stands for `$`."""
    return text.replace("$", "$$")


def _plain(function: str, path: str, value: Any) -> Any:
    """Return a value as JSON has it, if nothing of it is lost; tuples become lists."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _unshippable(function, path, f"a key of `{path}` is {described(key)}, and JSON has only texts")
        return {key: _plain(function, f"{path}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(function, f"{path}[{number}]", item) for number, item in enumerate(value)]
    raise _unshippable(function, path, f"`{path}` is {described(value)}")


def _unshippable(function: str, path: str, seen: str) -> ConfigurationError:
    return ConfigurationError(
        f"Argument `{path}` of `{function}` cannot be sent to its Job",
        seen=[seen],
        hint="arguments are sent as JSON: give texts, numbers, lists, and dicts with texts as keys. A time is sent as a "
        "text, such as `{{ ts }}`",
        path=path,
    )


def _refused(name: str, seen: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"`{name}` cannot be sent to a Job", seen=[seen], hint=hint, path="python_callable")


def _fits(what: str, text: str, hint: str) -> None:
    size = len(text.encode())
    if size > LARGEST:
        raise ConfigurationError(
            f"{what} cannot be sent to a Job: too large", seen=[f"{size} bytes, and at most {LARGEST} fit"], hint=hint
        )
