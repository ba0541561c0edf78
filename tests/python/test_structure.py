"""The script that measures the shape of the code, over made-up trees: it finds what it is there for."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

MAP = """//! What it is.
//!
//! ```text
//! above          what serves others
//! below, beside  what others use
//! model          what is
//! ```
"""


@pytest.fixture(scope="module")
def measures() -> ModuleType:
    return importlib.import_module("measures")


def tree(root: Path, **files: str) -> Path:
    """Sources of four rooms; `a__b` is the file `a/b`."""
    wanted = {"lib": MAP, "above": "", "below": "", "beside": "", "model": ""} | files
    for name, text in wanted.items():
        file = root / f"{name.replace('__', '/')}.rs"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_tree_without_a_fault_has_no_violation(tmp_path: Path, measures: ModuleType) -> None:
    root = tree(
        tmp_path, above="use crate::{below::{self, Low as L}, model::Thing};\nstruct High;", below="struct Low;"
    )
    measured = measures.rust(root)
    assert measured.violations == []
    assert measured.numbers["rooms"] == 4
    assert measured.numbers["arrows"] == 2
    assert measured.numbers["floors"] == 2


@pytest.mark.parametrize(
    ("files", "violation"),
    [
        ({"above": "use crate::below::A;", "below": "use crate::above::B;"}, "circle between rooms: above <-> below"),
        (
            {"above": "use super::below;", "below": "fn f() { crate::above::g() }"},
            "circle between rooms: above <-> below",
        ),
        ({"below": "use crate::{\n    above::{B, c::{self, D}},\n};"}, "arrow upward: below -> above (B, c, c::D)"),
        ({"below__deep": "use super::super::above::B;"}, "arrow upward: below -> above (B)"),
        ({"above": "struct Twin;", "below": "pub(crate) enum Twin { A }"}, "type name twice: Twin"),
        ({"above": "type Twin = u8;", "below": "trait Twin {}"}, "type name twice: Twin"),
        ({"below": "impl A { async fn look(&self) {} }"}, "function called look: below"),
        ({"model": "use kube::{Client, core};"}, "pure room names a crate that does I/O: model -> kube::Client"),
        ({"model": "fn f() { tokio::spawn(g()); }"}, "pure room names a crate that does I/O: model -> tokio"),
        ({"unknown": ""}, "room without a line on the map of lib.rs: unknown"),
        ({"above": "f(error.into_error(a));" * 9}, "more than 8 calls of into_error"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, measures: ModuleType, files: dict[str, str], violation: str) -> None:
    assert violation in measures.rust(tree(tmp_path, **files)).violations


@pytest.mark.parametrize(
    "harmless",
    [
        "// use crate::above::B;",
        'const TEXT: &str = "use crate::above::B; // \\" {";',
        "#[cfg(test)]\nmod tests {\n    use crate::above::B;\n    struct Twin;\n    fn look() {}\n}",
        "#[cfg(test)]\nuse crate::above::B;",
        "trait T { type Twin; }\nimpl T for A {\n    type Twin = u8;\n}",
    ],
)
def test_what_is_no_code_and_what_only_tests_have_does_not_count(
    tmp_path: Path, measures: ModuleType, harmless: str
) -> None:
    assert measures.rust(tree(tmp_path, above="struct Twin;", below=harmless)).violations == []


def test_file_of_tests_does_not_count(tmp_path: Path, measures: ModuleType) -> None:
    root = tree(tmp_path, below__mod="#[cfg(test)]\nmod tests;", below__tests="use crate::above::B;")
    (root / "below.rs").unlink()
    assert measures.rust(root).violations == []


def test_circle_of_python_modules_is_found_and_one_for_types_or_within_a_function_is_none(
    tmp_path: Path, measures: ModuleType
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from . import b")
    (package / "b.py").write_text("if True:\n    from .a import x")
    assert measures.python(package).violations == ["circle between modules: package.a <-> package.b"]
    (package / "b.py").write_text("if TYPE_CHECKING:\n    from .a import x\ndef f():\n    from .a import x")
    assert measures.python(package).violations == []


def test_circle_of_python_folders_is_found(tmp_path: Path, measures: ModuleType) -> None:
    package = tmp_path / "package"
    for folder in ("a", "b"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text("")
        (package / folder / "last.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "a" / "first.py").write_text("from ..b.last import x")
    assert measures.python(package).violations == []
    (package / "b" / "first.py").write_text("from package.a.last import x")
    assert measures.python(package).violations == ["circle between folders: a <-> b"]


def test_allowance_that_nothing_needs_is_a_fault(measures: ModuleType) -> None:
    assert measures.complaints(["a"], {"a": "soon"}) == []
    assert measures.complaints(["a"], {}) == ["a"]
    assert measures.complaints([], {"a": "soon"}) == ["no longer needed in ALLOWED: a"]


def test_page_outside_the_navigation_and_place_without_a_page_are_named(tmp_path: Path, measures: ModuleType) -> None:
    (tmp_path / "docs/site").mkdir(parents=True)
    (tmp_path / "docs/site/conf.py").write_text('NAVIGATION = {"Start": ("docs/start", "docs/gone")}')
    for page in ("start", "orphan"):
        (tmp_path / f"docs/{page}.md").write_text("# A page")
    assert measures.documents(tmp_path).violations == [
        "docs/orphan.md has no place in NAVIGATION of docs/site/conf.py",
        "NAVIGATION of docs/site/conf.py names docs/gone, which is not there",
    ]
