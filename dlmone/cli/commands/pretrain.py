"""``dlmone pretrain``: the teacher alone."""

from pathlib import Path
from typing import Any

import click

from dlmone.core.errors import InputError

from ..launch import launch, takes_run_directory
from ..output import is_main
from ..request import Request, takes_recipe


@click.command()
@takes_recipe
@takes_run_directory
def pretrain(resume: str | None, run_dir: Path | None, **request: Any) -> None:
    """Pretrain the teacher of RECIPE and stop there.

    The path of the teacher is printed at the end. `dlmone run` with the same recipe takes it from the cache,
    or continues in the same directory with --resume.
    """
    asked = Request(**request)
    registry, resolved = asked.resolve()
    if resolved.recipe.teacher.path:
        raise InputError(
            f"this recipe loads its teacher from {resolved.recipe.teacher.path}: nothing to train"
        )
    path = launch("pretrain", asked, registry, resolved, resume, run_dir, until="teacher")
    if is_main():
        click.echo(path / "teacher")
