"""What an objective asks of the networks: evaluations, as requests that are merged and made once each.

An objective lists its requests for a role; everything else follows from the list: which networks there are,
what an update costs, and where gradient flows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from .denoiser import Denoiser
from .space import Batch
from .times import Times

if TYPE_CHECKING:
    from .context import StepContext
    from .teacher import Teacher

Role = Literal["generator", "estimator"]


class Gradient(IntEnum):
    """How gradient flows out of an evaluation.

    CONSTANT: not at all. INPUT: to the state the network was evaluated at, past its frozen parameters.
    PARAMETERS: to the parameters of the network that the update trains, and to the state.
    """

    CONSTANT = 0
    INPUT = 1
    PARAMETERS = 2


@dataclass(frozen=True, eq=False)
class Network:
    """A network of the step, by identity."""

    name: str

    def __repr__(self) -> str:
        return self.name


#: φ, frozen.
TEACHER = Network("teacher")
#: ψ: trained by the estimator's update; its average in the generator's, where the stage keeps one.
ESTIMATOR = Network("estimator")
#: θ.
GENERATOR = Network("generator")
#: θ as it was when its stage began, frozen.
START = Network("start")


@dataclass(frozen=True, eq=False)
class Auxiliary(Network):
    """A network that an objective brings; the engine trains, checkpoints and restores it.

    Its parameters are trained by the estimator's update, with ψ's optimizer settings.

    Attributes:
        new: builds it from the teacher: a `Denoiser` (``teacher.copy_network``), or any module that the
            objective calls itself (`StepContext.module`).
    """

    new: Callable[[Teacher], nn.Module]


@dataclass(frozen=True, eq=False)
class Average(Network):
    """A moving average of another network's weights, updated whenever that network is.

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
        previous: the estimate of x0 that sampling led here with, for networks with self-conditioning.
    """

    e_t: Tensor
    t_B: Tensor
    batch: Batch
    s_B: Tensor | None = None
    previous: Tensor | None = None

    def call(self, network: Denoiser) -> Tensor:
        """Return the x0 that a network predicts here, [B, *state_shape]."""
        carried = {} if self.previous is None else {"previous": self.previous}
        return network.denoise(self.e_t, self.t_B, self.batch, **carried).x0


class State(ABC):
    """A state of the step, by value: equal states are built once.

    A plugin's state is a frozen dataclass with what tells it from others of its kind.
    """

    @property
    def requests(self) -> tuple[Request, ...]:
        """The evaluations that it is built from."""
        return ()

    @abstractmethod
    def build(self, step: StepContext) -> Point:
        """Return the states, reading no evaluation that ``requests`` does not list."""


@dataclass(frozen=True, slots=True)
class GeneratorInput(State):
    """What θ's call of this step is given: σ(t_init)·z, or its re-noised previous output (k > 1)."""

    def build(self, step: StepContext) -> Point:
        return step.generator_input


@dataclass(frozen=True, slots=True)
class Noised(State):
    """α_t·e + σ_t·ε with the condition pinned, one t a sample.

    Attributes:
        of: ``output`` is θ's output e = G_θ(c, z); ``real`` the embedding of the real batch, at the same t.
        times: how t is drawn; as the stage says for this role if None.
    """

    of: Literal["output", "real"] = "output"
    times: Times | None = None

    def build(self, step: StepContext) -> Point:
        real = self.of == "real"
        batch, e, noise = (
            (step.real, step.e_real, step.real_noise) if real else (step.fake, step.e_fake, step.noise)
        )
        t_B = step.t_B if self.times is None else step.times_of(self.times)
        epsilon = noise.normal("epsilon", step.space.state_shape)
        e_t = step.space.schedule.diffuse(e, t_B, epsilon)
        return Point(step.space.pin(e_t, e if real else step.given, batch), t_B, batch)


@dataclass(frozen=True, slots=True)
class Request:
    """One evaluation of a network.

    Attributes:
        network: which.
        state: where.
        gradient: how gradient flows out of it. In the estimator's role ψ's evaluations always train ψ.
        features: the layers whose features are wanted, −1 the last one.
        tokens: whether logits over tokens are wanted, from networks that have them.
        guidance: κ of f(∅) + κ·(f(c) − f(∅)); 1 is the plain conditional evaluation.
    """

    network: Network
    state: State
    gradient: Gradient = Gradient.CONSTANT
    features: tuple[int, ...] = ()
    tokens: bool = False
    guidance: float = 1.0

    @property
    def key(self) -> tuple[Network, State, float]:
        """What makes two requests one pass."""
        return self.network, self.state, self.guidance

    def __or__(self, other: Request) -> Request:
        """Return the request that answers both."""
        return replace(
            self,
            gradient=max(self.gradient, other.gradient),
            features=tuple(sorted({*self.features, *other.features})),
            tokens=self.tokens or other.tokens,
        )


def merged(requests: Iterable[Request]) -> dict[tuple[Network, State, float], Request]:
    """Return one request a pass, those that states are built from included."""
    plan: dict[tuple[Network, State, float], Request] = {}
    for request in _closure(requests):
        plan[request.key] = plan[request.key] | request if request.key in plan else request
    return plan


def trained_in(role: Role, network: Network) -> bool:
    """Tell whether the update of a role trains a network."""
    if role == "estimator":
        return network is ESTIMATOR or isinstance(network, Auxiliary)
    return network is GENERATOR


def compared(plan: Iterable[Request], state: State) -> bool:
    """Tell whether several networks are evaluated at a state, so that their difference may be taken."""
    return len({request.network for request in plan if request.state == state}) > 1


def _closure(requests: Iterable[Request]) -> Iterator[Request]:
    for request in requests:
        yield from _closure(request.state.requests)
        yield request
