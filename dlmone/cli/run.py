"""``dlmone run``: a whole run."""

from pathlib import Path
from typing import Any

import click

from .launch import launch, takes_run_directory
from .output import is_main
from .request import Request, takes_recipe


@click.command()
@takes_recipe
@takes_run_directory
@click.option("--dry-run", is_flag=True, help="Only say what would be run, as `dlmone check` does.")
def run(resume: str | None, run_dir: Path | None, dry_run: bool, **request: Any) -> None:
    """Run RECIPE: teacher, distillation, evaluation.

    RECIPE is a TOML file or the name of a shipped one (`dlmone recipes`). The final table is printed on
    standard output.
    """
    asked = Request(**request)
    registry, resolved = asked.resolve()
    if dry_run:
        from .check import report

        report(registry, resolved)
        return
    path = launch("run", asked, registry, resolved, resume, run_dir)
    if resolved.recipe.stages and is_main():
        click.echo(f"student: {path / 'student'}", err=True)
