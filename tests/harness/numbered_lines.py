"""Numbered lines: what a Job prints so that a lost or doubled log line can be proven.

The shell script prints `line-00001` and so on; `check_whole` says exactly which numbers are missing or repeated.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

#: What the product says where the lines that follow may have been written before.
MARK = "may be repeated here"

_LINE = re.compile(r"\bline-(\d{5})\b")


def script(count: int, *, seconds: float, bursts_a_second: int = 10) -> str:
    """A shell script that prints `count` numbered lines evenly over about `seconds` seconds, and then ends well.

    The lines come in bursts: busybox cannot sleep 20,000 times in 20 s.
    """
    size = max(1, round(count / max(1, seconds * bursts_a_second)))
    return (
        f"awk -v count={count} -v size={size} '"
        "BEGIN { for (i = 1; i <= count; i++) {"
        ' printf "line-%05d of a log that has to arrive whole\\n", i;'
        f' if (i % size == 0) {{ fflush(); system("sleep {1 / bursts_a_second:g}") }} }} }}'
        "'"
    )


def numbers(text: str) -> list[int]:
    """The numbers of all numbered lines, in the order in which they stand in `text`."""
    return [int(number) for number in _LINE.findall(text)]


def check_whole(text: str, count: int) -> None:
    """Fail unless each of the lines 1 to `count` is in `text` exactly once, in order."""
    found = numbers(text)
    seen = Counter(found)
    missing = [number for number in range(1, count + 1) if number not in seen]
    doubled = [number for number, times in sorted(seen.items()) if times > 1]
    assert not missing, f"{len(missing)} of {count} lines are missing: {_ranges(missing)}"
    assert not doubled, f"{len(doubled)} lines came more than once: {_ranges(doubled)}"
    late = [after for before, after in pairwise(found) if after != before + 1]
    assert not late, f"{len(late)} lines are not where they belong, first {late[:5]}"


def check_repeated_behind_marks(text: str, count: int) -> int:
    """Fail unless each of the lines 1 to `count` is in `text`, and a repetition only behind a mark; how many repeat."""
    found = numbers(text)
    missing = sorted(set(range(1, count + 1)) - set(found))
    assert not missing, f"{len(missing)} of {count} lines are missing: {_ranges(missing)}"
    for part in text.split(MARK):
        late = [after for before, after in pairwise(numbers(part)) if after != before + 1]
        assert not late, f"{len(late)} lines are repeated or out of order, and no mark says so: first {late[:5]}"
    return len(found) - count


def _ranges(found: list[int], most: int = 12) -> str:
    ranges: list[list[int]] = []
    for number in found:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:most])
    return shown + (f" and {len(ranges) - most} more ranges" if len(ranges) > most else "")
