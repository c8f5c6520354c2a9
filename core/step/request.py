"""Describe the network evaluations that objectives request; equal requests are merged and computed once.

An objective lists its requests for each role. The list determines which networks exist, what an update
costs, and where gradient flows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from ..model.denoiser import Denoised, Denoiser
from ..model.space import Batch
from ..model.times import Times

if TYPE_CHECKING:
    from ..model.teacher import Teacher
    from .context import StepContext

Role = Literal["generator", "estimator"]


class Gradient(IntEnum):
    """Where an evaluation's gradient flows.

    CONSTANT: nowhere. INPUT: to the state at which the network was evaluated; its parameters are frozen.
    PARAMETERS: to the parameters of the trained network, and to the state.
    """

    CONSTANT = 0
    INPUT = 1
    PARAMETERS = 2


@dataclass(frozen=True, eq=False)
class Network:
    """A network of the step, compared by identity."""

    name: str

    def __repr__(self) -> str:
        return self.name


#: φ, frozen.
TEACHER = Network("teacher")
#: ψ, trained by the estimator's update. The generator's update uses its average if the stage has one.
ESTIMATOR = Network("estimator")
#: θ.
GENERATOR = Network("generator")
#: θ with its weights at the start of the stage, frozen.
START = Network("start")


@dataclass(frozen=True, eq=False)
class Auxiliary(Network):
    """A network that an objective adds; a run trains, checkpoints and restores it.

    Its parameters are trained by the estimator's update, with ψ's optimizer settings.

    Attributes:
        new: builds it from the teacher: a `Denoiser` (``teacher.copy_network``), or any module that the
            objective calls itself (`StepContext.module`).
    """

    new: Callable[[Teacher], nn.Module]


@dataclass(frozen=True, eq=False)
class Average(Network):
    """A moving average of another network's weights, updated after each update of that network.

    Attributes:
        of: the network, `GENERATOR`, `ESTIMATOR` or an `Auxiliary`.
        rate: average ← rate·average + (1 − rate)·weights.
    """

    of: Network
    rate: float


@dataclass(frozen=True, slots=True)
class Point:
    """Where a network is evaluated.

    Attributes:
        e_t: noisy states [B, *state_shape], given entries pinned.
        t_B: their times.
        batch: the batch they belong to.
        s_B: a second time, for networks that take one (flow maps).
        previous: an earlier estimate of x0, for networks with self-conditioning.
        guidance_B: a guidance scale for each sample, for networks that take it as an input.
        temperature: of the token probabilities of which x0 is the mean, for networks that take it.
    """

    e_t: Tensor
    t_B: Tensor
    batch: Batch
    s_B: Tensor | None = None
    previous: Tensor | None = None
    guidance_B: Tensor | None = None
    temperature: float | None = None

    def denoise(self, network: Denoiser, **wanted: Any) -> Denoised:
        """Return what a network predicts here, from the earlier estimate if there is one."""
        if self.previous is not None:
            wanted["previous"] = self.previous
        found: Denoised = network(self.e_t, self.t_B, self.batch, **{**self.inputs_of(network), **wanted})
        return found

    def inputs_of(self, network: nn.Module) -> dict[str, Any]:
        """Return the further inputs of a network here, by keyword; those that it takes."""
        s_B = self.s_B if getattr(network, "second_time", False) else None
        given = {"s_B": s_B, "guidance": self.guidance_B, "temperature": self.temperature}
        return {name: value for name, value in given.items() if value is not None}


class State(ABC):
    """A state of the step, compared by value: equal states are built once.

    A plugin's state is a frozen dataclass whose fields identify it.
    """

    #: Whether its point has a second time. Then a student that is evaluated there takes one.
    second_time: ClassVar[bool] = False

    @property
    def requests(self) -> tuple[Request, ...]:
        """The evaluations from which it is built, `OUTPUT` if it reads ``step.e_fake``."""
        return ()

    @abstractmethod
    def build(self, step: StepContext) -> Point:
        """Return the states. Only evaluations listed in ``requests`` may be read."""


@dataclass(frozen=True, slots=True)
class GeneratorInput(State):
    """Input of θ's call in this step: σ(t_init)·z, or its re-noised previous output (k > 1)."""

    def build(self, step: StepContext) -> Point:
        return step.generator_input


