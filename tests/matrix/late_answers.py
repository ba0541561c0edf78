"""Airflow's `airflow_local_settings`: a database that answers its triggerer late, once, where a test orders it.

Every process of Airflow imports it from `config/` in its home. The order is a file there, which holds the seconds.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

ORDER = Path(os.environ["AIRFLOW_HOME"]) / "late-answer"
TAKEN = ORDER.with_suffix(".taken")


@event.listens_for(Engine, "before_cursor_execute")
def _late(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    if "FROM xcom" in statement and "triggerer" in sys.argv:
        try:
            ORDER.rename(TAKEN)
        except FileNotFoundError:
            return
        time.sleep(float(TAKEN.read_text()))
