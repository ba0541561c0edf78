"""Follows one container's log with a bare HTTP client and writes it to stdout: `follow_bare.py KUBECONFIG NAMESPACE POD`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from raw_api import raw_api

if __name__ == "__main__":
    path = f"/api/v1/namespaces/{sys.argv[2]}/pods/{sys.argv[3]}/log"
    wanted = {"timestamps": "true", "follow": "true"}
    with raw_api(Path(sys.argv[1])) as api, api.stream("GET", path, params=wanted) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            os.write(1, chunk)
