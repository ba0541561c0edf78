"""The pages of reference name every option, extra and exception that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import unique_k8s_job
from unique_k8s_job import exceptions
from unique_k8s_job.hooks import kubernetes as hook
from unique_k8s_job.provider_info import CONNECTION_FIELDS, get_provider_info

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells behind the first one, by the names in the first one, of the table under these words of its head."""
    table = (DOCS / page).read_text().split(f"| {heading} |")[1].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", first), others))
    return found


def test_every_option_is_documented_with_its_default_and_its_effect() -> None:
    options = get_provider_info()["config"]["unique_k8s_job"]["options"]
    page = rows("configuration.md", "option")
    assert set(page) == set(options)
    for name, option in options.items():
        default, effect = page[name]
        assert default == (f"`{option['default']}`" if option["default"] else "unset"), name
        assert effect == option["description"], name


def test_every_extra_of_the_connection_is_documented_and_is_a_field_of_the_form() -> None:
    assert set(rows("connection.md", "key")) == set(hook._EXTRAS) == set(CONNECTION_FIELDS)
    page = (DOCS / "connection.md").read_text()
    assert all(f"`{extra}`" in page for extra in hook._EXTRAS_OF_OTHERS)


def test_every_exception_and_every_field_is_documented() -> None:
    classes = set(exceptions.__all__) - {"UniqueK8sJobError"}
    assert set(rows("exceptions.md", "exception")) == classes <= set(unique_k8s_job.__all__)
    fields = set(exceptions.UniqueK8sJobError.__annotations__) | {"message", "seen", "hint", "facts"}
    assert set(rows("exceptions.md", "field")) == fields


def test_every_exception_has_the_fields_that_say_how_the_job_ended() -> None:
    for name in exceptions.__all__:
        error = getattr(unique_k8s_job, name)("it failed")
        assert (error.outcome, error.exit_code, list(error.findings)) == (None, None, []), name
