"""The names of the Rust core, `unique_k8s_job._core`, with their types: `native.Cluster(...)`, `native.find_jobs(...)`.

Promise: importing this loads nothing; the core is loaded at the first use of a name. Each name is looked up in the core
anew, which tells it first how much it has to write into the debug log. Type checkers see the core's own stub.
"""

from __future__ import annotations

# As type checkers know it; the module `typing` takes longer to import than all of this.
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
