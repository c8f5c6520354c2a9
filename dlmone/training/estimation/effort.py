"""Count the network passes of an update from what its objectives request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from dlmone.core import (
    GENERATOR,
    OUTPUT,
    START,
    Average,
    GeneratorInput,
    Gradient,
    Network,
    Objective,
    Request,
    Sketch,
    Teacher,
)
from dlmone.core.step.request import Role, computes_output, merged, needs_float32, trained_in
from dlmone.registry.schema import Stage

from ..updates.update import stage_updates


@dataclass(frozen=True, slots=True)
class Passes:
    """Network passes of one sample, by how far back they go.

    Attributes:
        forward: without gradient.
        through: back to the state, past frozen parameters.
        trained: back to the parameters too.
    """

    forward: float = 0.0
    through: float = 0.0
    trained: float = 0.0

    def __add__(self, other: Passes) -> Passes:
        return Passes(
            self.forward + other.forward, self.through + other.through, self.trained + other.trained
        )

    @property
    def equivalents(self) -> float:
        """The forward passes that take as long: a way back is one, and one more for parameters."""
        return self.forward + 2 * self.through + 3 * self.trained


@dataclass(frozen=True, slots=True)
class Effort:
    """The cost of one sample in one update.

    Attributes:
        working: the passes in the run's precision.
        float32: those in float32, whatever the run's precision.
        networks: the networks that are evaluated, θ included.
    """

    working: Passes
    float32: Passes = Passes()
    networks: frozenset[Network] = frozenset()

    @property
    def passes(self) -> float:
        """Forward-pass equivalents in the run's precision."""
        return self.working.equivalents

    @property
    def exact(self) -> float:
        """Forward-pass equivalents in float32."""
        return self.float32.equivalents


def measure(teacher: Teacher) -> Sketch:
    """Return the size of a loaded teacher."""

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    space, network = teacher.space, teacher.network
    return Sketch(
        count(network),
        count(space),
        space.state_shape[0],
        teacher.feature_width,
        network.passes,
        network.takes_guidance,
    )


def effort(role: Role, requests: Iterable[Request], sketch: Sketch, before: float = 0.0) -> Effort:
    """Return the cost of an update whose objectives make these requests, θ's output included.

    A gradient with respect to the state adds one pass; with respect to trained parameters, another.

    Args:
        role: the role updated.
        requests: of all its objectives.
        sketch: how many passes an evaluation takes, and whether a guided one takes twice as many.
        before: θ's calls before the one whose output is trained (a few-step student's).
    """
    plan = merged(requests)
    output = computes_output(role, plan)
    called = output or any(request.state == GeneratorInput() for request in plan.values())
    working, float32 = Passes(forward=before * called), Passes()
    if output:
        working += Passes(trained=1) if role == "generator" else Passes(forward=1)
    for request in plan.values():
        if request.key == OUTPUT.key:
            continue
        calls = 1 if request.guidance == 1.0 or sketch.takes_guidance else 2
        # θ is called once; φ, ψ and their like estimate x0 for themselves first where they read an estimate.
        own = Passes(forward=0 if _student(request.network) else calls * (sketch.passes - 1))
        if trained_in(role, request.network):
            own += Passes(trained=calls)
        else:
            through = request.gradient > Gradient.CONSTANT
            own += Passes(through=calls) if through else Passes(forward=calls)
        if needs_float32(request, plan.values()):
            float32 += own
        else:
            working += own
    networks = {request.network for request in plan.values()} | {GENERATOR}
    return Effort(working, float32, frozenset(networks))


def _student(network: Network) -> bool:
    """Tell whether a network is θ, as it is, was, or is on average."""
    return _student(network.of) if isinstance(network, Average) else network in (GENERATOR, START)


def stage_effort(
    stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch, step: int | None = None
) -> dict[Role, Effort]:
    """Return the cost of a stage's updates by role; only roles with a term.

    ``step`` is the step at which they are made; without it all objectives are active.
    """
    # A few-step student makes calls before the trained one; k is uniform, so count the average.
    before = (stage.calls - 1) / (1 if stage.matching == "last" else 2)
    at = stage.steps if step is None else step
    return {
        role: effort(role, update.requests(at), sketch, before)
        for role, update in stage_updates(stage, objectives).items()
        if update.active(at)
    }


def passes(stage: Stage, objectives: Mapping[str, Objective], sketch: Sketch) -> float:
    """Return the network passes of one iteration for each sample of its batch, with all objectives active.

    They are counted in forward passes of φ, whatever their precision: θ's update and ψ's updates, each with
    its backward passes (`effort`). ψ's warm-up, in which θ is not updated, is not considered.

    Args:
        stage: the stage.
        objectives: its objectives by name.
        sketch: the size of its networks, from `measure`.
    """
    updates = iteration_updates(stage)
    efforts = stage_effort(stage, objectives, sketch)
    return sum(updates[role] * (one.passes + one.exact) for role, one in efforts.items())


def iteration_updates(stage: Stage) -> dict[Role, int]:
    """Return how many updates of each role an iteration makes."""
    return {"generator": 1, "estimator": stage.estimator_steps}
