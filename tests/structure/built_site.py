#!/usr/bin/env python3
"""Checks the site that `make docs` has built: it is whole, and it can be read without a network.

- Every public name of the package has its place in the reference: what `__all__` of the package and of `compat` names,
  every decorator and every trigger.
- Every Markdown page of the checkout's root and of `docs` is in it.
- No page loads anything from elsewhere: a script, a style, a font or an image. A link to elsewhere is fine.

Needs nothing but Python. Usage: `python3 tests/structure/built_site.py [CHECKOUT]`.
"""

from __future__ import annotations

import ast
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "unique_k8s_job"
#: What loads something as a page is shown.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//[^"']+"""
    r"""|<link\b[^>]*\bhref=["'](?:https?:)?//[^"']+"""
    r"""|url\(\s*["']?(?:https?:)?//[^)]+|@import\s+["'](?:https?:)?//[^"']+""",
    re.IGNORECASE,
)


def public_names(package: Path) -> Iterator[str]:
    """What users import, by the paths under which they do."""
    for module, prefix in (("__init__.py", PACKAGE), ("compat/__init__.py", f"{PACKAGE}.compat")):
        for node in ast.parse((package / module).read_text()).body:
            if isinstance(node, ast.Assign) and "__all__" in {ast.unparse(target) for target in node.targets}:
                for name in ast.literal_eval(node.value):
                    if not name.startswith("__"):
                        yield f"{prefix}.{name}"
    # What Airflow finds by the provider's info.
    yield from re.findall(r'"class-name": "([\w.]+)"', (package / "provider_info.py").read_text())
    yield f"{PACKAGE}.triggers.sensor.UniqueK8sJobSensorTrigger"


def documented_names(inventory: Path) -> set[str]:
    """The names of Python in Sphinx's inventory: four lines of a head, then compressed lines `NAME py:KIND ...`."""
    _, _, _, _, packed = inventory.read_bytes().split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def faults(checkout: Path) -> Iterator[str]:
    """What is wrong with the site, in words."""
    site = checkout / "site"
    documented = documented_names(site / "objects.inv")
    for name in public_names(checkout / "python" / PACKAGE):
        if name not in documented:
            yield f"{name} is public, and docs/site/reference has no place for it"
    for page in (*checkout.glob("*.md"), *(checkout / "docs").rglob("*.md")):
        built = site / page.relative_to(checkout).with_suffix(".html")
        if not built.is_file():
            yield f"{page.relative_to(checkout)} is not in the site"
    for file in sorted(site.rglob("*")):
        if file.suffix in (".html", ".css"):
            for loaded in LOADED.findall(file.read_text()):
                yield f"{file.relative_to(checkout)} loads something from elsewhere: {loaded[:120]}"


def main() -> int:
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    wrong = list(faults(checkout))
    for line in wrong:
        print(f"  {line}", file=sys.stderr)
    pages = len(list((checkout / "site").rglob("*.html")))
    print(f"{'FAILED' if wrong else 'ok'} {pages} pages, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