@dataclass(frozen=True, slots=True)
class Noised(State):
    """α_t·e + σ_t·ε with the condition pinned, one t per sample.

    Attributes:
        of: ``output`` is θ's output e = G_θ(c, z); ``real`` the embedding of the real batch, at the same t.
        times: the distribution of t; the stage's for this role if None.
    """

    of: Literal["output", "real"] = "output"
    times: Times | None = None

    @property
    def requests(self) -> tuple[Request, ...]:
        return (OUTPUT,) if self.of == "output" else ()

    def build(self, step: StepContext) -> Point:
        real = self.of == "real"
        batch, e, noise = (
            (step.real, step.e_real, step.real_noise) if real else (step.fake, step.e_fake, step.noise)
        )
        t_B = step.t_B if self.times is None else step.times_of(self.times)
        epsilon = noise.normal("epsilon", step.space.state_shape)
        e_t = step.space.schedule.diffuse(e, t_B, epsilon)
        return Point(step.space.pin(e_t, step.given_of(batch), batch), t_B, batch)


@dataclass(frozen=True, slots=True)
class Request:
    """One evaluation of a network.

    Attributes:
        network: the network to evaluate.
        state: the state and time at which to evaluate it.
        gradient: where its gradient flows. In the estimator's role ψ's evaluations always train ψ.
        features: the layers whose features to return; −1 is the last one.
        tokens: whether to return logits over tokens, from networks that have them.
        exact: whether it is subtracted from an evaluation at another state, and so has to be float32. Several
            networks at one state are float32 in any case.
        guidance: κ of f(∅) + κ·(f(c) − f(∅)); 1 is the plain conditional evaluation.
    """

    network: Network
    state: State
    gradient: Gradient = Gradient.CONSTANT
    features: tuple[int, ...] = ()
    tokens: bool = False
    guidance: float = 1.0
    exact: bool = False

    @property
    def key(self) -> tuple[Network, State, float]:
        """The key under which requests share one pass."""
        return self.network, self.state, self.guidance

    def __or__(self, other: Request) -> Request:
        """Return the request that covers both."""
        return replace(
            self,
            gradient=max(self.gradient, other.gradient),
            features=tuple(sorted({*self.features, *other.features})),
            tokens=self.tokens or other.tokens,
            exact=self.exact or other.exact,
        )


#: θ's output, `StepContext.e_fake`.
OUTPUT = Request(GENERATOR, GeneratorInput(), Gradient.PARAMETERS)


def merged(requests: Iterable[Request]) -> Mapping[tuple[Network, State, float], Request]:
    """Return one request per pass, including those from which states are built."""
    return _merged(tuple(requests))


@lru_cache(maxsize=64)  # each update asks for what the one before it asked for
def _merged(requests: tuple[Request, ...]) -> Mapping[tuple[Network, State, float], Request]:
    plan: dict[tuple[Network, State, float], Request] = {}
    for request in _closure(requests):
        plan[request.key] = plan[request.key] | request if request.key in plan else request
    return plan


def computes_output(role: Role, plan: Mapping[tuple[Network, State, float], Request]) -> bool:
    """Tell whether an update computes θ's output: it is requested, or nothing else would train θ."""
    trains = (trained_in("generator", one.network) and one.gradient > Gradient.INPUT for one in plan.values())
    return OUTPUT.key in plan or (role == "generator" and not any(trains))


def trained_in(role: Role, network: Network) -> bool:
    """Tell whether the update of a role trains a network."""
    if role == "estimator":
        return network is ESTIMATOR or isinstance(network, Auxiliary)
    return network is GENERATOR


def asks_second_time(requests: Iterable[Request]) -> bool:
    """Tell whether the student is evaluated at a state with a second time."""
    return any(one.state.second_time for one in merged(requests).values() if one.network is GENERATOR)


def needs_float32(request: Request, plan: Iterable[Request]) -> bool:
    """Tell whether an evaluation is one of two whose difference is taken, which half precision would bury.

    θ's output is not taken for one of them: it is what the losses train.
    """
    others = (one for one in plan if one.key != OUTPUT.key)
    return request.exact or len({one.network for one in others if one.state == request.state}) > 1


def _closure(requests: Iterable[Request]) -> Iterator[Request]:
    for request in requests:
        yield from _closure(request.state.requests)
        yield request
