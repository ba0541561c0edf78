"""The source distribution of the provider cncf.kubernetes, downloaded when a test needs it; nothing of it is in this tree."""

from __future__ import annotations

import functools
import subprocess
import sys
import tarfile
from pathlib import Path

NAME, VERSION = "apache-airflow-providers-cncf-kubernetes", "10.25.0"
CHECKOUT = Path(__file__).resolve().parents[2]


@functools.cache
def source(folder: Path) -> tarfile.TarFile | None:
    """The archive, in this folder; None if the package index in use does not have it or cannot be reached."""
    present = [*folder.glob("*.tar.gz")]
    if not present:
        tools = CHECKOUT / ".venv" / "tools" / "bin" / "python"
        python = str(tools) if tools.exists() else sys.executable
        command = [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--dest",
            str(folder),
        ]
        ended = subprocess.run(
            [*command, f"--no-binary={NAME}", f"{NAME}=={VERSION}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        present = [*folder.glob("*.tar.gz")]
        if ended.returncode or not present:
            print(f"no source distribution of {NAME} {VERSION}: {ended.stderr[-1000:]}")
            return None
    return tarfile.open(present[0])


def text_of(archive: tarfile.TarFile, end: str) -> str:
    """The text of the file whose path ends so."""
    (member,) = [member for member in archive.getmembers() if member.name.endswith(end)]
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()
