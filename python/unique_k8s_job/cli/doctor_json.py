"""Writes the JSON of `doctor` while the Jobs are examined: one object, as `docs/doctor.md` describes it.

Promise: memory does not grow with the findings, the most blocking ones come first, and whatever happens, the output is
one JSON object.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from typing import Any, TextIO

from unique_k8s_job.exceptions import UniqueK8sJobError

#: The version of the JSON, for objects that the Rust core does not write.
SCHEMA_VERSION = 1
#: Characters in memory of findings that block nothing and wait for those that do; more of them wait in a file.
IN_MEMORY = 8 << 20


class JsonReport:
    """The object that is being written.

    :param out: the stream to write to
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begun = False
        self._comma = ""
        self._later = {
            severity: tempfile.SpooledTemporaryFile(IN_MEMORY, mode="w+", encoding="utf-8")  # noqa: SIM115 closed at the end
            for severity in ("warning", "info")
        }

    def add(self, diagnosis: dict[str, Any]) -> None:
        """Write the findings about one Job, or keep them until more severe ones are written."""
        findings = diagnosis["findings"]
        severity = findings[0]["severity"] if findings else "info"
        text = json.dumps(diagnosis)
        if later := self._later.get(severity):
            later.write(f", {text}")
        else:
            self._begin()
            self._out.write(f"{self._comma}{text}")
            self._comma = ", "

    def end(self, rest: dict[str, Any]) -> None:
        """Write the rest of the findings, and the other keys."""
        self._begin()
        for later in self._later.values():
            if later.tell():
                later.seek(0 if self._comma else 2)
                shutil.copyfileobj(later, self._out)
                self._comma = ", "
            later.close()
        keys = {key: value for key, value in rest.items() if key != "schema_version"}
        self._out.write(f"], {json.dumps(keys)[1:]}\n")

    def fail(self, error: UniqueK8sJobError) -> None:
        """Write why there is no report, or no complete one."""
        facts = {"error": str(error), **error.facts}
        if self._begun:
            self.end(facts)
        else:
            self._out.write(json.dumps({"schema_version": SCHEMA_VERSION, **facts}) + "\n")

    def _begin(self) -> None:
        if not self._begun:
            self._out.write(f'{{"schema_version": {SCHEMA_VERSION}, "diagnoses": [')
            self._begun = True
