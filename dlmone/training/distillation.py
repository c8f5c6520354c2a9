"""Run the alternating updates of Algorithm 1 and keep their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dlmone.core import (
    GENERATOR,
    START,
    TEACHER,
    Batch,
    Denoiser,
    DiffusionGenerator,
    Network,
    Noise,
    Objective,
    StepContext,
    Teacher,
    Times,
)
from dlmone.core.model.denoiser import copy_network
from dlmone.core.step.context import frozen
from dlmone.core.step.noise import Key, seed_of, stream
from dlmone.core.step.request import Role, asks_second_time, merged
from dlmone.registry.schema import Stage, StageOptimizer
from dlmone.runtime.compilation import compile_blocks
from dlmone.runtime.device import Compute
from dlmone.runtime.gradients import GradientSum
from dlmone.runtime.precision import ieee_float32
from dlmone.runtime.shards import load_state, whole_state
from dlmone.runtime.tensors import NamedNumbers

from .batches.batches_ahead import BatchesAhead
from .batches.data_order import DataOrder
from .batches.noise_ahead import NoiseAhead
from .batches.rows import Rows
from .batches.tokenized import TokenizedExamples
from .saving.checkpoint import Checkpoint, fitting, pack, unpack
from .stage_student import stage_student
from .stage_times import stage_times, times_of
from .updates.mode import set_mode
from .updates.networks import EstimatorNetworks
from .updates.non_finite import NonFinite
from .updates.optimizer import MovingAverage, Optimizer, ema_decay, learning_rate
from .updates.update import MetricSums, Update, stage_updates


class Distillation:
    """One stage of distillation: θ and ψ, initialised from φ and updated in turn.

    Args:
        name: the stage's name, part of every random key.
        stage: its section of the recipe.
        teacher: φ with its space, as `Compute.place_teacher` returns it.
        objectives: the stage's objectives by name.
        examples: the training split, tokenised by the teacher's space.
        compute: device and precision.
        seed: the run's seed.
        start: the network of the student from which θ starts; φ's copy if None.

    Raises:
        InputError: t_init, t_min or t_max lies outside the teacher's trained range, or an objective needs a
            second time, which the teacher's network does not take.
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
        start: Denoiser | None = None,
    ) -> None:
        self.name, self.stage, self.compute, self.seed = name, stage, compute, seed
        self.space = teacher.space.requires_grad_(False).eval()
        _, t_range = stage_times(name, stage, self.space.schedule)
        self.times: dict[Role, Times] = {
            "generator": times_of(stage.generator_times, t_range),
            "estimator": times_of(stage.estimator_times, t_range),
        }

        self.objectives = objectives
        by_role = stage_updates(stage, objectives)
        self.generator_update, self.estimator_update = by_role["generator"], by_role["estimator"]
        updates = (self.generator_update, self.estimator_update)
        requests = merged(request for update in updates for request in update.requests(stage.steps))

        self.generator = stage_student(name, stage, teacher)
        if start is not None:
            if start.second_time:
                self.generator.network.add_second_time()
            self.generator.network.load_state_dict(start.state_dict())
        if asks_second_time(requests.values()):
            self.generator.network.add_second_time()
        self.generator.network.requires_grad_(True)
        self.space.requires_grad_(False)  # also what a network shares with it, such as an embedding table
        self.average = copy_network(self.generator.network, self.space).requires_grad_(False).eval()
        self._averaging = MovingAverage(self.average, self.generator.network)
        self.step = 0
        self.non_finite = NonFinite(compute.non_finite_limit)

        requested = {request.network for request in requests.values()}
        self.networks: dict[Network, nn.Module] = {GENERATOR: self.generator}
        if TEACHER in requested:
            # Keep float32: while ψ is still close to φ, rounding errors would dominate f_φ − f_ψ.
            self.networks[TEACHER] = teacher.copy_network().requires_grad_(False).eval()
        if START in requested:
            # θ's initial weights. The previous stage saved them, so a resumed run starts from the same ones.
            # It stays float32 too: an objective may subtract its answers.
            begun = copy_network(self.generator.network, self.space).requires_grad_(False)
            self.networks[START] = self.generator.with_network(begun).eval()
        self.beside = EstimatorNetworks(
            requested, objectives, teacher, self.networks, stage, compute, (seed, name)
        )
        for network in (*self.networks.values(), self.average):
            compute.place(network, self.space)
        self.generator_optimizer = Optimizer(self.generator.network, stage.generator)
        beside = (parameter for module in self.beside.trainable() for parameter in module.parameters())
        self._gradients: dict[Role, GradientSum] = {
            "generator": GradientSum(self.generator.network.parameters(), compute.world),
            "estimator": GradientSum(beside, compute.world),
        }
        if compute.compile:
            compile_blocks((*self.networks.values(), *self.beside.everything()))
        self._batches = BatchesAhead(examples, compute.device)
        self._noise = NoiseAhead(compute.device)
        self._orders = {
            (role, kind): DataOrder(len(examples), (seed, name, role, kind), stage.batch)
            for role in ("generator", "estimator")
            for kind in ("fake", "real")
        }

    @ieee_float32()
    def advance(self, norms: bool) -> Mapping[str, float]:
        """Run one iteration, the estimator's update(s) and then the generator's. Return the values to log.

        They are read from the device at the first look.

        Args:
            norms: whether the values are logged; then the gradient norm of each term is one of them.

        Raises:
            DlmoneError: more losses or gradients than `compute.non_finite_limit` were not finite.
        """
        logged: dict[str, float | Tensor] = {}
        if self.estimator_update.terms:
            for i in range(self.stage.estimator_steps):
                draw = self.step * self.stage.estimator_steps + i
                logged |= self._estimator_step(draw, norms)
        if self.step >= self.stage.estimator_warmup:
            logged |= self._generator_step(norms)
        self.step += 1
        values = NamedNumbers({**logged, "non_finite": self.non_finite.total})
        where = f"stage {self.name}, step {self.step}"
        self.non_finite.check(where, values["non_finite"] if norms else None)
        return values

    def _estimator_step(self, draw: int, norms: bool) -> dict[str, float | Tensor]:
        set_mode(self.generator, False)
        self.beside.train(self.stage.estimator_dropout)
        logged = self._accumulate(self.estimator_update, "estimator", draw, norms)
        rate = _learning_rate(self.stage.estimator, draw, self.stage.steps * self.stage.estimator_steps)
        self.non_finite.add_gradients(self.beside.step(rate, draw))
        return {**logged, **self.estimator_update.observe(self.step, logged)}

    def _generator_step(self, norms: bool) -> dict[str, float | Tensor]:
        set_mode(self.generator, self.stage.generator_dropout)
        self.beside.train(False)
        last_draw = (self.step + 1) * self.stage.estimator_steps - 1
        draws: tuple[Role, int] = (
            ("estimator", last_draw) if self.stage.shared_draw else ("generator", self.step)
        )
        with frozen(*self.beside.trainable()):
            logged = self._accumulate(self.generator_update, *draws, norms)
        # θ's schedules count θ's own updates, which start after ψ's warm-up.
        update, updates = (step - self.stage.estimator_warmup for step in (self.step, self.stage.steps))
        rate = _learning_rate(self.stage.generator, update, updates)
        self.non_finite.add_gradients(self.generator_optimizer.step(rate))
        self._averaging.update(ema_decay(self.stage.ema, self.stage.batch, update + 1))
        self.beside.follow(GENERATOR)
        return {**logged, **self.generator_update.observe(self.step, logged)}

    def _accumulate(self, update: Update, draws: Role, draw: int, norms: bool) -> dict[str, Tensor]:
        # Only dropout uses torch's global generator. Reseed it for every update, so that resuming is exact.
        rank = self.compute.world.rank
        self.compute.seed(seed_of((self.seed, self.name, update.role, self.step, draw, rank)))
        sums, gradients = MetricSums(), self._gradients[update.role]
        share = self.compute.world.share(self.stage.batch)
        size = self.compute.microbatch or max(len(share), 1)
        for i in range(0, len(share), size):
            rows = Rows(share[i : i + size], self.compute)
            while rows.all:
                context = self._context(update, draws, draw, rows.all)
                with self.compute.autocast():
                    terms = update.evaluate(context, self.step)
                before_last = gradients.before_last if i + size >= len(share) else None
                finite_B = update.accumulate(context, terms, rows, self.stage.batch, sums, norms, before_last)
                if finite_B is None:
                    break
                # Drop the samples whose loss is not finite and retry with the rest.
                sums.add("non_finite", ~rows.counted(finite_B))
                rows.drop(finite_B)
        gradients.finish()
        means = sums.means(self.stage.batch, self.compute)
        if (lost := means.pop("non_finite", None)) is not None:
            self.non_finite.add_losses(int(lost))
        return means

    def _context(self, update: Update, draws: Role, draw: int, rows: Sequence[int]) -> StepContext:
        """Return the context of an update for some positions of the global batch."""
        noise = self._noise_of(draws, draw, rows)
        shared = self.stage.shared_noise

        def places(kind: str, draw: int) -> tuple[int, ...]:
            order = self._orders[draws, kind][draw]
            return tuple(order[position] for position in rows)

        def batch(kind: str) -> Batch:
            series = (draws, kind, rows[0])
            return self._batches.of(series, places(kind, draw), lambda: places(kind, draw + 1))

        return StepContext(
            role=update.role,
            space=self.space,
            networks={**self.networks, **self.beside.of(update.role)},
            requests=update.requests(self.step),
            fake=batch("fake"),
            noise=noise,
            times=self.times[update.role],
            real=lambda: batch("real"),
            real_noise=noise if shared else self._noise_of(draws, draw, rows, "real"),
            calls=(self._call(draws, draw), self.stage.calls),
        )

    def _noise_of(self, draws: Role, draw: int, rows: Sequence[int], *kind: str) -> Noise:
        def keys(draw: int) -> list[Key]:
            return [(self.seed, self.name, draws, draw, position, *kind) for position in rows]

        return self._noise.of((draws, rows[0], *kind), keys(draw), lambda: keys(draw + 1))

    def _call(self, draws: Role, draw: int) -> int:
        """Return k, the student's network call that is trained: one k for the whole global batch."""
        if self.stage.calls == 1 or self.stage.matching == "last":
            return self.stage.calls
        return int(stream((self.seed, self.name, draws, draw, "calls")).integers(self.stage.calls)) + 1

    def frozen_generator(self, network: Denoiser) -> DiffusionGenerator:
        """Return θ with the current weights of ``network``, for inference only."""
        return self.generator.with_network(self.compute.frozen_copy(network)).eval()

    def weights(self, which: str) -> dict[str, Tensor]:
        """Return θ's weights, ``raw`` or ``ema``, whole on every process, all of which call this."""
        return whole_state(self.average if which == "ema" else self.generator.network)

    def checkpoint(self, facts: Mapping[str, Any]) -> Checkpoint:
        """Return the state needed to resume. Everything else is a function of the step."""
        tensors = (
            pack(
                generator=self.generator.network.state_dict(),
                average=self.average.state_dict(),
                generator_optimizer=self.generator_optimizer.state(),
            )
            | self.beside.state()
        )
        learned: dict[str, dict[str, float]] = {}
        for term, objective in self.objectives.items():
            state = objective.state()
            learned[term] = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
            held = {name: value for name, value in state.items() if isinstance(value, Tensor)}
            tensors |= pack(**{f"objective.{term}": held})
        return Checkpoint(
            self.step, tensors, {**facts, "non_finite": self.non_finite.count, "objectives": learned}
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint.

        Raises:
            InputError: the checkpoint's tensors do not fit this network.
        """
        with fitting(f"stage {self.name}"):
            load_state(self.generator.network, unpack(checkpoint.tensors, "generator"))
            load_state(self.average, unpack(checkpoint.tensors, "average"))
            self.beside.load(checkpoint.tensors)
        self.generator_optimizer.load(unpack(checkpoint.tensors, "generator_optimizer"))
        self.step = checkpoint.step
        self.non_finite.count = checkpoint.facts["non_finite"]
        for term, objective in self.objectives.items():
            held = unpack(checkpoint.tensors, f"objective.{term}")
            objective.load_state({**checkpoint.facts["objectives"][term], **held})


def _learning_rate(config: StageOptimizer, update: int, updates: int) -> float:
    return learning_rate(config.lr, config.warmup, config.schedule, update, updates)
