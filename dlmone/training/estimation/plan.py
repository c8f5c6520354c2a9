"""Estimate a run's time and memory from its recipe, its objectives' requests, and what a pass takes here.

Time is that of the requested passes, and what an iteration that was tried took beyond them. Memory is that of
the trial, and the activations kept for the rows that it left out. Without a trial, both are of network passes
alone: their time, and parameters, gradients, optimizer state and activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlmone.core import ESTIMATOR, Auxiliary, Network, Sketch
from dlmone.core.step.request import Role
from dlmone.registry import Recipe
from dlmone.runtime.device import Compute
from dlmone.training.final.variants import steps_of

from .calibration import Costs, iteration_cost, pretraining_cost
from .effort import Effort, Passes
from .trial import Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """What an estimate is made of.

    Attributes:
        recipe: the recipe.
        sketch: the size of its networks.
        efforts: the stages' efforts by name.
        costs: what passes take.
        compute: device, precision and microbatch.
        trials: an iteration of pretraining (``teacher``) and of each stage, where they were run.
    """

    recipe: Recipe
    sketch: Sketch
    efforts: Mapping[str, Mapping[Role, Effort]]
    costs: Costs
    compute: Compute
    trials: Mapping[str, Trial] = field(default_factory=dict)

    def seconds(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Return the seconds of each part of a run.

        ``sizes`` are the examples of each split. If unknown, work over a whole split is not counted.
        """

        def examples(split: str, wanted: int | None) -> int:
            return min(sizes.get(split, wanted or 0), wanted or sizes.get(split, 0))

        recipe, costs = self.recipe, self.costs
        # Rounding to tokens, and logits, take a product with the whole embedding table.
        table = 1 + self.sketch.space / self.sketch.network
        one_call = table * costs.working.forward
        parts: dict[str, float] = {}
        pretrain = recipe.teacher.pretrain
        if pretrain and not recipe.teacher.path:
            rounds = 1 + pretrain.steps // pretrain.validation.every
            wanted = pretrain.validation
            calls = (
                rounds * examples("valid", wanted.examples) * wanted.candidates * pretrain.validation_steps
            )
            parts["teacher"] = pretrain.steps * self.iteration_seconds("teacher") + calls * one_call
        for name, stage in recipe.stages.items():
            # The raw weights and their EMA are both validated.
            rounds = 1 + stage.steps // stage.validation.every
            samples = 2 * rounds * examples("valid", stage.validation.examples) * stage.validation.candidates
            trained = stage.steps * self.iteration_seconds(name) - self._warmup_seconds(name)
            parts[name] = trained + samples * stage.calls * one_call
        if tested := examples("test", recipe.evaluation.examples):
            systems = recipe.evaluation
            early = max(len(recipe.stages) - 1, 0)
            students = sum(systems.student_steps) + early if recipe.stages else 0
            varied = sum(steps_of(variant, systems) for variant in systems.variants.values())
            calls = tested * systems.candidates * (sum(systems.teacher_steps) + students + varied)
            parts["evaluation"] = calls * one_call
        return parts

    def iteration_seconds(self, name: str) -> float:
        """Return the seconds of an iteration of a stage, or of pretraining (``teacher``)."""
        if name == "teacher":
            cost = pretraining_cost(self.sketch, self.costs)
        else:
            cost = iteration_cost(self.recipe.stages[name], self.efforts[name], self.costs)
        beyond = self.trials[name].beyond if name in self.trials else 0.0
        return self._batch(name) * cost + beyond

    def _warmup_seconds(self, name: str) -> float:
        """Return the seconds that θ's updates would take while ψ alone is updated."""
        stage, efforts = self.recipe.stages[name], self.efforts[name]
        cost = self.costs.seconds(efforts["generator"]) if "generator" in efforts else 0.0
        return min(stage.estimator_warmup, stage.steps) * stage.batch * cost

    def _batch(self, name: str) -> int:
        """Return the samples of an iteration."""
        if name != "teacher":
            return self.recipe.stages[name].batch
        assert self.recipe.teacher.pretrain is not None
        return self.recipe.teacher.pretrain.batch

    def memory(self) -> float:
        """Return the peak memory in bytes, over the parts of a run."""
        pretrained = self.recipe.teacher.pretrain and not self.recipe.teacher.path
        parts = [*(["teacher"] if pretrained else []), *self.recipe.stages]
        return max((self.bytes(name) for name in parts), default=self._loaded)

    def bytes(self, name: str) -> float:
        """Return the peak memory of a stage's iterations, or of those of pretraining (``teacher``)."""
        if trial := self.trials.get(name):
            rows, held = trial.rows, trial.bytes + (self._loaded if name != "teacher" else 0.0)
        else:
            rows, held = 0, self._networks(name)
        left = self._at_once(self._batch(name)) - self._at_once(rows)
        return held + left * self._kept(name)

    @property
    def _loaded(self) -> float:
        """The bytes of φ as loaded."""
        return 4.0 * (self.sketch.network + self.sketch.space)

    def _kept(self, name: str) -> float:
        """Return the bytes that autograd keeps of a sample, in the update that keeps most."""
        made = [Effort(Passes(trained=1))] if name == "teacher" else self.efforts[name].values()
        return max((self.costs.bytes(one) for one in made), default=0.0)

    def _at_once(self, rows: int) -> int:
        return min(rows, self.compute.microbatch or rows)

    def _networks(self, name: str) -> float:
        """Return the bytes of the networks that training holds, of gradients, moments and averages.

        Pretraining has weights, a gradient, two moments and an average. A stage has φ as loaded; θ with two
        moments and its EMA; one gradient at a time; of what is requested φ in float32, ψ and auxiliary
        networks with two moments each, and averages and θ as the stage began.
        """
        network = 4.0 * self.sketch.network
        # Autocast keeps a copy of the weights.
        half = network / 2 if self.compute.bfloat16 else 0.0
        if name == "teacher":
            return half + 5 * self._loaded
        requested: set[Network] = set().union(*(one.networks for one in self.efforts[name].values()))
        trained = sum(one is ESTIMATOR or isinstance(one, Auxiliary) for one in requested)
        others = len(requested) - trained - 1
        averaged = bool(self.recipe.stages[name].estimator_average) and ESTIMATOR in requested
        return half + self._loaded + network * (4 + 1 + 3 * trained + others + averaged)
