"""Start and resume runs: find the directory, check the recipe, and explain how to resume."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dlmone.core.errors import InputError

from .output import console
from .paths import LocalPath, possible_path
from .request import Request, announce

if TYPE_CHECKING:
    from dlmone.registry import Registry, ResolvedRecipe

RUNS = Path("runs")
#: ``--resume`` without a directory.
LATEST = ""

_OPTIONS = (
    click.option(
        "--resume",
        callback=possible_path,
        is_flag=False,
        flag_value=LATEST,
        metavar="[DIR]",
        help="Resume a run: the one in DIR, or the latest of this recipe and profile.",
    ),
    click.option(
        "--run-dir",
        type=LocalPath(),
        metavar="DIR",
        help="The run directory.  [default: runs/NAME-PROFILE-N]",
    ),
)


def takes_run_directory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--resume`` and ``--run-dir`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def launch(
    command: str,
    request: Request,
    registry: Registry,
    resolved: ResolvedRecipe,
    resume: str | None,
    run_dir: Path | None,
    until: Literal["teacher", "end"] = "end",
) -> Path:
    """Run a recipe and return its run directory.

    Raises:
        DlmoneError: the run failed or was stopped, or its directory cannot be used.
    """
    announce(resolved)
    from dlmone.runtime.distributed import World
    from dlmone.runtime.interrupts import Interrupted
    from dlmone.training.run import run

    world = World.join()
    path: Path = world.agree(_directory(registry, resolved, resume, run_dir) if world.main else None)
    words = ["dlmone", command, *request.words()]
    try:
        run(resolved, path, registry, console(quiet=not world.main), command=words, until=until)
    except (Interrupted, KeyboardInterrupt) as stop:
        if not (path / "recipe.toml").exists():
            raise
        again = shlex.join([*words, "--resume", str(path)])
        raise Interrupted(f"{str(stop) or 'interrupted'}\nresume with: {again}") from None
    return path


def _directory(
    registry: Registry, resolved: ResolvedRecipe, resume: str | None, run_dir: Path | None
) -> Path:
    from dlmone.training.saving.run_directory import changed, latest_run_path, new_run_path

    if resume and run_dir and Path(resume).resolve() != run_dir.resolve():
        raise InputError(f"--resume {resume} and --run-dir {run_dir} name two directories; give one")
    named = Path(resume) if resume else run_dir
    where = (RUNS, resolved.recipe.name, resolved.profile)
    if resume is None:
        path = named or new_run_path(*where)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: a file, where a folder for the run was expected")
        if path.exists() and any(path.iterdir()):
            if not (path / "recipe.toml").is_file():
                raise InputError(f"{path} is not empty: it holds no run; name another folder")
            raise InputError(f"{path} is not empty: give --resume to continue the run in it")
        return path
    path = named or latest_run_path(*where)
    if differ := changed(path, registry, resolved):
        raise InputError(f"{path} was run with {differ}; repeat the run's profile and settings to resume it")
    return path
