"""Loads the Rust core, at the first use and never before."""

from __future__ import annotations

import platform
import sys
from typing import Any

from unique_k8s_job.exceptions import NativeModuleMissingError


def core() -> Any:
    """Return the module `unique_k8s_job._core`.

    :raises NativeModuleMissingError: if it cannot be loaded, naming the platform and the cause
    """
    try:
        from unique_k8s_job import _core
    except ImportError as error:
        here = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
        raise NativeModuleMissingError(
            "The Rust core of unique-k8s-job cannot be loaded, so no Job can be run from here",
            seen=[f"{here}: {error}"],
            hint="install a wheel for this platform (`pip install --force-reinstall unique-k8s-job`), or build one with Rust",
        ) from error
    return _core
