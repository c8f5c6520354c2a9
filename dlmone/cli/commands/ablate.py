"""``dlmone ablate``: a grid of runs from one teacher, with one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlmone.core.errors import InputError

from ..counts import PASSES, SEEDS
from ..launch import RUNS
from ..output import console, print_columns
from ..paths import LocalPath
from ..request import Request, takes_recipe
from ..verbosity import say

if TYPE_CHECKING:
    from dlmone.ablation.plan import Plan, PlannedRow
    from dlmone.ablation.results import GridResults
    from dlmone.core import Sketch
    from dlmone.registry import Registry

FORMATS = ("table", "json", "csv", "md")


@click.command(short_help="Run a grid of runs from one teacher.")
@takes_recipe
@click.option(
    "--vary",
    metavar="KEY=V,V",
    multiple=True,
    help="Make a row of each value of a key, as in --vary stages.*.objectives.score.use=sid,dmd2; "
    "several give all combinations.",
)
@click.option("--seeds", type=SEEDS, metavar="N", help="Runs of each row.  [default: 3]")
@click.option(
    "--passes",
    type=PASSES,
    metavar="N",
    help="Give every row as many steps as N network passes pay for; one is one example once forward.",
)
@click.option("--only", metavar="ROW", multiple=True, help="Run these rows only; repeatable.")
@click.option(
    "--out",
    type=LocalPath(),
    metavar="DIR",
    help="The grid's folder.  [default: runs/NAME-PROFILE-grid]",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only check all rows and print their steps.")
@click.option("--table-only", is_flag=True, help="Run nothing: write the table of what is finished.")
def ablate(
    vary: tuple[str, ...],
    seeds: int | None,
    passes: int | None,
    only: tuple[str, ...],
    out: Path | None,
    form: str,
    dry_run: bool,
    table_only: bool,
    **request: Any,
) -> int:
    """Run RECIPE once for every row of a grid and every seed, all from one teacher.

    Rows are those of the file's tables [grid.rows.NAME], or come from --vary. The same command continues a
    grid, also in a second process beside the first. Table, figure and page are written to the grid's folder.
    """
    asked = Request(**request)
    registry, base = asked.resolve()
    from dlmone.ablation.plan import Common, check_plan
    from dlmone.runtime.distributed import World
    from dlmone.training.estimation.effort import measure

    if World.join().size > 1:
        raise click.UsageError("a grid runs in one process: start the command twice to share its runs")
    name = f"{base.recipe.name}-{base.profile}" if base.profile else base.recipe.name
    out = out or RUNS / f"{name}-grid"
    _require_grid(out)
    common = Common.of(base.recipe, out, registry)
    plan = _plan(asked, registry, measure(common.teacher), vary, seeds, passes, out)
    rows = _only(plan, only)
    check_plan(plan, common, registry)
    if dry_run:
        _print_plan(rows)
        return 0
    if not table_only:
        _run(registry, plan, rows, ["dlmone", "ablate", *asked.words()])
    found = _collect(plan)
    _print(found, form)
    return int(bool(found.failed))


def _require_grid(out: Path) -> None:
    """Raise InputError if something else than a grid lies where it is to be."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file, where a folder for the grid was expected")
    # A grid whose teacher has not begun has its lock already.
    begun = any(path.exists() for path in (out / ".teacher.lock", out / "teacher" / "recipe.toml"))
    # Some of a grid's runs, copied from elsewhere, are one too.
    begun = begun or any((out / "runs").glob("**/seed-*/recipe.toml"))
    if out.is_dir() and any(out.iterdir()) and not begun:
        raise InputError(f"{out} is not empty: it holds no grid; name another folder")


def _plan(
    asked: Request,
    registry: Registry,
    sketch: Sketch,
    vary: Sequence[str],
    seeds: int | None,
    passes: int | None,
    out: Path,
) -> Plan:
    from dlmone.ablation.grid import grid_rows, read_grid
    from dlmone.ablation.plan import make_plan
    from dlmone.registry.loading.files import read_recipe

    file = read_recipe(asked.recipe)
    table = read_grid(file)
    rows = grid_rows(file, table, vary)
    return make_plan(
        out,
        rows,
        lambda row, settings, seed: asked.load(registry, row, settings, seed),
        registry,
        sketch,
        seeds or table.seeds,
        passes or table.passes,
    )


def _only(plan: Plan, names: Sequence[str]) -> list[PlannedRow]:
    from dlmone.registry.explain import nearest

    known = {row.name: row for row in plan.rows}
    for name in names:
        if name not in known:
            raise InputError(f"--only {name}: there is no such row{nearest(name, known)}")
    return [known[name] for name in names] if names else list(plan.rows)


def _run(registry: Registry, plan: Plan, rows: Sequence[PlannedRow], command: Sequence[str]) -> None:
    from dlmone.ablation.runner import GridRunner
    from dlmone.runtime.interrupts import Interrupted

    runner = GridRunner(plan, registry, console(), command)
    try:
        runner.teach()
        runner.work(rows)
    except (Interrupted, KeyboardInterrupt) as stop:
        raise Interrupted(
            f"{str(stop) or 'interrupted'}\nthe same command continues the grid in {plan.out}"
        ) from None


def _collect(plan: Plan) -> GridResults:
    """Read what has finished, and write the grid's table, page and figure."""
    from dlmone.ablation.output import PAGE, write_grid
    from dlmone.ablation.results import collect

    if not plan.out.is_dir():
        raise InputError(f"{plan.out}: there is no grid here")
    found = collect(plan)
    write_grid(plan.out, found)
    say(f"report: {plan.out / PAGE}")
    return found


def _print_plan(rows: Sequence[PlannedRow]) -> None:
    lines = [["row", "search", "steps", "passes", "seeds"]]
    for row in rows:
        for candidate in row.candidates:
            run = candidate.runs[0]
            steps = " + ".join(f"{stage.steps:,}" for stage in run.resolved.recipe.stages.values())
            seeds = ", ".join(str(one.seed) for one in candidate.runs)
            lines.append([row.name, candidate.name, steps, f"{run.passes:,.0f}", seeds])
    print_columns(lines)


def _print(found: GridResults, form: str) -> None:
    from dlmone.ablation.table import columns, comma_separated, markdown, notes

    if form == "json":
        click.echo(found.model_dump_json(indent=1))
    elif form == "csv":
        click.echo(comma_separated(found), nl=False)
    elif form == "md":
        click.echo(markdown(found), nl=False)
    else:
        print_columns(columns(found), right=True)
        click.echo()
        for note in notes(found):
            click.echo(note)
