"""Estimate a run's time and memory from its recipe, its objectives' requests, and what a pass takes here.

Time is that of network passes. Memory is parameters, gradients, optimizer state and the activations kept for
the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlmone.core import ESTIMATOR, Auxiliary, Network, Sketch
from dlmone.core.step.request import Role
from dlmone.evaluation.variants import steps_of
from dlmone.registry import Recipe
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute

from .calibration import Costs
from .effort import Effort, Passes, iteration_updates


def iteration_seconds(stage: Stage, efforts: Mapping[Role, Effort], costs: Costs) -> float:
    """Return the time of an iteration of a stage: of its updates of ψ and of θ."""
    updates = iteration_updates(stage)
    return stage.batch * sum(updates[role] * costs.seconds(one) for role, one in efforts.items())


@dataclass(frozen=True, slots=True)
class Plan:
    """What an estimate is made of.

    Attributes:
        recipe: the recipe.
        sketch: the size of its networks.
        efforts: the stages' efforts by name.
        costs: what passes take.
        compute: device, precision and microbatch.
    """

    recipe: Recipe
    sketch: Sketch
    efforts: Mapping[str, Mapping[Role, Effort]]
    costs: Costs
    compute: Compute

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
            parts["teacher"] = pretrain.steps * self.pretraining_seconds() + calls * one_call
        for name, stage in recipe.stages.items():
            # The raw weights and their EMA are both validated.
            rounds = 1 + stage.steps // stage.validation.every
            samples = 2 * rounds * examples("valid", stage.validation.examples) * stage.validation.candidates
            trained = stage.steps * iteration_seconds(stage, self.efforts[name], costs)
            parts[name] = trained + samples * stage.calls * one_call
        if tested := examples("test", recipe.evaluation.examples):
            systems = recipe.evaluation
            early = max(len(recipe.stages) - 1, 0)
            students = sum(systems.student_steps) + early if recipe.stages else 0
            varied = sum(steps_of(variant, systems) for variant in systems.variants.values())
            calls = tested * systems.candidates * (sum(systems.teacher_steps) + students + varied)
            parts["evaluation"] = calls * one_call
        return parts

    def pretraining_seconds(self) -> float:
        """Return the seconds of a pretraining step: a trained pass, and logits over the table."""
        pretrain = self.recipe.teacher.pretrain
        assert pretrain is not None
        table = 1 + self.sketch.space / self.sketch.network
        return pretrain.batch * table * self.costs.working.trained

    def memory(self) -> float:
        """Return the peak memory in bytes, over the parts of a run."""
        recipe, network, space = self.recipe, 4.0 * self.sketch.network, 4.0 * self.sketch.space
        needed = [network + space]
        # Autocast keeps a copy of the weights in training.
        half = network / 2 if self.compute.bfloat16 else 0.0
        pretrain = recipe.teacher.pretrain
        if pretrain and not recipe.teacher.path:
            # Weights, gradient, two moments, EMA.
            needed.append(5 * needed[0] + half + self.pretraining_activations())
        for name, stage in recipe.stages.items():
            networks = self._networks(stage, self.efforts[name])
            needed.append(networks * network + space + half + self.activations(name))
        return max(needed)

    def pretraining_activations(self) -> float:
        """Return the bytes that autograd keeps in a pretraining step."""
        pretrain = self.recipe.teacher.pretrain
        assert pretrain is not None
        return self._rows(pretrain.batch) * self.costs.bytes(Effort(Passes(trained=1)))

    def activations(self, name: str) -> float:
        """Return the bytes that autograd keeps at most in an update of a stage."""
        kept = (self.costs.bytes(one) for one in self.efforts[name].values())
        return self._rows(self.recipe.stages[name].batch) * max(kept, default=0.0)

    def _rows(self, batch: int) -> int:
        return min(batch, self.compute.microbatch or batch)

    @staticmethod
    def _networks(stage: Stage, efforts: Mapping[Role, Effort]) -> int:
        """Return how many tensors of a network's size a stage holds.

        They are φ as loaded; θ with two moments and its EMA; one gradient at a time; of what is requested φ
        in float32, ψ and auxiliary networks with two moments each, and averages and θ as the stage began.
        """
        requested: set[Network] = set().union(*(one.networks for one in efforts.values()))
        trained = sum(one is ESTIMATOR or isinstance(one, Auxiliary) for one in requested)
        others = len(requested) - trained - 1
        averaged = bool(stage.estimator_average) and ESTIMATOR in requested
        return 1 + 4 + 1 + 3 * trained + others + averaged
