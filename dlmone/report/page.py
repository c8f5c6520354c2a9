"""Assemble the page from its sections."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from . import outputs, tables
from .candidates import Selection
from .facts import facts
from .figures import charts, curves
from .figures.drawing import Picture
from .figures.plane import plane
from .flow import Flow, flow
from .noise import noise_to_text
from .outputs import Degenerate, Example
from .paper import paper
from .plugins import RunPlugins, charts_of
from .reading import RunData
from .summary import in_short
from .tables import Table


@dataclass(frozen=True)
class Section:
    """A section of the page; its text is in ``texts.toml`` under its name."""

    name: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    examples: Sequence[Example] = ()
    degenerate: Sequence[Degenerate] = ()
    flows: Sequence[Flow] = ()
    folded: bool = False

    @classmethod
    def of(cls, name: str, *parts: Picture | Table | None, **others: Any) -> Section:
        """Create a section from its pictures and tables; absent ones are skipped."""
        pictures = [part for part in parts if isinstance(part, Picture)]
        return cls(name, pictures, [part for part in parts if isinstance(part, Table)], **others)

    @property
    def title(self) -> str:
        return _texts()[self.name]["title"]

    @property
    def text(self) -> str:
        """How to read the section, or why it is empty."""
        return _texts()[self.name]["absent" if self.empty else "reading"]

    @property
    def empty(self) -> bool:
        return not (self.pictures or self.tables or self.examples or self.degenerate or self.flows)

    @property
    def shown(self) -> bool:
        """Whether it has content, or says why it has none."""
        return not self.empty or "absent" in _texts()[self.name]


@dataclass(frozen=True)
class Page:
    """Everything that the template renders."""

    title: str
    runs: Sequence[RunData]
    short: Sequence[str]
    sections: Sequence[Section]
    definitions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """The recipes' notes on their numbers, without duplicates."""
        return list(dict.fromkeys(note for run in self.runs if (note := str(run.recipe.get("note", "")))))

    @property
    def version(self) -> str:
        """The version of dlmone that made the page."""
        return version("dlmone")

    @property
    def pictures(self) -> list[Picture]:
        return [picture for section in self.sections for picture in section.pictures]

    def html(self) -> str:
        """Return the page as self-contained HTML."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("dlmone.report", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("page.html.j2").render(page=self)


def make_page(
    title: str,
    runs: Sequence[RunData],
    selections: Mapping[str, Sequence[Selection]],
    plugins: Mapping[str, RunPlugins],
) -> Page:
    """Assemble the page. Draw and save its figures within `drawing.style`.

    Args:
        title: the page's title.
        runs: the runs to show.
        selections: by run, the scores of selected candidates.
        plugins: by run, the plugins of its recipe.
    """
    evaluators = {name: one.evaluators for name, one in plugins.items()}
    failed = outputs.degenerate(runs)
    sections = [
        Section.of("calls", charts.calls(runs)),
        Section.of("final", tables.final(runs)),
        Section.of("run", flows=[one for run in runs if (one := flow(run))]),
        Section.of("outputs", examples=outputs.side_by_side(runs, evaluators)),
        Section.of("noise", *noise_to_text(runs)),
        Section.of("degenerate", tables.failures(failed), degenerate=failed),
        Section.of("timing", tables.timing(runs)),
        Section.of("stages", tables.stages(runs)),
        Section.of("plane", plane(runs, selections), tables.frontier(runs)),
        Section.of("candidates", charts.candidates(runs, selections), tables.selected(runs, selections)),
        Section.of("validation", curves.validation(runs)),
        Section.of("health", curves.health(runs, charts_of(list(plugins.values())))),
        Section.of("losses", curves.losses(runs), curves.pretraining(runs)),
        Section.of("paper", *paper().tables(runs)),
        Section.of("what", facts(runs), folded=True),
    ]
    shown = [section for section in sections if section.shown]
    return Page(title, runs, in_short(runs), shown, _definitions(runs))


def _definitions(runs: Sequence[RunData]) -> dict[str, list[str]]:
    """Return each score's definitions, and under each run's name the provenance of its samples."""
    rows = [(run, row) for run in runs if run.results for row in run.results.rows]
    found: dict[str, list[str]] = {}
    for _, row in rows:
        for name in row.scores:
            definition = row.definition(name)
            if definition not in found.setdefault(name, []):
                found[name].append(definition)
    for run, row in rows:
        found.setdefault(f"samples of {run.name}", []).append(f"{row.model}: {row.origin}")
    return found


@cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))
