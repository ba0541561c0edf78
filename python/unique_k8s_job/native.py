"""Gives the names of the Rust core, `unique_k8s_job._core`, with their types: `native.Cluster(...)`.

Promise: importing this module loads nothing; the core is loaded at the first use of a name. Each use of a name first
tells the core how much to write into the debug log. Type checkers see the core's own stub.
"""

from __future__ import annotations

# Type checkers know this name; the module `typing` takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from unique_k8s_job._core import *
else:

    def __getattr__(name: str) -> object:
        if name.startswith("_"):  # what the import system and others ask every module for
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(loaded(), name)


def loaded() -> ModuleType:
    """Return the module `unique_k8s_job._core`.

    :raises NativeModuleMissingError: if it cannot be loaded, naming the platform and the cause
    """
    try:
        from unique_k8s_job import _core, debug_log
    except ImportError as error:
        import platform
        import sys

        from unique_k8s_job.exceptions import NativeModuleMissingError

        here = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
        raise NativeModuleMissingError(
            "The Rust core of unique-k8s-job cannot be loaded, so no Job can be run from here",
            seen=[f"{here}: {error}"],
            hint="install a wheel for this platform (`pip install --force-reinstall unique-k8s-job`), or build one with Rust",
        ) from error
    debug_log.begin(_core)
    return _core
