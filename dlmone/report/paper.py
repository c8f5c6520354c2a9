"""Show the paper's numbers next to runs of its three tasks on its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from . import measures
from .reading import RunData
from .systems import Systems
from .tables import Cell, Table


@dataclass(frozen=True, slots=True)
class Paper:
    """The contents of ``recipes/paper.json``: the tables' numbers, and the data they are comparable on."""

    content: Any

    def tables(self, runs: Sequence[RunData]) -> list[Table]:
        """Return the paper's numbers for the runs' tasks above the runs' own rows, then its times."""
        fitting = [run for run in runs if self.comparable(run)]
        tasks = dict.fromkeys(run.recipe["name"] for run in fitting)
        tables = [self._task(task, [run for run in fitting if run.recipe["name"] == task]) for task in tasks]
        return [*tables, self._times()] if tables else []

    def comparable(self, run: RunData) -> bool:
        """Tell whether a run is on one of the paper's tasks, with data from files or from the hub."""
        use = run.recipe.get("data", {}).get("use")
        return run.recipe.get("name") in self.content["tasks"] and use in self.content["data"]

    def _task(self, task: str, runs: Sequence[RunData]) -> Table:
        table, names, directions = (
            self.content["tasks"][task],
            self.content["scores"],
            self.content["directions"],
        )
        rows: list[Sequence[Cell]] = [[Cell("the paper")]]
        for row in table["rows"]:
            rows.append([Cell(row["system"]), Cell(f"Table {row['table']}"), *map(_cell, row["values"])])
        for run in runs:
            rows.append([Cell(run.name)])
            for one in Systems.of(run.results).all:
                rows.append([Cell(one.name), Cell(), *(_cell(one.value(name)) for name in names)])
        head = ["", "from", *(measures.heading(name, measures.Measure(directions[name])) for name in names)]
        return Table(f"{table['title']}: the paper's numbers and these runs'", head, rows)

    def _times(self) -> Table:
        times = self.content["seconds"]
        cells = [Cell(f"{value:.2f}") for value in times["values"]]
        head = ["network calls", *(f"{calls:,}" for calls in times["calls"])]
        return Table(
            f"The paper's Table {times['table']}",
            head,
            [[Cell(f"seconds per sample on an {times['on']}"), *cells]],
        )


@cache
def paper() -> Paper:
    """Return the paper's numbers."""
    return Paper(json.loads(files("dlmone.recipes").joinpath("paper.json").read_text(encoding="utf-8")))


def _cell(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.4f}")
