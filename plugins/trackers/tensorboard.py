"""TensorBoard: one folder of event files a stage, as steps begin anew in each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlmone.core import Sample
from dlmone.registry import TrackedRun, Tracker

from .common import dotted, markdown, require
from .options import TensorBoardOptions


class TensorBoard(Tracker):
    """Writes event files for ``tensorboard --logdir``."""

    def __init__(self, options: TensorBoardOptions) -> None:
        # torch.utils.tensorboard imports it; without it the error would name torch.
        require("tensorboard", "tensorboard")
        self._writer = require("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._folder = options.folder
        self._writers: dict[str, Any] = {}

    def start(self, run: TrackedRun) -> str:
        self._root = self._folder / run.name if self._folder else run.folder / "tensorboard"
        if run.identifier is None:
            settings = {key: str(value) for key, value in dotted(run.recipe)}
            table = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
            self._of("recipe").add_text("recipe", f"| key | value |\n| --- | --- |\n{table}", 0)
        return str(self._root)

    def _of(self, stage: str) -> Any:
        if stage not in self._writers:
            self._writers[stage] = self._writer(str(Path(self._root) / stage))
        return self._writers[stage]

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._of(stage).add_scalar(name, value, step)

    def texts(self, stage: str, step: int, samples: Sequence[Sample]) -> None:
        self._of(stage).add_text("samples", markdown(samples), step)

    def finish(self, *, completed: bool) -> None:
        for writer in self._writers.values():
            writer.close()
