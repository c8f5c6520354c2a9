"""Pass a run's events on to its trackers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlmone.core import Sample
from dlmone.registry import Recipe, Registry, ResolvedRecipe, TrackedRun, Tracker, hookimpl

#: How many of a validation's samples a tracker receives.
SHOWN = 8
#: The file of a run directory that holds what the trackers call the run.
IDENTIFIERS = "trackers.json"


def create_trackers(registry: Registry, recipe: Recipe) -> dict[str, Tracker]:
    """Return a recipe's trackers by name.

    Raises:
        InputError: a tracker's options are invalid, or its tool is not installed.
        PluginError: there is no such tracker.
    """
    slots = recipe.trackers.items()
    return {name: registry.create("trackers", slot, f"trackers.{name}") for name, slot in slots}


@contextmanager
def tracking(
    registry: Registry, resolved: ResolvedRecipe, folder: Path, trackers: Mapping[str, Tracker]
) -> Iterator[None]:
    """Let trackers follow the run in ``folder`` while the context lasts, and notify plugins of its end.

    Raises:
        InputError: a tracker cannot start.
    """
    stored = folder / IDENTIFIERS
    known: dict[str, str] = json.loads(stored.read_text()) if stored.exists() else {}
    completed = False
    with ExitStack() as stack:
        try:
            for name, tracker in trackers.items():
                run = TrackedRun(folder.name, resolved.recipe.name, folder, resolved.table, known.get(name))
                known[name] = tracker.start(run)
                stack.enter_context(registry.listening(_Listener(tracker), f"trackers.{name}"))
            if trackers:
                staging = stored.with_suffix(".staging")
                staging.write_text(json.dumps(known, indent=1))
                staging.replace(stored)
            yield
            completed = True
        finally:
            registry.notify("run_ended", run_dir=folder, completed=completed)


class _Listener:
    """Hears the lifecycle hooks of a run for one tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._at: tuple[str, int] | None = None
        self._sent: set[str] = set()

    @hookimpl
    def step_finished(self, stage: str, step: int, metrics: Mapping[str, Any]) -> None:
        if (stage, step) != self._at:
            self._at, self._sent = (stage, step), set()
        # The entry of a validation repeats the training values of its step.
        values = {
            name: float(value)
            for name, value in metrics.items()
            if name not in {"stage", "step", *self._sent} and isinstance(value, int | float)
        }
        self._sent |= values.keys()
        if values:
            self._tracker.scalars(stage, step, values)

    @hookimpl
    def validation_sampled(self, stage: str, step: int, samples: Sequence[Sample]) -> None:
        self._tracker.texts(stage, step, samples[:SHOWN])

    @hookimpl
    def evaluation_finished(self, stage: str, step: int, scores: Mapping[str, float]) -> None:
        # Validations are in the log entries of their steps.
        if stage == "final":
            self._tracker.scalars(stage, step, scores)

    @hookimpl
    def run_ended(self, completed: bool) -> None:
        self._tracker.finish(completed=completed)
