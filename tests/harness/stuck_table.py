"""Rows of `docs/stuck.md`: each way to be stuck, as the tests have seen it, names and times replaced.

The page has a heading for each code, below the symptom that a reader has; `doctor` names the page with the code.
"""

from __future__ import annotations

import re
from typing import Any

import documented_table

_PAGE = "stuck.md"
CAUSE = "what it says"


def saw(way: str, how: str, finding: dict[str, Any], fix: str) -> None:
    """Compare one row with the page, or write it there.

    :param way: what is stuck, and by what; the row's name
    :param how: what the test did to the cluster
    :param finding: as `doctor --json` gave it
    :param fix: what became of `doctor --fix`
    """
    cells = {
        "how it was provoked": how,
        CAUSE: cause(finding),
        "what `doctor --fix` did": fix,
    }
    for column, seen in cells.items():
        documented_table.check(_PAGE, way, column, seen.replace("|", "/").replace("\n", " "), finding["code"])


def still_grows(way: str, finding: dict[str, Any]) -> bool:
    """Whether the finding does not yet say what the page says of it: what the cause is made from may come later."""
    if documented_table.WRITES:
        return False
    said = documented_table.cells(_PAGE, finding["code"]).get(way, {}).get(CAUSE)
    return said is not None and said != cause(finding)


def cause(finding: dict[str, Any]) -> str:
    """What the finding says, as a cell of the page has it."""
    return replaced(finding["cause"], finding).replace("|", "/").replace("\n", " ")


def replaced(text: str, finding: dict[str, Any]) -> str:
    """Replace what differs from run to run: the namespace, the ends of Pod names, uids, times and how long it took."""
    text = text.replace(finding["object"]["namespace"] or finding["object"]["name"], "etl")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r"\b\d+ s\b", "N s", text)
    text = re.sub(r"retry \d+ of", "retry N of", text)
    # The size of the machine.
    text = re.sub(r"has [\d.]+(Gi|m|) in all", "has N in all", text)
    text = re.sub(r"`node1`, has [\d.]+(Gi|m|)\)", "`node1`, has N)", text)
    return re.sub(r"\b([a-z][a-z0-9-]*)-[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1-x", text)
