"""Weights & Biases: one run, whose values are named STAGE/NAME and drawn over the stage's own step."""

from collections.abc import Mapping, Sequence

from dlmone.core import InputError, Sample
from dlmone.registry import TrackedRun, Tracker

from .common import COLUMNS, require, rows
from .options import WandbOptions


class WeightsAndBiases(Tracker):
    """Sends a run to Weights & Biases, or keeps it in its run directory (``mode = "offline"``)."""

    def __init__(self, options: WandbOptions) -> None:
        self._wandb = require("wandb", "wandb")
        self._options = options
        self._stages: set[str] = set()

    def start(self, run: TrackedRun) -> str:
        wandb, options = self._wandb, self._options
        try:
            self._run = wandb.init(
                project=options.project or run.project,
                entity=options.entity,
                name=run.name,
                tags=options.tags,
                config=dict(run.recipe),
                dir=str(run.folder),
                id=run.identifier,
                resume="allow",
                mode=options.mode,
                # dlmone's data go to standard output; nothing else may.
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f'trackers: Weights & Biases cannot be reached ({reason}); mode = "offline" needs no account'
            ) from None
        return str(self._run.id)

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        self._run.log({f"{stage}/step": step} | {f"{stage}/{name}": value for name, value in values.items()})

    def texts(self, stage: str, step: int, samples: Sequence[Sample]) -> None:
        table = self._wandb.Table(columns=list(COLUMNS), data=rows(samples))
        self._run.log({f"{stage}/step": step, f"{stage}/samples": table})

    def finish(self, *, completed: bool) -> None:
        self._run.finish(exit_code=0 if completed else 1)
