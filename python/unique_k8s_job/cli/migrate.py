"""`unique-k8s-job migrate`: rewrites the imports of DAG files from cncf.kubernetes to ours, and says what else changes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from unique_k8s_job.cli.exit_codes import OUR_ERROR, STUCK, SUCCESS
from unique_k8s_job.visible import visible, visible_lines

#: The characters that a DAG file may have.
LARGEST = 10_000_000


@click.command("migrate")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--write", is_flag=True, help="Write the files. Without it they are only shown as they would be.")
def migrate_command(files: tuple[Path, ...], *, write: bool) -> int:
    """Rewrite the imports of DAG files that use the Job operators of cncf.kubernetes.

    Of a folder, each file `*.py` in it and below it is read.

    Shows each change as a diff, and each line that somebody has to know about. Only import statements change. No DAG file
    is run. Ends with 0; with 1 if something is left to change by hand; with 125 if a file could not be read or written.
    """
    from unique_k8s_job.compat.migration import migrate

    by_hand, failed = False, False
    quiet = {folder: 0 for folder in files if folder.is_dir()}
    for file, folder in ((file, given) for given in files for file in _python_files(given)):
        try:
            # Line ends stay as they are.
            with file.open(encoding="utf-8", newline="") as stream:
                before = stream.read(LARGEST + 1)
            if len(before) > LARGEST:
                raise ValueError(f"it has more than {LARGEST} characters, so it is no DAG file")
            after, notes = migrate(before)
            if write and after != before:
                with file.open("w", encoding="utf-8", newline="") as stream:
                    stream.write(after)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            click.echo(f"{visible(str(file))}: {visible(str(error) or type(error).__name__)}", err=True)
            failed = True
            continue
        name = str(file)
        diff = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
        for line in diff:
            click.echo(visible_lines(line))
        for note in notes:
            click.echo(f"{visible(name)}:{note.line}: {'change this: ' if note.by_hand else ''}{note.text}")
            by_hand = by_hand or note.by_hand
        if after == before and not notes:
            if folder in quiet:
                quiet[folder] += 1
            else:
                click.echo(f"{visible(name)}: nothing to change")
    for folder, count in quiet.items():
        click.echo(f"{visible(str(folder))}: files with nothing to change: {count}")
    if failed:
        return OUR_ERROR
    return STUCK if by_hand else SUCCESS


def _python_files(given: Path) -> Iterator[Path]:
    """Return a file as it is, and of a folder the Python files in it and below it; what is hidden is no DAG file."""
    if not given.is_dir():
        yield given
        return
    for folder, inner, names in os.walk(given):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "__pycache__")
        yield from (Path(folder) / name for name in sorted(names) if name.endswith(".py") and not name.startswith("."))
