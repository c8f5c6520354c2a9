"""``dlmone run``: run a recipe from teacher to evaluation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..launch import launch, takes_run_directory
from ..output import is_main
from ..request import Request, takes_recipe
from ..verbosity import say

if TYPE_CHECKING:
    from dlmone.registry import Registry


@click.command()
@takes_recipe
@takes_run_directory
@click.option("--report/--no-report", default=True, help="Whether to write the run's report.  [yes]")
@click.option("--dry-run", is_flag=True, help="Only print the plan, as `dlmone check` does.")
def run(resume: str | None, run_dir: Path | None, report: bool, dry_run: bool, **request: Any) -> None:
    """Run RECIPE: teacher, distillation, evaluation.

    RECIPE is a TOML file or the name of a shipped one (`dlmone recipes`). The final table is printed on
    standard output, and a page with all curves is written as `dlmone report` does.
    """
    asked = Request(**request)
    registry, resolved = asked.resolve()
    if dry_run:
        from .check import report as check_report

        check_report(registry, resolved)
        return
    path = launch("run", asked, registry, resolved, resume, run_dir)
    if resolved.recipe.stages and is_main():
        if report:
            _write_page(path, registry)
        say(f"student: {path / 'student'}")


def _write_page(path: Path, registry: "Registry") -> None:
    """Write the run's page and say where it lies. The run is done: what fails here is only said."""
    from dlmone.report import PAGE, write_report

    try:
        say(f"report: {write_report([path], path / PAGE, registry)}")
    except Exception as error:
        click.echo(f"warning: there is no report of the run: {error}", err=True)
