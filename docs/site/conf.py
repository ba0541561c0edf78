"""How Sphinx makes the site of the documents (`make docs`): the pages of this checkout, in the order of NAVIGATION.

Promise: the site reads nothing from the network, neither while it is built nor while it is read. A page outside the
navigation, a link or an anchor that leads nowhere, and a name that the reference cannot find end the build.

The source folder is the checkout itself, so a link between two Markdown files means the same here and on a forge. The
README is the first page; the navigation is put below it while it is read, because a forge would show it as text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.util.inspect import signature, stringify_signature

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT / "python"))

#: In the order in which a newcomer needs them: a group, and its pages without their endings.
NAVIGATION = {
    "Start": ("docs/start", "docs/examples", "docs/install", "docs/rbac", "docs/connection", "docs/migrate"),
    "Use": (
        "docs/manifests",
        "docs/manifest-texts",
        "docs/decorators",
        "docs/results",
        "docs/after-a-job",
        "docs/kueue",
        "docs/task-log",
        "docs/waiting",
        "docs/following",
        "docs/stops",
        "docs/list",
    ),
    "Operate": (
        "docs/operations",
        "docs/doctor",
        "docs/stuck",
        "docs/endings",
        "docs/debug-log",
        "docs/labels",
        "docs/metrics",
        "docs/sizing",
        "docs/upgrade",
        "docs/security",
    ),
    "Classes": (
        "docs/site/reference/operators",
        "docs/site/reference/decorators",
        "docs/site/reference/sensor",
        "docs/site/reference/hook",
        "docs/site/reference/triggers",
        "docs/site/reference/exceptions",
        "docs/site/reference/compat",
    ),
    "Reference": (
        "docs/exceptions",
        "docs/parameters",
        "docs/differences",
        "docs/kubeconfig",
        "docs/configuration",
        "docs/versions",
    ),
    "How it works": ("docs/how-it-works", "docs/architecture"),
    "Contribute": ("CONTRIBUTING", "tests/README", "SECURITY", "CHANGELOG"),
}

project = "unique-k8s-job"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
nitpicky = True
# Classes of others have no page here; that of the value of an argument that is not given is nobody's business, nor is the type
# of what the core is given.
nitpick_ignore_regex = [
    ("py:.*", r"(airflow|collections|os|typing)\..*|.*\.NotGiven|TaskDecorator|Configuration|ResultSidecar")
]

# Sphinx reads no folder that has none of our pages: environments and builds hold thousands of files.
include_patterns = ["*.md", "docs/**", "tests/README.md"]
exclude_patterns = [
    *(entry.name for entry in CHECKOUT.iterdir() if entry.is_dir() and entry.name not in ("docs", "tests")),
    *(f"tests/{entry.name}" for entry in (CHECKOUT / "tests").iterdir() if entry.is_dir()),
]

# An anchor is made of a heading as a forge makes it.
myst_heading_anchors = 4
highlight_language = "none"

autodoc_mock_imports = ["airflow", "unique_k8s_job._core"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_display_short_literal_types = True
maximum_signature_line_length = 60
# A docstring marks code as Markdown does.
default_role = "literal"
# Else an option such as --job becomes a dash.
smartquotes = False

html_theme = "furo"
html_title = project
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["wrap.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "index.html"}


def add_navigation(_: Any, page: str, source: list[str]) -> None:
    """Put the navigation below the first page."""
    if page == root_doc:
        for group, pages in NAVIGATION.items():
            source[0] += "\n".join(("", "```{toctree}", ":hidden:", f":caption: {group}", "", *pages, "```", ""))


def signature_of_init(_: Any, what: str, __: str, documented: Any, *___: Any) -> tuple[str, str] | None:
    """Return the arguments of a class: what stands for Airflow's base class would hide them."""
    if what != "class":
        return None
    arguments = signature(documented.__init__, bound_method=True)
    return stringify_signature(arguments, show_return_annotation=False, unqualified_typehints=True), ""


def setup(app: Any) -> None:
    """Let Sphinx call what is above."""
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-signature", signature_of_init)
