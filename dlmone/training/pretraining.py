"""Pretrain a teacher with its own loss and optimizers, a learning-rate schedule and an EMA."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dlmone.core import Example, InputError, Teacher, TrainingLoss
from dlmone.core.step.noise import Key, seed_of
from dlmone.registry.schema import Pretrain
from dlmone.runtime.compilation import compile_blocks
from dlmone.runtime.device import Compute
from dlmone.runtime.gradients import GradientSum
from dlmone.runtime.shards import gathered, load_state, local
from dlmone.runtime.tensors import NamedNumbers, read_together

from .batches.batches_ahead import BatchesAhead
from .batches.data_order import DataOrder
from .batches.noise_ahead import NoiseAhead
from .batches.rows import Rows
from .batches.tokenized import TokenizedExamples
from .saving.checkpoint import Checkpoint, fitting, pack, unpack
from .teacher_answers import WEIGHT, check_training_loss
from .updates.non_finite import NonFinite
from .updates.optimizer import MovingAverage, Optimizer, adam_settings, learning_rate
from .updates.update import MetricSums


class Pretraining:
    """Train a teacher step by step.

    Args:
        teacher: an untrained teacher, as `Compute.place_teacher` returns it.
        config: steps, batch size, optimizer and EMA.
        examples: the training split.
        compute: device and precision.
        seed: the run's seed.
    """

    def __init__(
        self, teacher: Teacher, config: Pretrain, examples: Sequence[Example], compute: Compute, seed: int
    ) -> None:
        self.teacher, self.config, self.compute, self.seed = teacher, config, compute, seed
        self.average = copy.deepcopy(teacher).requires_grad_(False).eval()
        for each in (teacher, self.average):
            compute.place(each)
        self._averaging = MovingAverage(self.average, teacher)
        own = teacher.new_optimizers(**adam_settings(config.optimizer))
        self.optimizer = Optimizer(teacher, config.optimizer, own)
        self._gradients = GradientSum(teacher.parameters(), compute.world)
        if compute.compile:
            compile_blocks([teacher])
        self._batches = BatchesAhead(TokenizedExamples(teacher.space, examples), compute.device)
        self._noise = NoiseAhead(compute.device)
        self.order = DataOrder(len(examples), (seed, "pretrain"), config.batch)
        self.step = 0
        self.non_finite = NonFinite(compute.non_finite_limit)

    def learning_rate(self) -> float:
        """Return the learning rate: linear warm-up, then constant or linear decay to zero (DiffuSeq)."""
        config = self.config
        return learning_rate(config.optimizer.lr, config.warmup, config.schedule, self.step, config.steps)

    def advance(self, norms: bool) -> Mapping[str, float]:
        """Run one update and return the values to log, read from the device at the first look.

        Args:
            norms: whether the values are logged.

        Raises:
            DlmoneError: more losses or gradients than `compute.non_finite_limit` were not finite.
        """
        world, batch = self.compute.world, self.config.batch
        places, share = self.order[self.step], world.share(batch)
        size = self.compute.microbatch or max(len(share), 1)
        self.compute.seed(seed_of((self.seed, "pretrain", self.step, world.rank)))
        self.teacher.train()
        sums = MetricSums()
        observed: defaultdict[str, list[Tensor]] = defaultdict(list)
        for i in range(0, len(share), size):
            rows = Rows([(position, places[position]) for position in share[i : i + size]], self.compute)
            with gathered(self.teacher):
                answer = self._loss(rows, sums)
                if answer is None:
                    continue
                if i + size >= len(share):
                    self._gradients.before_last()
                torch.autograd.backward(answer.loss_B.sum() / batch)
            sums.add("loss", answer.loss_B)
            if answer.weight_B is not None:
                sums.add(WEIGHT, answer.weight_B)
            for name, values_B in answer.logged.items():
                sums.add(name, values_B)
            for name, values_B in answer.observation.items():
                observed[name].append(values_B)
        self._gradients.finish()
        logged = sums.means(batch, self.compute)
        if (weight := logged.pop(WEIGHT, None)) is not None:
            weight = torch.where(weight == 0, 1.0, weight)
            logged["loss"] = logged["loss"] / weight
            for gradient in (parameter.grad for parameter in self.teacher.parameters()):
                if gradient is not None:
                    local(gradient).div_(weight)
        rate = self.learning_rate()
        self.non_finite.add_gradients(self.optimizer.step(rate))
        noted = world.concatenate({name: torch.cat(parts) for name, parts in observed.items()})
        if noted:
            self.teacher.observe(noted)
        self._averaging.update(self.config.ema)
        self.step += 1
        if (lost := logged.pop("non_finite", None)) is not None:
            self.non_finite.add_losses(int(lost))
        values = NamedNumbers({**logged, "lr": rate, "non_finite": self.non_finite.total})
        self.non_finite.check(f"pretraining, step {self.step}", values["non_finite"] if norms else None)
        return values

    def _loss(self, rows: Rows[tuple[int, int]], sums: MetricSums) -> TrainingLoss | None:
        """Return the loss of the samples whose loss is finite, and count the others.

        What the teacher observes is in the host's memory.

        Args:
            rows: positions in the global batch, each with its example's index in the split.
            sums: receives the count of non-finite losses.
        """
        while rows.all:
            positions, places = zip(*rows.all, strict=True)
            later = partial(self._places, positions, self.step + 1)
            tokens = self._batches.of(positions[0], places, later)
            noise = self._noise.of(
                positions[0],
                self._keys(positions, self.step),
                partial(self._keys, positions, self.step + 1),
            )
            with self.compute.autocast():
                answer = self.teacher.training_loss(tokens, noise)
            check_training_loss(self.teacher, answer, len(rows.all))
            if answer.batch_wide:
                answer = self._of_the_batch(answer, len(rows.all))
            # Here alone the host waits for the device, which goes on with the backward pass afterwards.
            finite_B, *seen = read_together([answer.loss_B.isfinite(), *answer.observation.values()])
            if rows.finite(finite_B):
                observation = dict(zip(answer.observation, seen, strict=True))
                return _counted(replace(answer, observation=observation), rows)
            sums.add("non_finite", ~rows.counted(finite_B))
            rows.drop(finite_B)
        return None

    def _places(self, positions: Sequence[int], step: int) -> tuple[int, ...]:
        """Return the indices in the split of the examples at positions of a step's global batch."""
        places = self.order[step]
        return tuple(places[position] for position in positions)

    def _keys(self, positions: Sequence[int], step: int) -> list[Key]:
        return [(self.seed, "pretrain", step, position) for position in positions]

    def _of_the_batch(self, answer: TrainingLoss, size: int) -> TrainingLoss:
        """Return a loss of the whole batch as one of each sample, all alike.

        Raises:
            InputError: this is not the whole batch.
        """
        if size < self.config.batch:
            raise InputError(
                f"{type(self.teacher).__name__} has one loss for the whole batch, which can't be split: set "
                f"compute.microbatch to {self.config.batch} or more, and run one process"
            )
        return replace(answer, loss_B=answer.loss_B.expand(size))

    def checkpoint(self, facts: Mapping[str, Any]) -> Checkpoint:
        """Return the state needed to resume. Everything else is a function of the step."""
        tensors = pack(
            teacher=self.teacher.state_dict(),
            average=self.average.state_dict(),
            optimizer=self.optimizer.state(),
            learned=self.teacher.training_state(),
        )
        return Checkpoint(self.step, tensors, {**facts, "non_finite": self.non_finite.count})

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint.

        Raises:
            InputError: the checkpoint's tensors do not fit this network.
        """
        with fitting("pretraining"):
            load_state(self.teacher, unpack(checkpoint.tensors, "teacher"))
            load_state(self.average, unpack(checkpoint.tensors, "average"))
        self.optimizer.load(unpack(checkpoint.tensors, "optimizer"))
        self.teacher.load_training_state(unpack(checkpoint.tensors, "learned"))
        self.step = checkpoint.step
        self.non_finite.count = checkpoint.facts["non_finite"]


def _counted(answer: TrainingLoss, rows: Rows[Any]) -> TrainingLoss:
    """Return the loss of the samples that count."""
    return replace(
        answer,
        loss_B=rows.counted(answer.loss_B),
        observation={name: rows.counted(values_B) for name, values_B in answer.observation.items()},
        logged={name: rows.counted(values_B) for name, values_B in answer.logged.items()},
        weight_B=None if answer.weight_B is None else rows.counted(answer.weight_B),
    )
