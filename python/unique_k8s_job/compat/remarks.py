"""Tells what a person has to know about a DAG file that moves from cncf.kubernetes, apart from its imports. Pure.

Promise: each remark has its line, and stands on what the syntax tree shows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from unique_k8s_job.compat import moved, without_meaning
from unique_k8s_job.compat.given import Given, Missing

_METHODS = ("partial", "expand")
_BRACES = ("{{", "{%", "{#")
_OF_JOB = ("name", "namespace", "uid")
_WAIT = "wait_until_job_complete"


class Note(NamedTuple):
    """What a person has to know about a line."""

    line: int
    text: str
    #: Whether the file does not work until somebody has changed it.
    by_hand: bool


def remarks(tree: ast.Module, names: Mapping[str, str]) -> Iterator[Note]:
    """Return the remarks on a file.

    :param names: what the file calls our classes
    """
    names = {**names, **_untouched(tree, names)}
    given = Given(tree)
    tasks = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _makes(node, names)]
    for task in tasks:
        yield from _of_task(task, given)
    yield from _of_first_result(tasks, given)
    yield from _of_classes(tree, names)
    yield from _of_texts(tree)
    if names:
        ids = {given.constant(task, "task_id") for task in tasks}
        yield from _of_pulls(tree, ids)


def of_import(node: ast.Import | ast.ImportFrom) -> Iterator[Note]:
    """Return the remarks on an import of the provider that is not rewritten as a whole."""
    if isinstance(node, ast.Import):
        found = [name.name for name in node.names if name.name in moved.MODULES]
    else:
        found = [f"{node.module}.{name.name}" for name in node.names]
        found = [name for name in found if name in moved.MODULES or name in [f"{each}.*" for each in moved.MODULES]]
    if found:
        yield Note(
            node.lineno, f"import the classes by their names: `from {moved.OURS} import KubernetesJobOperator`", True
        )
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(moved.PACKAGE):
        kept = [name.name for name in node.names if node.module not in moved.MODULES or name.name not in moved.CLASSES]
        if kept:
            yield Note(
                node.lineno,
                f"`{', '.join(kept)}` still comes from cncf.kubernetes, which has to stay installed; "
                "a dict can be given instead of a `Secret` or a model",
                False,
            )


def _makes(node: ast.Call, names: Mapping[str, str]) -> bool:
    """Return whether a call makes a task that runs a Job."""
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _METHODS:
        function = function.value
    return isinstance(function, ast.Name) and moved.CLASSES.get(names.get(function.id, "")) is moved.OF_A_JOB


def _of_task(node: ast.Call, given: Given) -> Iterator[Note]:
    without = {**without_meaning.OF_A_JOB, **({} if _may_have_sidecar(node) else without_meaning.OF_THE_SIDECAR)}
    for keyword in node.keywords:
        what = without.get(keyword.arg or "")
        asks = not isinstance(keyword.value, ast.Constant) or keyword.value.value
        if what and (asks or keyword.arg == "container_name_log_prefix_enabled"):
            yield Note(keyword.value.lineno, f"`{keyword.arg}` has no effect: {what}", False)
        if keyword.arg in moved.TEMPLATES_ONLY_HERE:
            yield from _of_template(keyword.arg, keyword.value, given)
    waits = given.value(node, _WAIT)
    if isinstance(waits, Missing):
        if all(keyword.arg for keyword in node.keywords):
            known = "" if waits is Missing.ABSENT else ", unless `default_args` set it"
            what = f"give `{_WAIT}=True` to see its log and its end"
            yield Note(node.lineno, f"the task does not wait for its Job, as before{known}: {what}", False)
    elif _follows(waits) and (start := _only_start(node, given)):
        yield Note(
            node.lineno,
            f"`startup_timeout_seconds={start}` limits the start of the Job to {start} + {start} s, because "
            "`schedule_timeout_seconds`, which is added, is the same if it is not given",
            False,
        )
    if given.constant(node, "do_xcom_push") and given.constant(node, "completion_mode") == "Indexed":
        yield Note(
            node.lineno, 'the task returns a dict by index, such as `{"0": ...}`, because the Job is Indexed', False
        )


def _follows(waits: ast.expr | Missing) -> bool:
    """Return whether a task may wait for its Job."""
    return waits is not Missing.ABSENT and not (isinstance(waits, ast.Constant) and not waits.value)


def _only_start(node: ast.Call, given: Given) -> object:
    """Return `startup_timeout_seconds`, if it is known and surely given without `schedule_timeout_seconds`."""
    alone = given.value(node, "schedule_timeout_seconds") is Missing.ABSENT
    return given.constant(node, "startup_timeout_seconds") if alone else None


def _may_have_sidecar(node: ast.Call) -> bool:
    """Return whether the result of the task may come by a sidecar."""
    sources = [keyword.value for keyword in node.keywords if keyword.arg == "xcom"]
    return any(not isinstance(source, ast.Constant) or source.value == "sidecar" for source in sources)


def _of_template(argument: str, value: ast.expr, given: Given) -> Iterator[Note]:
    for part in given.parts(value):
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str) or "{% raw" in part.value:
            continue
        if found := next((braces for braces in _BRACES if braces in part.value), None):
            yield Note(
                part.lineno,
                f"`{argument}` is a template here, and was none before: if `{found}` is only text, put the text between "
                "`{% raw %}` and `{% endraw %}`",
                False,
            )


def _of_first_result(tasks: list[ast.Call], given: Given) -> Iterator[Note]:
    """Return one remark for all results of a file."""
    lines = [
        task.lineno
        for task in tasks
        if given.constant(task, "do_xcom_push") and _follows(given.value(task, _WAIT)) and not _may_have_sidecar(task)
    ]
    if lines:
        yield Note(
            min(lines),
            "the result is read without a sidecar: `/airflow/xcom/return.json` has to have fewer than 4,096 bytes, and is "
            'written or copied to, because `mv` onto it fails. Give `xcom="sidecar"` where this does not fit',
            False,
        )


def _untouched(tree: ast.Module, names: Mapping[str, str]) -> dict[str, str]:
    """Return the subclasses of the file whose arguments are those of our class."""
    return {
        node.name: base
        for node, base in _subclasses(tree, names)
        if "__init__" not in _defined(node)
        and names.get(node.name) is None
        and not any(each.attr == _WAIT and isinstance(each.ctx, ast.Store) for each in _of_self(node))
    }


def _subclasses(tree: ast.Module, names: Mapping[str, str]) -> Iterator[tuple[ast.ClassDef, str]]:
    """Return the classes of a file that derive from ours, and from which, those of other subclasses, too."""
    known = dict(names)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in known:
                    known[node.name] = known[base.id]
                    yield node, known[base.id]


def _defined(node: ast.ClassDef) -> dict[str, ast.stmt]:
    """Return the names that a class defines, each with its statement."""
    found: dict[str, ast.stmt] = {}
    for item in node.body:
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[item.name] = item
        elif isinstance(item, (ast.Assign, ast.AnnAssign)):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target] if item.value else []
            found |= {target.id: item for target in targets if isinstance(target, ast.Name)}
    return found


def _of_classes(tree: ast.Module, names: Mapping[str, str]) -> Iterator[Note]:
    own: set[str] = set()
    found: list[tuple[ast.ClassDef, moved.Absent]] = []
    for node, base in _subclasses(tree, names):
        absent = moved.CLASSES[base]
        found.append((node, absent))
        for name, item in _defined(node).items():
            if name in absent.overrides:
                used = "read" if isinstance(item, (ast.Assign, ast.AnnAssign)) else "called"
                yield Note(item.lineno, f"`{name}` is never {used}: {absent.overrides[name]}", True)
        own |= {*_defined(node), *(each.attr for each in _of_self(node) if not isinstance(each.ctx, ast.Load))}
    for node, absent in found:
        for read in _of_self(node):
            if isinstance(read.ctx, ast.Load) and read.attr in {*absent.reads} - {*own, "job"}:
                yield Note(read.lineno, f"`{ast.unparse(read)}` does not exist: {absent.reads[read.attr]}", True)
        if "job" in absent.reads and "job" not in own:
            yield from _of_job(node, absent.reads["job"])


def _of_job(node: ast.ClassDef, what: str) -> Iterator[Note]:
    """Return the remarks on what is read of `self.job`, which has the names of the Job alone."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and (read := ast.unparse(part)).startswith("self.job."):
            names = read.split(".")[2:]
            # Of a longer chain the first name that does not exist is told.
            if (len(names) == 1 and names != ["metadata"]) or (
                len(names) == 2 and names[0] == "metadata" and names[1] not in _OF_JOB
            ):
                yield Note(part.lineno, f"`{read}` does not exist: {what}", True)


