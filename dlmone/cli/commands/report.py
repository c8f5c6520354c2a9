"""``dlmone report``: write a report of runs as one page."""

from __future__ import annotations

from pathlib import Path

import click

from ..paths import LocalPath
from ..request import plugin_option


@click.command(short_help="Write runs as one HTML page.")
@click.argument("runs", nargs=-1, required=True, type=LocalPath())
@click.option(
    "-o",
    "--out",
    type=LocalPath(),
    metavar="FILE",
    help="The page.  [default: report/index.html in the run; report.html here for several]",
)
@click.option("--title", metavar="TEXT", help="The page's title.")
@click.option(
    "--select", metavar="NAME", help="The selector of one of several candidates, in place of the default one."
)
@click.option(
    "--figures",
    type=LocalPath(),
    metavar="DIR",
    help="Also write every figure as a PNG into this folder.",
)
@plugin_option
def report(
    runs: tuple[Path, ...],
    out: Path | None,
    title: str | None,
    select: str | None,
    figures: Path | None,
    plugins: tuple[Path, ...],
) -> None:
    """Write RUNS as one HTML page: tables, curves and outputs, with how to read them.

    A run need not have finished; missing parts are listed. Several runs are compared. The page is
    self-contained and needs no network.
    """
    from dlmone.registry import Registry
    from dlmone.report import PAGE, write_report

    default = runs[0] / PAGE if len(runs) == 1 else Path("report.html")
    registry = Registry.discover(plugins)
    registry.require_files()
    click.echo(write_report(runs, out or default, registry, title=title, selector=select, figures=figures))
