"""The Tracker contract: a run's curves and samples, sent to the tool where a user looks at all runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmone.core.text.evaluator import Sample


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run that a tracker follows.

    Attributes:
        name: the name of its run directory, e.g. ``qqp-quick-3``.
        project: the name of its recipe, under which runs are compared.
        folder: its run directory.
        recipe: the resolved recipe as plain values.
        identifier: what `Tracker.start` returned when the run was begun; None at its beginning.
    """

    name: str
    project: str
    folder: Path
    recipe: Mapping[str, Any]
    identifier: str | None = None


class Tracker(ABC):
    """Follows one run. A plugin's tracker is constructed with its options: ``Tracker(options)``.

    What can be refused before there is a run, as a tool that is not installed, is an InputError there. A
    resumed run repeats the steps after its last checkpoint, with equal values. What fails in `start` ends the
    run before anything is trained; what fails later is logged once, and the run goes on.
    """

    @abstractmethod
    def start(self, run: TrackedRun) -> str:
        """Begin to follow a run, or continue it if ``run.identifier`` is given.

        Returns:
            the tool's identifier of the run, given back as ``run.identifier`` when the run is resumed.

        Raises:
            InputError: the tool cannot be reached.
        """

    @abstractmethod
    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Receive the values logged at a step of a stage, by their names in ``metrics.jsonl``.

        ``stage`` is a stage of the recipe, ``pretrain``, or ``final`` for the scores of the final evaluation
        (at step 0). Steps begin at 0 in every stage.
        """

    def texts(self, stage: str, step: int, samples: Sequence[Sample]) -> None:  # noqa: B027  optional
        """Receive some of a validation's samples; by default they are not shown."""

    @abstractmethod
    def finish(self, *, completed: bool) -> None:
        """End following. ``completed`` is False for a run that was stopped or failed and may be resumed."""
