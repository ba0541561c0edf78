"""The pages for readers name files of this checkout: each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted({*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("tests/*.md")})
#: From where a page may name a path: architecture.md shortens those of the core and of the package.
ROOTS = ("", "src", "python/unique_k8s_job")
#: A word with a slash that ends like one of our files, or begins like one of our folders.
PATH = re.compile(
    r"(?<![\w./:~$<-])(?:"
    r"(?:[\w.-]+/)+[\w-]+\.(?:rs|py|pyi|md|toml|go)"
    r"|(?:src|python|tests|docs|dags_examples)/[\w./-]*[\w/]"
    r")(?![\w/*])"
)


def exists(path: str) -> bool:
    return any((CHECKOUT / root / path).exists() for root in ROOTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [
        target for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if not (page.parent / target).exists()
    ]
    paths = [path for path in PATH.findall(re.sub(r"\]\([^)]*\)", "", text)) if not exists(path)]
    assert links + paths == []


def test_paths_are_found_in_text_and_in_diagrams() -> None:
    text = "see `src/job/look.rs` and src/gone, a/b.py; not https://x/y/z.md, etl/train or /home/x.py"
    assert PATH.findall(text) == ["src/job/look.rs", "src/gone", "a/b.py"]
