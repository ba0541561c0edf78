"""The program at a terminal of a given size, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from command_line import PROGRAM


def on_a_terminal(kubeconfig: Path, folder: Path, *arguments: str, columns: int, lines: int = 50) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [str(PROGRAM), *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=folder,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": str(columns), "TERM": "xterm-256color"},
    )
    os.close(its)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # so ends a terminal whose other side is gone
        pass
    os.close(ours)
    process.wait(60)
    return said.decode()
