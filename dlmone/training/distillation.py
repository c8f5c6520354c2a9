"""The alternating updates of Algorithm 1 and the state they carry from step to step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone.core import (
    Batch,
    Denoiser,
    DiffusionGenerator,
    DlmoneError,
    InputError,
    Noise,
    NoiseSchedule,
    Objective,
    StepContext,
    Teacher,
)
from dlmone.core.context import frozen
from dlmone.core.estimator import HEADS
from dlmone.core.noise import seed_of, stream
from dlmone.core.objective import Role
from dlmone.registry.schema import Stage, StageOptimizer
from dlmone.runtime.device import Compute
from dlmone.runtime.precision import ieee_float32

from .checkpoint import Checkpoint, pack, unpack
from .data_order import DataOrder
from .optimizer import Optimizer, ema_decay, learning_rate, update_average
from .tokenized import TokenizedExamples
from .update import MetricSums, Update, WeightedTerm


def stage_times(name: str, stage: Stage, schedule: NoiseSchedule) -> tuple[float, tuple[float, float]]:
    """Return t_init and [t_min, t_max) of a stage in times of the teacher's schedule.

    Raises:
        InputError: one of them lies outside the trained range, they are the wrong way round, or the
            stage's head is unknown.
    """

    named = {"t_init": stage.t_init, "t_min": stage.t_min, "t_max": stage.t_max}
    t_init, t_min, t_max = (time.on(schedule, f"stages.{name}.{key}") for key, time in named.items())
    if stage.head not in HEADS:
        raise InputError(f"stages.{name}.head: there is no head {stage.head!r}; there are {', '.join(HEADS)}")
    if t_min >= t_max:
        raise InputError(f"stages.{name}: t_min ({t_min:g}) must be below t_max ({t_max:g})")
    return t_init, (t_min, t_max)


class Distillation:
    """One stage: θ and ψ started from φ, updated in turn.

    Args:
        name: the stage's name, part of every random key.
        stage: its section of the recipe.
        teacher: φ with its space, on the compute device.
        objectives: the stage's objectives by name.
        examples: the training split, tokenised by the teacher's space.
        compute: device and precision.
        seed: the run's seed.
        start: θ's first weights; φ's if None.

    Raises:
        InputError: t_init, t_min or t_max lies outside the teacher's trained range.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        teacher: Teacher,
        objectives: Mapping[str, Objective],
        examples: TokenizedExamples,
        compute: Compute,
        seed: int,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.name, self.stage, self.compute, self.seed = name, stage, compute, seed
        self.space = teacher.space.requires_grad_(False).eval()
        t_init, self.t_range = stage_times(name, stage, self.space.schedule)

        self.generator = teacher.new_generator(t_init, stage.unit_input).to(compute.device)
        if start is not None:
            self.generator.network.load_state_dict(start)
        self.estimator = teacher.new_score_estimator(stage.head).to(compute.device)
        self.generator.network.requires_grad_(True)
        self.estimator.requires_grad_(True)
        self.average = copy.deepcopy(self.generator.network).requires_grad_(False).eval()
        # Not cast to half precision: beside a ψ that has moved little, rounded weights are most of f_φ − f_ψ.
        self.teacher = copy.deepcopy(teacher.network).requires_grad_(False).eval()
        # What θ's update takes for ψ: ψ itself, or its average.
        self.reference = copy.deepcopy(self.estimator) if stage.estimator_average else self.estimator
        self.generator_optimizer = Optimizer(self.generator.network, stage.generator)
        self.estimator_optimizer = Optimizer(self.estimator, stage.estimator)
        self.step = 0
        self.non_finite = 0

        self.objectives, slots = objectives, stage.objectives
        self.generator_update = Update(
            "generator",
            (
                WeightedTerm(key, objective, slots[key].generator_weight, slots[key].generator_start)
                for key, objective in objectives.items()
            ),
        )
        self.estimator_update = Update(
            "estimator",
            (
                WeightedTerm(key, objective, slots[key].estimator_weight)
                for key, objective in objectives.items()
            ),
        )
        # θ as it begins, whose weights the previous stage keeps: a run that resumes has the same one.
        start_needed = self.generator_update.needs(stage.steps).start
        self.start = self.frozen_generator(self.generator.network) if start_needed else None
        self.examples = examples
        self._orders = {
            (role, kind): DataOrder(len(examples), (seed, name, role, kind), stage.batch)
            for role in ("generator", "estimator")
            for kind in ("fake", "real")
        }

    @ieee_float32()
    def advance(self, norms: bool) -> dict[str, float]:
        """Do one iteration: the estimator's update(s), then the generator's. Return what to log.

        Raises:
            DlmoneError: more losses than the limit were not finite.
        """
        logged: dict[str, float] = {}
        if self.estimator_update.terms:
            for i in range(self.stage.estimator_steps):
                draw = self.step * self.stage.estimator_steps + i
                logged |= self._estimator_step(draw, norms)
        if self.step >= self.stage.estimator_warmup:
            logged |= self._generator_step(norms)
        self.step += 1
        if self.non_finite > self.compute.non_finite_limit:
            raise DlmoneError(
                f"stage {self.name}, step {self.step}: {self.non_finite} losses or gradients "
                f"were not finite, more than compute.non_finite_limit = {self.compute.non_finite_limit}; "
                "the last checkpoint is kept"
            )
        return logged | {"non_finite": float(self.non_finite)}

    def _estimator_step(self, draw: int, norms: bool) -> dict[str, float]:
        self.generator.eval()
        self.estimator.train(self.stage.estimator_dropout)
        logged = self._accumulate(self.estimator_update, "estimator", draw, norms)
        self.compute.world.sum_gradients(self.estimator)
        rate = _learning_rate(self.stage.estimator, draw, self.stage.steps * self.stage.estimator_steps)
        self.non_finite += not self.estimator_optimizer.step(rate)
        if self.stage.estimator_average:
            # The plain mean until there are enough updates to average over.
            decay = min(self.stage.estimator_average, 1 - 1 / (draw + 2))
            update_average(self.reference, self.estimator, decay)
        return logged | self.estimator_update.observe(self.step, logged)

    def _generator_step(self, norms: bool) -> dict[str, float]:
        self.generator.train(self.stage.generator_dropout)
        self.reference.eval()
        last_draw = (self.step + 1) * self.stage.estimator_steps - 1
        draws: tuple[Role, int] = (
            ("estimator", last_draw) if self.stage.shared_draw else ("generator", self.step)
        )
        with frozen(self.reference):
            logged = self._accumulate(self.generator_update, *draws, norms)
        self.compute.world.sum_gradients(self.generator.network)
        # θ's schedules count its own updates, which begin when ψ's warm-up is over.
        update, updates = (step - self.stage.estimator_warmup for step in (self.step, self.stage.steps))
        rate = _learning_rate(self.stage.generator, update, updates)
        self.non_finite += not self.generator_optimizer.step(rate)
        decay = ema_decay(self.stage.ema, self.stage.batch, update + 1)
        update_average(self.average, self.generator.network, decay)
        return logged | self.generator_update.observe(self.step, logged)

    def _accumulate(self, update: Update, draws: Role, draw: int, norms: bool) -> dict[str, float]:
        # Dropout is the one draw that torch's global generator makes: seeded anew for every update.
        torch.manual_seed(
            seed_of((self.seed, self.name, update.role, self.step, draw, self.compute.world.rank))
        )
        sums = MetricSums()
        share = self.compute.world.share(self.stage.batch)
        size = self.compute.microbatch or max(len(share), 1)
        for i in range(0, len(share), size):
            rows = list(share[i : i + size])
            while rows:
                context = self._context(update, draws, draw, rows)
                with self.compute.autocast():
                    terms = update.evaluate(context, self.step)
                finite_B = update.accumulate(context, terms, self.stage.batch, sums, norms)
                sums.add("non_finite", (~finite_B).float())
                # Samples without a finite loss are left out, and the others tried again.
                kept = [row for row, finite in zip(rows, finite_B.tolist(), strict=True) if finite]
                rows = kept if len(kept) < len(rows) else []
        logged = dict(sums.means(self.stage.batch, self.compute.world))
        self.non_finite += int(logged.pop("non_finite", 0))
        return logged

    def _context(self, update: Update, draws: Role, draw: int, rows: Sequence[int]) -> StepContext:
        """Return what an update sees of some positions of the global batch."""
        device = self.compute.device
        keys = [(self.seed, self.name, draws, draw, position) for position in rows]
        real_keys = keys if self.stage.shared_noise else [(*key, "real") for key in keys]

        def batch(kind: str) -> Batch:
            places = self._orders[draws, kind][draw]
            return self.examples.batch([places[position] for position in rows]).to(device)

        return StepContext(
            role=update.role,
            space=self.space,
            teacher=self.teacher,
            estimator=self.estimator if update.role == "estimator" else self.reference,
            generator=self.generator,
            needs=update.needs(self.step),
            fake=batch("fake"),
            noise=Noise(keys, device),
            t_range=self.t_range,
            real=lambda: batch("real"),
            real_noise=Noise(real_keys, device),
            calls=(self._call(draws, draw), self.stage.calls),
            start=self.start,
        )

    def _call(self, draws: Role, draw: int) -> int:
        """Return k, the call whose output an update sees: one for the whole global batch."""
        if self.stage.matching == "last":
            return self.stage.calls
        return int(stream((self.seed, self.name, draws, draw, "calls")).integers(self.stage.calls)) + 1

    def frozen_generator(self, network: Denoiser) -> DiffusionGenerator:
        """Return θ with the weights that ``network`` has now, to be called and not trained."""
        return self.generator.with_network(self.compute.frozen_copy(network)).eval()

    def weights(self, which: str) -> dict[str, Tensor]:
        """Return θ's weights, ``raw`` or ``ema``."""
        return (self.average if which == "ema" else self.generator.network).state_dict()

    def checkpoint(self, facts: Mapping[str, Any]) -> Checkpoint:
        """Return all that continuing needs; the rest is a function of the step."""
        tensors = pack(
            generator=self.generator.network.state_dict(),
            average=self.average.state_dict(),
            estimator=self.estimator.state_dict(),
            reference=self.reference.state_dict() if self.stage.estimator_average else {},
            generator_optimizer=self.generator_optimizer.state(),
            estimator_optimizer=self.estimator_optimizer.state(),
        )
        learned = {name: dict(objective.state()) for name, objective in self.objectives.items()}
        return Checkpoint(self.step, tensors, {**facts, "non_finite": self.non_finite, "objectives": learned})

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: it belongs to a network of another shape.
        """
        parts = {
            "generator": self.generator.network,
            "average": self.average,
            "estimator": self.estimator,
        }
        if self.stage.estimator_average:
            parts["reference"] = self.reference
        for group, module in parts.items():
            try:
                module.load_state_dict(unpack(checkpoint.tensors, group))
            except RuntimeError as error:
                raise InputError(
                    f"stage {self.name}: the checkpoint belongs to a network of another shape "
                    f"({str(error).splitlines()[-1].strip()})"
                ) from None
        self.generator_optimizer.load(unpack(checkpoint.tensors, "generator_optimizer"))
        self.estimator_optimizer.load(unpack(checkpoint.tensors, "estimator_optimizer"))
        self.step = checkpoint.step
        self.non_finite = checkpoint.facts["non_finite"]
        for name, objective in self.objectives.items():
            objective.load_state(checkpoint.facts["objectives"][name])


def _learning_rate(config: StageOptimizer, update: int, updates: int) -> float:
    return learning_rate(config.lr, config.warmup, config.schedule, update, updates)
