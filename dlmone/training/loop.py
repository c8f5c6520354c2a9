"""Run the training loop of pretraining and of every stage: log, validate, checkpoint, stop, resume."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from dlmone.registry import Registry
from dlmone.runtime.device import Compute
from dlmone.runtime.interrupts import Interrupted, InterruptGuard
from dlmone.runtime.progress import Steps, numbers

from .saving.checkpoint import Checkpoint, load_agreed
from .saving.checkpoint_writer import CheckpointWriter
from .saving.run_directory import RunDirectory

_log = logging.getLogger(__name__)


class Trainable(Protocol):
    """What the loop trains: pretraining, or a stage of distillation."""

    step: int

    def advance(self, norms: bool) -> Mapping[str, float]: ...

    def checkpoint(self, facts: Mapping[str, Any]) -> Checkpoint: ...

    def load(self, checkpoint: Checkpoint) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """The objects that all parts of a run share."""

    run_dir: RunDirectory
    compute: Compute
    registry: Registry
    console: Console


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals in steps between log entries, validations and checkpoints."""

    steps: int
    log_every: int
    validate_every: int
    checkpoint_every: int
    keep: int = 2


def train(
    session: Session,
    name: str,
    trainee: Trainable,
    intervals: Intervals,
    validate: Callable[[int], Mapping[str, float]],
    facts: dict[str, Any],
    shown: tuple[str, ...],
) -> None:
    """Train to the last step, from the newest intact checkpoint if there is one.

    Step 0 is validated too, so that the log shows the starting point.

    Args:
        name: the stage's name: its folder, and its entries in ``metrics.jsonl``.
        validate: called with a step, on every process; returns the values to log, on the main process.
        facts: the caller's part of the state (e.g. the best score so far); saved and restored.
        shown: names of validation scores to show next to the progress, the one that decides first.

    Raises:
        Interrupted: the user stopped training; a checkpoint has been saved.
        DlmoneError: training failed, or a checkpoint could not be written; the last one is kept.
    """
    folder, world = session.run_dir.path / name / "checkpoints", session.compute.world
    latest = load_agreed(folder, world)
    if latest:
        trainee.load(latest)
        facts.update({key: latest.facts[key] for key in facts})
    session.run_dir.rewind(name, trainee.step if latest else -1)
    main = world.main
    drawn = session.run_dir.validations(name, shown[0]) if main else []
    label = shown[0].split("/")[-1]

    def log(kind: str, values: Mapping[str, Any]) -> None:
        entry = session.run_dir.log(name, trainee.step, {"kind": kind, **values})
        _log.info("%s  step %d  %s  %s", name, trainee.step, kind, numbers(values, *values))
        if main:
            session.registry.notify("step_finished", stage=name, step=trainee.step, metrics=entry)

    def validated() -> Mapping[str, float]:
        scores = validate(trainee.step)
        if shown[0] in scores:
            drawn.append(scores[shown[0]])
            steps.draw(label, drawn)
        if main:
            session.registry.notify("evaluation_finished", stage=name, step=trainee.step, scores=scores)
        world.wait()
        return scores

    def saved(step: int, path: Path) -> None:
        _log.info("checkpoint: %s", path)
        session.registry.notify("checkpoint_saved", stage=name, step=step, path=path)

    with (
        Steps(session.console, name, intervals.steps, trainee.step, show=main) as steps,
        InterruptGuard() as stop,
        CheckpointWriter(folder, intervals.keep, saved, main=main) as writer,
    ):
        if latest:
            steps.draw(label, drawn)
            steps.say(f"{name}: resumed at step {trainee.step}")
        else:
            log("validation", validated())
        spent, since = 0.0, trainee.step
        while trainee.step < intervals.steps:
            started = time.perf_counter()
            last = trainee.step + 1 == intervals.steps
            validating = last or (trainee.step + 1) % intervals.validate_every == 0
            is_logged = validating or trainee.step % intervals.log_every == 0
            values = trainee.advance(is_logged)
            if is_logged:
                values = dict(values)  # waits for the device, so that its time is counted
            spent += time.perf_counter() - started
            if is_logged:
                # The mean since the last entry: a logged step alone also computes gradient norms.
                log("train", {**values, "seconds_per_step": spent / (trainee.step - since)})
                spent, since = 0.0, trainee.step
            if validating:
                # Show training values next to the scores, as they are read together.
                scores = {**values, **validated()}
                log("validation", scores)
                steps.say(f"{name}  step {trainee.step}  {numbers(scores, *shown)}")
            writer.look()
            stopping = world.any(stop.wanted)
            if last or stopping or trainee.step % intervals.checkpoint_every == 0:
                writer.save(trainee.checkpoint(facts))
            if last or stopping:
                path = writer.wait()
                world.wait()
            if stopping:
                raise Interrupted(f"stopped at {name}, step {trainee.step}; the state is in {path}")
            steps.advance(note=numbers(values, *(key for key in values if key != "lr")) if is_logged else "")
