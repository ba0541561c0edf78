"""Begins and ends the program `unique-k8s-job`.

Promise: the program ends with one of the exit codes of `unique_k8s_job.cli.exit_codes` (`run` also with that of a
container) and never with a traceback, whatever happens to its streams, whichever signal comes, whatever fails. Only a
signal within the first milliseconds is still handled by the Python interpreter itself.
"""

from __future__ import annotations

import os
import sys

from unique_k8s_job.cli.exit_codes import OUR_ERROR
from unique_k8s_job.cli.signals import end_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command of `sys.argv`, and end the process."""
    end_at_once()
    code = OUR_ERROR
    try:
        _open_descriptors()
        from unique_k8s_job.cli.command_line import call

        code = call(sys.argv[1:])
    except BaseException as error:  # noqa: BLE001 such as a package that is missing
        _last_words(error)
    # Python's own exit may print, wait and change the code, and nothing is left for it to do.
    os._exit(code)


def _open_descriptors() -> None:
    """Keep a connection from getting the descriptor of a closed stream: messages would go to the API server."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _last_words(error: BaseException) -> None:
    try:
        from unique_k8s_job.described import failure

        said = failure(error)
    except BaseException:  # noqa: BLE001 its kind is known in any case
        said = type(error).__name__
    for descriptor in (2, 1):
        try:
            os.write(descriptor, f"error: {said}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            continue
        return
