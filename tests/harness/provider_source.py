"""The source distribution of the provider cncf.kubernetes, downloaded when a test needs it; nothing of it is in this tree."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME, VERSION = "apache-airflow-providers-cncf-kubernetes", "10.25.0"
CHECKOUT = Path(__file__).resolve().parents[2]


@functools.cache
def source() -> tarfile.TarFile:
    """The archive: that of an earlier run from the cache, else from the package index in use.

    :raises AssertionError: if the index does not give it
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unique-k8s-job" / "sources"
    file = cache / f"{NAME.replace('-', '_')}-{VERSION}.tar.gz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(Path(folder)).rename(file)
    return tarfile.open(file)


def _download(folder: Path) -> Path:
    tools = CHECKOUT / ".venv" / "tools" / "bin" / "python"
    python = str(tools) if tools.exists() else sys.executable
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", f"--no-binary={NAME}", "--dest", str(folder)]
    command = [python, "-m", "pip", "download", *options, f"{NAME}=={VERSION}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    present = [*folder.glob("*.tar.gz")]
    assert present, f"the package index gives no source distribution of {NAME} {VERSION}: {ended.stderr[-1000:]}"
    return present[0]


def text_of(archive: tarfile.TarFile, end: str) -> str:
    """The text of the file whose path ends so."""
    (member,) = [member for member in archive.getmembers() if member.name.endswith(end)]
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()
