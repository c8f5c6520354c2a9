"""Read a run directory. Missing or unreadable parts are listed and are no error."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.evaluation.comparison import short_names
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.results import NOISE_TO_TEXT, NoiseToText, Results
from dlmone.evaluation.samples import SampleSet, read_samples
from dlmone.registry.explain import nearest_path
from dlmone.registry.loading.toml import parse_toml
from dlmone.runtime.parsing import parse_json

from .log import Log, read_log


@dataclass(frozen=True)
class RunData:
    """The contents of a run directory.

    Attributes:
        path: its directory.
        name: its name on the page: as much of its path as distinguishes it from the others.
        recipe: ``recipe.toml`` as plain values, empty if it cannot be read.
        profile: the recipe's profile, if the file names it.
        manifest: ``manifest.json``, empty if it cannot be read.
        log: ``metrics.jsonl``.
        results: the final table; None if the run has not reached it.
        draws: the sample files, by name.
        followed: from noise to text; None if the run has not been evaluated, or without its teacher.
        missing: a sentence for each part that the page lacks.
    """

    path: Path
    name: str
    recipe: Mapping[str, Any]
    profile: str | None
    manifest: Mapping[str, Any]
    log: Log
    results: Results | None
    draws: Mapping[str, SampleSet]
    followed: NoiseToText | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def stages(self) -> Mapping[str, Any]:
        """The recipe's stages by name."""
        stages: Mapping[str, Any] = self.recipe.get("stages", {})
        return stages

    def written(self, provenance: Provenance) -> SampleSet | None:
        """Return the samples with this provenance, if their file exists."""
        found = (draws for draws in self.draws.values() if draws.provenance == provenance)
        return next(found, None)

    def best(self, stage: str) -> Mapping[str, Any]:
        """Return the best score and step recorded with a stage's published student."""
        config = _json(self.path / stage / "best" / "config.json") or {}
        student = config.get("student")
        return student if isinstance(student, dict) else {}


def read_runs(paths: Sequence[Path]) -> list[RunData]:
    """Read run directories.

    Raises:
        InputError: a path is not a run directory, or is given twice.
    """
    for path in paths:
        if not any((path / name).is_file() for name in ("recipe.toml", "manifest.json", "metrics.jsonl")):
            lacks = "no recipe.toml, manifest.json or metrics.jsonl"
            raise InputError(f"{path}: there is no run here ({lacks}){nearest_path(str(path))}")
    places = [os.path.realpath(path) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{path}: is given twice")
    return [_read_run(path, name) for path, name in zip(paths, short_names(paths), strict=True)]


def _read_run(path: Path, name: str) -> RunData:
    missing: list[str] = []
    recipe, profile = _recipe(path, missing)
    manifest = _json(path / "manifest.json")
    if manifest is None:
        missing.append("manifest.json cannot be read, so versions, hardware and command are unknown.")
    log = read_log(path / "metrics.jsonl")
    if not log.stages:
        missing.append("metrics.jsonl has no readable entry, so there are no curves.")
    elif log.unreadable:
        missing.append(f"{log.unreadable} lines of metrics.jsonl cannot be read and are skipped.")
    results = _results(path / "report" / "results.json", missing)
    unfinished = [stage for stage in recipe.get("stages", {}) if not (path / stage / "best").is_dir()]
    if unfinished:
        missing.append(f"The run has not finished: {', '.join(unfinished)} has no student yet.")
    return RunData(
        path=path,
        name=name,
        recipe=recipe,
        profile=profile,
        manifest=manifest or {},
        log=log,
        results=results,
        draws=_draws(path / "samples", missing),
        followed=_followed(path / "report" / NOISE_TO_TEXT),
        missing=missing,
    )


def _recipe(path: Path, missing: list[str]) -> tuple[dict[str, Any], str | None]:
    try:
        text = (path / "recipe.toml").read_text(encoding="utf-8")
        table = parse_toml(text)
    except (OSError, ValueError):
        missing.append("recipe.toml cannot be read, so the settings are unknown.")
        return {}, None
    # The resolved recipe has no profiles; its first line names the one it was resolved with.
    profile = re.match(r"# Resolved from .*, profile (\S+)\.$", text.partition("\n")[0])
    return table, profile[1] if profile else None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _results(path: Path, missing: list[str]) -> Results | None:
    if not path.is_file():
        missing.append("report/results.json is missing: the run has not reached its final evaluation.")
        return None
    try:
        found = Results.model_validate_json(path.read_bytes())
    except ValidationError:
        missing.append("report/results.json has the format of another version, so there is no final table.")
        return None
    return found if found.rows else None


def _followed(path: Path) -> NoiseToText | None:
    try:
        return NoiseToText.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _draws(folder: Path, missing: list[str]) -> dict[str, SampleSet]:
    found = {}
    for file in sorted(folder.glob("*.jsonl")):
        try:
            found[file.stem] = read_samples(file)
        except (InputError, OSError) as error:
            missing.append(f"samples/{file.name} cannot be read ({error}).")
    if not found:
        missing.append("samples/ is empty, so outputs and selected candidates are not shown.")
    return found
