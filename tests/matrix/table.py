"""Prints how each scenario ended on each Airflow, from what the last run of each left behind."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / ".venv" / "matrix"


def table(results: dict[str, dict[str, str]]) -> str:
    """A line a scenario, a column a version; `not run` where a version has no result."""
    scenarios = list(dict.fromkeys(name for ended in results.values() for name in ended))
    width = max(map(len, scenarios), default=0)
    lines = [" " * width + "".join(f"  {version:>12}" for version in results)]
    for name in scenarios:
        lines.append(name.ljust(width) + "".join(f"  {ended.get(name, 'not run'):>12}" for ended in results.values()))
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}))
