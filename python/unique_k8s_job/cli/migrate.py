"""`unique-k8s-job migrate`: rewrites the imports of DAG files from cncf.kubernetes to ours, and says what else changes."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from unique_k8s_job.cli.exit_codes import OUR_ERROR, STUCK, SUCCESS
from unique_k8s_job.visible import visible, visible_lines

#: The characters that a DAG file may have.
LARGEST = 10_000_000


@click.command("migrate")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write the files. Without it they are only shown as they would be.")
def migrate_command(files: tuple[Path, ...], *, write: bool) -> int:
    """Rewrite the imports of DAG files that use the Job operators of cncf.kubernetes.

    Shows each change as a diff, and each line that somebody has to know about. Only import statements change. No DAG file
    is run. Ends with 0; with 1 if something is left to change by hand; with 125 if a file could not be read or written.
    """
    from unique_k8s_job.compat.migration import migrate

    by_hand, failed = False, False
    for file in files:
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
            click.echo(f"{visible(name)}: nothing to change")
    if failed:
        return OUR_ERROR
    return STUCK if by_hand else SUCCESS
