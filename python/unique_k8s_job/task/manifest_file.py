"""Reads an operator's manifest into one object: a dict, a text, or a file, which is a template of Airflow.

A file is found where Airflow finds templates (the folder of the DAG file, the DAG's `template_searchpath`) or by its
absolute path, and may include and import others from there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.encoding import missing_file, read_text
from unique_k8s_job.manifest.read import names_a_file, one_job, read_manifest

if TYPE_CHECKING:
    from jinja2 import Environment, Template

    from unique_k8s_job.task.compat import Context


class HasManifest(Protocol):
    """A task with a manifest."""

    manifest: Any

    def get_template_env(self) -> Environment:
        """Return what renders its templates."""


def manifest_of(task: HasManifest, context: Context) -> dict[str, Any] | None:
    """Return the user's manifest; a file is rendered, as Airflow does with templates.

    :raises InvalidManifestError: if it is no object, or the file is not there
    """
    manifest = task.manifest
    if isinstance(manifest, os.PathLike):
        manifest = os.fspath(manifest)
    elif not isinstance(manifest, str):
        return None if manifest is None else one_job(manifest)
    elif not names_a_file(manifest):
        return read_manifest(manifest)
    rendered = _template(task.get_template_env(), manifest.strip()).render(context)
    # If the DAG renders native objects, the text may have become one.
    return read_manifest(rendered, manifest) if isinstance(rendered, str) else one_job(rendered, manifest)


def _template(environment: Environment, file: str) -> Template:
    """Read a template with our own reader of text: Jinja's reads only UTF-8, and no absolute path.

    :raises InvalidManifestError: if it is not there, or cannot be read
    """
    from jinja2 import ChoiceLoader, FunctionLoader, TemplateNotFound

    folders = [Path(folder) for folder in getattr(environment.loader, "searchpath", ())]
    if os.path.isabs(file):
        folders.append(Path(file).parent)

    def load(name: str) -> tuple[str, str, None] | None:
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        return None if path is None else (read_text(path), str(path), None)

    others = [] if environment.loader is None else [environment.loader]
    try:
        return environment.overlay(loader=ChoiceLoader([FunctionLoader(load), *others])).get_template(file)
    except TemplateNotFound as error:
        what = f"The manifest file `{file}` was not found"
        if os.path.isabs(file) and error.name == file:
            raise missing_file(what, file, "manifest") from error
        searched = ", ".join(map(str, folders)) or "(the task is in no DAG file)"
        raise InvalidManifestError(
            what,
            seen=[f"looked for `{error.name}` in {searched}"],
            hint="give an absolute path, or one relative to the folder of the DAG file or to one of the DAG's "
            "`template_searchpath`",
            path="manifest",
        ) from error
