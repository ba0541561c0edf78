"""Follows one Job with the native module and writes its log to stdout: `follow_native.py KUBECONFIG REQUEST`, the latter as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from native_run import Follower

if __name__ == "__main__":
    for event in Follower.events(Follower(Path(sys.argv[1])).start(json.loads(sys.argv[2]))):
        if event["kind"] == "log":
            os.write(1, event["text"].encode() + b"\n")
