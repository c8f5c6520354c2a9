"""trackio: a local dashboard, or a Space of the Hub."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout

from dlmone.core import Sample
from dlmone.registry import TrackedRun, Tracker

from .common import dotted, markdown, require
from .options import TrackioOptions


class Trackio(Tracker):
    """Writes a run for ``trackio show``; values are named STAGE/NAME."""

    def __init__(self, options: TrackioOptions) -> None:
        self._trackio = require("trackio", "trackio")
        self._options = options

    def start(self, run: TrackedRun) -> str:
        with _not_on_stdout():
            self._run = self._trackio.init(
                project=self._options.project or run.project,
                name=run.identifier or run.name,
                space_id=self._options.space,
                config={key: str(value) for key, value in dotted(run.recipe)},
                resume="never" if run.identifier is None else "allow",
                embed=False,
            )
        return str(self._run.name)

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{stage}/{name}": value for name, value in values.items()}, step=step)

    def texts(self, stage: str, step: int, samples: Sequence[Sample]) -> None:
        self._run.log({f"{stage}/samples": self._trackio.Markdown(markdown(samples))}, step=step)

    def finish(self, *, completed: bool) -> None:
        with _not_on_stdout():
            self._trackio.finish()  # ends the process's current run, which is this one


def _not_on_stdout() -> AbstractContextManager[object]:
    """trackio prints what it does; standard output is for data."""
    return redirect_stdout(sys.stderr)
