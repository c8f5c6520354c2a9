"""``dlmone check``: check a recipe on this machine and estimate its cost, without training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ..output import print_columns
from ..request import Request, announce, takes_recipe

if TYPE_CHECKING:
    from dlmone.registry import Registry, ResolvedRecipe


@click.command()
@takes_recipe
def check(**request: Any) -> None:
    """Check RECIPE and estimate its time and memory, without training.

    Builds everything that the recipe names. Data, checkpoints and devices that are missing on this machine
    are listed and are no error. Nothing is downloaded.
    """
    report(*Request(**request).resolve())


def report(registry: Registry, resolved: ResolvedRecipe) -> None:
    """Print a run's plan and an estimate of its time and memory.

    Raises:
        InputError: the recipe is wrong.
        PluginError: it names a plugin that cannot be used.
    """
    announce(resolved)
    # Read when the hub's library is imported, which nothing has done yet.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from dlmone.training.estimation.survey import RecipeSurvey

    survey = RecipeSurvey(registry, resolved)
    rows = [*survey.plan(), ("", ""), *survey.estimate()]
    rows += [("note" if not i else "", text) for i, text in enumerate(survey.notes())]
    rows += [("not ready" if not i else "", text) for i, text in enumerate(survey.lacking)]
    print_columns(rows)
