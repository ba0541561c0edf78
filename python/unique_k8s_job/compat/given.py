"""Finds the value that a task of a DAG file gets for a parameter: of its call, or of the `default_args` around it. Pure.

Promise: only what the syntax tree shows counts. What may come from elsewhere is `UNKNOWN`, and never guessed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum, auto


class Missing(Enum):
    """Why there is no value."""

    #: It is given nowhere.
    ABSENT = auto()
    #: The file does not show whether it is given.
    UNKNOWN = auto()


_CHANGES = ("update", "setdefault", "pop", "popitem", "clear")
_OPERATORS = ("dag", "task_group")


class Given:
    """The calls of a DAG file, with what stands around each."""

    def __init__(self, tree: ast.AST) -> None:
        self._values = dict(_values(tree))
        self._around: dict[ast.Call, Sequence[ast.Call]] = {}
        self._enter(tree, ())

    def value(self, call: ast.Call, name: str) -> ast.expr | Missing:
        """Return what a task gets for a parameter.

        :param call: the call that makes the task
        """
        for keyword in call.keywords:
            if keyword.arg == name:
                return keyword.value
        named = [keyword.value for keyword in call.keywords if keyword.arg in _OPERATORS]
        sources = [call, *filter(None, map(self._call, named)), *self._around.get(call, ())]
        for source in sources:
            found = self._in_default_args(source, name)
            if found is not Missing.ABSENT:
                return found
        return Missing.ABSENT if any(_name(source) in ("DAG", "dag") for source in sources) else Missing.UNKNOWN

    def constant(self, call: ast.Call, name: str) -> object:
        """Return the constant that a task gets for a parameter, else None."""
        found = self.value(call, name)
        return found.value if isinstance(found, ast.Constant) else None

    def parts(self, value: ast.expr) -> Iterator[ast.AST]:
        """Return the nodes of a value, with those of the variables that it names."""
        waiting: list[ast.AST] = [value]
        seen: set[str] = set()
        while waiting:
            for node in ast.walk(waiting.pop()):
                yield node
                if isinstance(node, ast.Name) and node.id not in seen:
                    seen.add(node.id)
                    waiting += filter(None, [self._values.get(node.id)])

    def _enter(self, node: ast.AST, around: Sequence[ast.Call]) -> None:
        if isinstance(node, ast.Call):
            self._around[node] = around
        inner = around
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                inner = (*filter(None, [self._call(item.context_expr)]), *inner)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                bare = ast.Call(decorator, [], []) if isinstance(decorator, (ast.Name, ast.Attribute)) else None
                inner = (*filter(None, [bare or self._call(decorator)]), *inner)
        for child in ast.iter_child_nodes(node):
            self._enter(child, inner)

    def _call(self, value: ast.expr) -> ast.Call | None:
        if isinstance(value, ast.Name):
            found = self._values.get(value.id)
            return found if isinstance(found, ast.Call) else None
        return value if isinstance(value, ast.Call) else None

    def _in_default_args(self, call: ast.Call, name: str) -> ast.expr | Missing:
        for keyword in call.keywords:
            if keyword.arg == "default_args":
                return self._in_dict(keyword.value, name, ())
        hidden = any(keyword.arg is None for keyword in call.keywords)
        return Missing.UNKNOWN if hidden else Missing.ABSENT

    def _in_dict(self, value: ast.expr, name: str, entered: tuple[str, ...]) -> ast.expr | Missing:
        """Return the value of a key; what comes later in a dict wins."""
        pairs: list[tuple[ast.expr | str | None, ast.expr]]
        if isinstance(value, ast.Constant) and value.value is None:
            return Missing.ABSENT
        if isinstance(value, ast.Name) and value.id not in entered:
            held = self._values.get(value.id)
            return Missing.UNKNOWN if held is None else self._in_dict(held, name, (*entered, value.id))
        if isinstance(value, ast.Dict):
            pairs = list(zip(value.keys, value.values, strict=True))
        elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr):
            pairs = [(None, value.left), (None, value.right)]
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
            pairs = [*((None, part) for part in value.args), *((word.arg, word.value) for word in value.keywords)]
        else:
            return Missing.UNKNOWN
        for key, held in reversed(pairs):
            found: ast.expr | Missing = held
            if key is None:
                found = self._in_dict(held, name, entered)
            elif not isinstance(key, (str, ast.Constant)):
                found = Missing.UNKNOWN
            elif (key if isinstance(key, str) else key.value) != name:
                continue
            if found is not Missing.ABSENT:
                return found
        return Missing.ABSENT


def _values(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Return the variables that get one value and keep it."""
    found: dict[str, ast.expr] = {}
    # What is stored twice, or changed in its place, has no one value.
    stored: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            found[node.optional_vars.id] = node.context_expr
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored[node.id] += 1
        elif isinstance(node, ast.arg):
            stored[node.arg] += 2
        if changed := _changed(node):
            stored[changed] += 2
    return ((name, value) for name, value in found.items() if stored[name] == 1)


def _changed(node: ast.AST) -> str | None:
    """Return the variable whose value a node changes in its place."""
    target: ast.AST | None = None
    if (
        isinstance(node, ast.Subscript)
        and not isinstance(node.ctx, ast.Load)
        or isinstance(node, ast.Attribute)
        and node.attr in _CHANGES
    ):
        target = node.value
    elif isinstance(node, ast.AugAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None


def _name(call: ast.Call) -> str:
    called = call.func
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
