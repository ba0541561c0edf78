#!/usr/bin/env python3
"""Measures the shape of the code by the code's own imports, prints the numbers, and fails where a rule is broken.

A *room* is a top-level entry of `src`: a folder, or a file beside `lib.rs`. The map in the header of `src/lib.rs` names each
room once; its order is the order of the *floors*, the highest first, and rooms of one line share a floor. An *arrow* is
"room A names something of room B"; tests do not count. The rules:

- no circle between rooms, and no arrow upward on the map;
- `model`, `identity` and `manifest` name nothing outside the rooms below them, and no crate that does I/O;
- no type name twice in the core, no function called `look`, at most 20 rooms, 11 floors and 8 calls of `into_error`;
- no circle between the modules of the Python package, nor between its folders;
- each page of `docs` has its place in the navigation of the site, and each place has its page.

What is not yet cured stands in `ALLOWED` with its reason. An entry that is no longer needed fails as well, so the list shrinks.
Needs nothing but Python. Usage: `python3 tests/structure/measures.py [CHECKOUT]`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rust_source import code_only

MAX_ROOMS, MAX_FLOORS, MAX_INTO_ERROR = 20, 11, 8
PURE_ROOMS = ("identity", "manifest", "model", "resource")
# What a pure room may name of this crate besides the other pure rooms.
BELOW_ALL = ("error", "text", "unreadable")
# Of `kube` only what sends requests: its core types are pure.
DOES_IO = re.compile(r"\b(tokio|hyper|tower|std::(?:fs|net|process)|kube::(?:Client|Api|api|client))\b")

USE = re.compile(r"\buse\s+([^;]+);")

Graph = Mapping[str, Mapping[str, set[str]]]

# A violation as this script words it -> why it is still there.
ALLOWED: dict[str, str] = {}


@dataclass
class Measured:
    """What was measured, and each violation in words."""

    numbers: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


# --- Rust -----------------------------------------------------------------------------------------------------------


def expanded(tree: str) -> Iterator[tuple[str, ...]]:
    """Each path of a `use` tree: `a::{b, c::{self, d as e}}` gives a::b, a::c and a::c::d."""
    tree = tree.strip()
    before, brace, rest = tree.partition("{")
    head = tuple(part.strip() for part in before.split("::") if part.strip())
    if not brace:
        parts = tuple(part.strip() for part in re.sub(r"\s+as\s+\w+$", "", tree).split("::"))
        yield parts[:-1] if parts[-1] in ("self", "*") and len(parts) > 1 else parts
        return
    depth, begin = 0, 0
    inner = rest.rpartition("}")[0]
    for index, character in enumerate(inner + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if item := inner[begin:index].strip():
                for path in expanded(item):
                    yield head if path == ("self",) else head + path
            begin = index + 1


def named_paths(module: tuple[str, ...], code: str) -> Iterator[tuple[str, ...]]:
    """Each path into this crate that the code of a module names, in a `use` or in place, from the root of the crate."""
    paths = [path for found in USE.finditer(code) for path in expanded(found[1])]
    in_place = re.finditer(r"\b(?:crate|super)(?:::\w+)+", USE.sub("", code))
    for path in [*paths, *(tuple(found[0].split("::")) for found in in_place)]:
        here = list(module)
        match path[0]:
            case "crate":
                yield path[1:]
            case "super" | "self":
                rest = list(path)
                while rest and rest[0] in ("super", "self"):
                    if rest.pop(0) == "super":
                        here = here[:-1]
                yield (*here, *rest)


def sources(root: Path) -> dict[tuple[str, ...], str]:
    """Module path -> its code, without the files that only tests have."""
    files = {}
    for file in sorted(root.rglob("*.rs")):
        parts = file.relative_to(root).with_suffix("").parts
        files[parts[:-1] if parts[-1] in ("mod", "lib") else parts] = file.read_text()
    for_tests = {
        (*module, name)
        for module, text in files.items()
        for name in re.findall(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", text)
    }
    return {
        module: code_only(text)
        for module, text in files.items()
        if not any(module[: len(test)] == test for test in for_tests)
    }


def floors_of_the_map(lib: str) -> dict[str, int]:
    """Room -> its line on the map in the header of `lib.rs`; the highest floor has the lowest number.

    A line of the map is `//! room, room   what it is for`, with two spaces between, inside a fenced block.
    """
    floors: dict[str, int] = {}
    for block in re.findall(r"//! ```text\n(.*?)//! ```", lib, re.DOTALL):
        for number, line in enumerate(block.splitlines()):
            if found := re.match(r"//! ((?:\w+, )*\w+)  +\S", line):
                floors |= dict.fromkeys(found[1].split(", "), number)
    return floors


def rust(root: Path) -> Measured:
    """The measures of the Rust sources below `root`."""
    measured = Measured()
    code = sources(root)
    rooms = {module[0] for module in code if module}
    arrows: dict[str, dict[str, set[str]]] = {room: defaultdict(set) for room in sorted(rooms)}
    for module, text in code.items():
        for path in named_paths(module, text):
            if module and path and path[0] in rooms and path[0] != module[0]:
                arrows[module[0]][path[0]].add("::".join(path[1:]) or path[0])
    circles = circles_of(arrows)
    measured.violations += [f"circle between rooms: {' <-> '.join(circle)}" for circle in circles]

    floors = floors_of_the_map((root / "lib.rs").read_text())
    measured.violations += [f"room without a line on the map of lib.rs: {room}" for room in sorted(rooms - set(floors))]
    measured.violations += [f"line without a room on the map of lib.rs: {room}" for room in sorted(set(floors) - rooms)]
    upward = [
        f"arrow upward: {above} -> {below} ({', '.join(sorted(names))})"
        for above, belows in arrows.items()
        for below, names in sorted(belows.items())
        if above in floors and below in floors and floors[above] > floors[below]
    ]
    measured.violations += upward
    measured.violations += sorted(impure(code, arrows))

    types = Counter(name for module, text in code.items() if module[:1] != ("bindings",) for name in type_names(text))
    twice = sorted(name for name, times in types.items() if times > 1)
    measured.violations += [f"type name twice: {name}" for name in twice]
    looks = ["::".join(module) for module, text in code.items() for _ in re.findall(r"\bfn look\b", text)]
    measured.violations += [f"function called look: {module}" for module in sorted(looks)]
    into_error = sum(len(re.findall(r"(?<!fn )\binto_error\(", text)) for text in code.values())
    measured.numbers = {
        "rooms": len(rooms),
        "floors": height(arrows),
        "arrows": sum(map(len, arrows.values())),
        "circles between rooms": len(circles),
        "arrows upward": len(upward),
        "type names twice": len(twice),
        "functions called look": len(looks),
        "calls of into_error": into_error,
    }
    for what, most in (("rooms", MAX_ROOMS), ("floors", MAX_FLOORS), ("calls of into_error", MAX_INTO_ERROR)):
        if measured.numbers[what] > most:
            measured.violations.append(f"more than {most} {what}")
    return measured


def type_names(code: str) -> list[str]:
    """Structs, enums, traits and aliases; an indented alias belongs to a trait and is not one."""
    return re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union) (\w+)", code, re.MULTILINE) + re.findall(
        r"^(?:pub(?:\([^)]*\))? )?type (\w+)", code, re.MULTILINE
    )


def impure(code: Mapping[tuple[str, ...], str], arrows: Graph) -> Iterator[str]:
    """What the pure rooms name that they may not."""
    for room in PURE_ROOMS:
        for other, names in arrows.get(room, {}).items():
            if other not in (*PURE_ROOMS, *BELOW_ALL):
                yield f"pure room names another: {room} -> {other} ({', '.join(sorted(names))})"
    for module, text in code.items():
        if module and module[0] in PURE_ROOMS:
            used = ["::".join(path) for found in USE.finditer(text) for path in expanded(found[1])]
            for name in sorted({found[1] for found in DOES_IO.finditer("\n".join([text, *used]))}):
                yield f"pure room names a crate that does I/O: {'::'.join(module)} -> {name}"


# --- Python ---------------------------------------------------------------------------------------------------------


def python(package: Path) -> Measured:
    """The circles among the modules of a package, by what is imported as a module is loaded."""
    files = {}
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    arrows: dict[str, dict[str, set[str]]] = {}
    for module, file in files.items():
        arrows[module] = {}
        folder = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for name in _loaded_with(ast.parse(file.read_text()), folder):
            while name and name not in files:
                name = name.rpartition(".")[0]
            if name and name != module and name != package.name:
                arrows[module].setdefault(name, set())
    # A module directly in the package is a room of its own.
    rooms: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for module, imported in arrows.items():
        for other in imported:
            above, below = module.split(".")[1:2] or [""], other.split(".")[1:2]
            if above != below:
                rooms[above[0]].setdefault(below[0], set())
    circles = circles_of(arrows)
    round_folders = [circle for circle in circles_of(rooms) if any((package / room).is_dir() for room in circle)]
    return Measured(
        {
            "modules": len(files),
            "imports": sum(map(len, arrows.values())),
            "circles between modules": len(circles),
            "circles between folders": len(round_folders),
        },
        [f"circle between modules: {' <-> '.join(circle)}" for circle in circles]
        + [f"circle between folders: {' <-> '.join(circle)}" for circle in round_folders],
    )


def _loaded_with(tree: ast.Module, folder: str) -> Iterator[str]:
    """What the statements outside functions import; what is imported for types alone is not loaded."""
    todo: list[ast.AST] = [*tree.body]
    while todo:
        match todo.pop():
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parts = folder.split(".")[: len(folder.split(".")) - level + 1] if level else []
                source = ".".join([*parts, *([module] if module else [])])
                yield from (f"{source}.{name.name}" for name in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=orelse):
                todo += orelse
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                pass
            case node:
                todo += ast.iter_child_nodes(node)


# --- graphs ---------------------------------------------------------------------------------------------------------


def circles_of(arrows: Graph) -> list[list[str]]:
    """Each set of nodes that reach one another."""
    reach = {node: _reachable(arrows, node) for node in arrows}
    circles = {tuple(sorted(other for other in reach[node] if node in reach.get(other, ()))) for node in arrows}
    return sorted(list(circle) for circle in circles if circle)


def _reachable(arrows: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    todo = [*arrows.get(start, ())]
    while todo:
        if (node := todo.pop()) not in reached:
            reached.add(node)
            todo += arrows.get(node, ())
    return reached


def height(arrows: Graph) -> int:
    """The number of floors: of nodes on the longest way down. The nodes of a circle are on one floor."""
    circle_of = {node: circle[0] for circle in circles_of(arrows) for node in circle}
    below: dict[str, set[str]] = defaultdict(set)
    for node, belows in arrows.items():
        below[circle_of.get(node, node)] |= {circle_of.get(other, other) for other in belows}
    heights: dict[str, int] = {}

    def of(node: str) -> int:
        if node not in heights:
            heights[node] = 1 + max((of(other) for other in below.get(node, ()) if other != node), default=0)
        return heights[node]

    return max(map(of, below), default=0)


# --- the documents --------------------------------------------------------------------------------------------------


def documents(checkout: Path) -> Measured:
    """The pages of `docs` against `NAVIGATION` in `docs/site/conf.py`."""
    (navigation,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((checkout / "docs/site/conf.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NAVIGATION"
    ]
    places = [page for pages in navigation.values() for page in pages]
    pages = {str(page.relative_to(checkout).with_suffix("")) for page in (checkout / "docs").glob("*.md")}
    missing = [place for place in places if not any((checkout / f"{place}{end}").is_file() for end in (".md", ".rst"))]
    return Measured(
        {"pages": len(places), "groups": len(navigation)},
        [f"{page}.md has no place in NAVIGATION of docs/site/conf.py" for page in sorted(pages - set(places))]
        + [f"NAVIGATION of docs/site/conf.py names {place}, which is not there" for place in missing],
    )


# --- the verdict ----------------------------------------------------------------------------------------------------


def complaints(violations: Iterable[str], allowed: Mapping[str, str]) -> list[str]:
    """The violations that are not allowed, and the allowances that nothing needs."""
    found = set(violations)
    return sorted(found - set(allowed)) + [
        f"no longer needed in ALLOWED: {entry}" for entry in sorted(set(allowed) - found)
    ]


def main(checkout: Path) -> int:
    """Prints the measures of a checkout; 1 where a rule is broken."""
    violations = []
    for title, measured in (
        ("src", rust(checkout / "src")),
        ("python", python(checkout / "python/unique_k8s_job")),
        ("docs", documents(checkout)),
    ):
        print(f"{title}: " + ", ".join(f"{number} {what}" for what, number in measured.numbers.items()))
        violations += measured.violations
    wrong = complaints(violations, ALLOWED)
    for entry, reason in ALLOWED.items():
        print(f"allowed for now: {entry}\n    {reason}")
    for sentence in wrong:
        print(f"structure: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]))