def _of_self(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    """Return the attributes of `self` and of `super()` in a class."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            of = part.value
            calls_super = isinstance(of, ast.Call) and isinstance(of.func, ast.Name) and of.func.id == "super"
            if calls_super or (isinstance(of, ast.Name) and of.id == "self"):
                yield part


def _of_texts(tree: ast.Module) -> Iterator[Note]:
    """Return the remarks on texts that name a module of the provider, as `mock.patch` and `import_module` take them."""
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in comments:
            continue
        module = next((each for each in moved.MODULES if each in node.value), None)
        if module is None:
            continue
        name = node.value.removeprefix(module)
        if not all(part.isidentifier() for part in name.split(".")[1:]) or name.split(".")[0]:
            yield Note(node.lineno, f"this text names `{module}`; if it is code, it has to name `{moved.OURS}`", False)
        elif not name or name.split(".")[1] in moved.CLASSES:
            yield Note(node.lineno, f"this text names `{module}`: write `{moved.OURS}{name}`", True)
        else:
            yield Note(node.lineno, f"`{node.value}` is not used by the classes of `{moved.OURS}`", True)


def _of_pulls(tree: ast.Module, ids: set[object]) -> Iterator[Note]:
    """Return the remarks on pulls of the XCom `job`, of calls and of templates."""
    for node in (node for node in ast.walk(tree) if isinstance(node, (ast.Call, ast.Constant))):
        pulls: list[tuple[object, object]] = []
        if isinstance(node, ast.Call) and _ends(node.func) in ("xcom_pull", "XComArg"):
            words = {word.arg: word.value for word in node.keywords}
            words |= dict(zip(("task_ids", "key"), node.args, strict=False)) if _ends(node.func) == "XComArg" else {}
            words |= {"task_ids": node.args[0]} if node.args else {}
            pulls = [(_constant(words.get("key")), _constant(words.get("task_ids")))]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "xcom_pull" in node.value:
            pulls = _in_template(node.value)
        for key, task in pulls:
            if key == "job":
                yield Note(
                    node.lineno,
                    "there is no XCom `job`: `job_name`, `job_namespace` and `job_uid` name the Job, and `job_outcome` says "
                    "how it ended, after a failure, or with `do_xcom_push=True`",
                    task is not None and task in ids,
                )


def _in_template(text: str) -> list[tuple[object, object]]:
    """Return the key and the task of each pull in a template."""
    import jinja2
    from jinja2 import nodes

    try:
        calls = [
            call
            for call in jinja2.Environment(autoescape=True).parse(text).find_all(nodes.Call)
            if isinstance(call.node, nodes.Getattr) and call.node.attr == "xcom_pull"
        ]
    except jinja2.TemplateSyntaxError:
        return []
    pulls: list[tuple[object, object]] = []
    for call in calls:
        words = {word.key: word.value for word in call.kwargs} | ({"task_ids": call.args[0]} if call.args else {})
        held = {key: value.value for key, value in words.items() if isinstance(value, nodes.Const)}
        pulls.append((held.get("key"), held.get("task_ids")))
    return pulls


def _ends(function: ast.expr) -> str | None:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None
