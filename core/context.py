"""What one update sees: batches, keyed noise, and the evaluations that its objectives requested."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from .denoiser import Denoised, Denoiser
from .errors import PluginError
from .estimator import ScoreEstimator
from .generator import DiffusionGenerator
from .noise import Noise
from .request import (
    GENERATOR,
    GeneratorInput,
    Gradient,
    Network,
    Point,
    Request,
    Role,
    State,
    compared,
    merged,
    trained_in,
)
from .space import Batch, Space
from .times import Times


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Within, the modules' parameters take no gradient; their inputs still pass it on."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


class StepContext:
    """One update of Algorithm 1 for one (micro)batch.

    ``step[request]`` is an evaluation. Each is made when it is first read, in one pass for all requests of
    the same network, state and guidance, and kept.

    What θ computes in its own update is cut off from θ: the objectives see a leaf, at which the gradient of
    each term is taken (`leaves`), and `backward` then sends their sum through θ.

    Args:
        role: whose update this is.
        space: the space that all networks share.
        networks: by what requests call them; in the generator's role all but θ are frozen by the caller.
        requests: of all objectives that take part in this role.
        fake: the batch whose conditions c_fake θ generates for.
        noise: keyed draws for it (``z``, ``t``, ``epsilon``).
        times: how t is drawn in this role; one t a sample, shared by real and fake.
        real: returns the batch of real pairs; called only if a request needs it.
        real_noise: keyed draws for it (``epsilon``); the paper draws ε_real independently of ε_fake.
        calls: (k, K): θ's output is the k-th of a student that samples in K calls. One step is (1, 1).
    """

    def __init__(
        self,
        role: Role,
        space: Space,
        networks: Mapping[Network, nn.Module],
        requests: Iterable[Request],
        fake: Batch,
        noise: Noise,
        times: Times,
        real: Callable[[], Batch],
        real_noise: Noise,
        calls: tuple[int, int] = (1, 1),
    ) -> None:
        self.role = role
        self.space = space
        self.networks = networks
        self.fake = space.encode(fake)
        self.noise = noise
        self.times = times
        self.real_noise = real_noise
        self.calls = calls
        self._real = real
        self._plan = merged(requests)
        self._points: dict[State, Point] = {}
        self._evaluations: dict[tuple[Network, State, float], Denoised] = {}
        self._roots: list[tuple[Tensor, Tensor]] = []

    def __getitem__(self, request: Request) -> Denoised:
        """Return an evaluation; what was requested as a constant carries no gradient.

        Raises:
            PluginError: no objective of this update requested it.
        """
        plan = self._plan.get(request.key)
        if plan is None or plan | request != plan:
            raise PluginError(f"an objective reads {request}, which the requests of no objective cover")
        if request.key not in self._evaluations:
            self._evaluations[request.key] = self._evaluate(plan)
        found = self._evaluations[request.key]
        constant = request.gradient is Gradient.CONSTANT and not trained_in(self.role, request.network)
        return found.detach() if constant else found

    def point(self, state: State) -> Point:
        """Return a state and its time, built when first asked for."""
        if state not in self._points:
            # A pass without a graph may be the first to ask; those with one must find it whole.
            with torch.set_grad_enabled(self.role == "generator"):
                self._points[state] = state.build(self)
        return self._points[state]

    def module(self, network: Network) -> nn.Module:
        """Return a network itself, for what an objective computes with it at little cost (a head)."""
        return self.networks[network]

    @property
    def generator(self) -> DiffusionGenerator:
        """θ."""
        return cast(DiffusionGenerator, self.networks[GENERATOR])

    @cached_property
    def real(self) -> Batch:
        """The batch of real pairs."""
        return self.space.encode(self._real())

    @cached_property
    def t_B(self) -> Tensor:
        """t by the stage's distribution for this role, one a sample."""
        return self.times.sample(self.space.schedule, self.noise.uniform("t"))

    def times_of(self, times: Times) -> Tensor:
        """t by another distribution, from draws of its own."""
        return times.sample(self.space.schedule, self.noise.uniform(f"t {times}"))

    @cached_property
    def alpha_B(self) -> Tensor:
        """α_t, float64."""
        return self.space.schedule.alpha(self.t_B)

    @cached_property
    def sigma_B(self) -> Tensor:
        """σ_t, float64."""
        return self.space.schedule.sigma(self.t_B)

    @cached_property
    def mask(self) -> Tensor:
        """True at generated entries of the fake batch, broadcastable to states."""
        return self.space.generated(self.fake)

    @cached_property
    def given(self) -> Tensor:
        """The condition's states of the fake batch, embedded without sight of its reference."""
        with torch.no_grad():
            return self.space.embed_condition(self.fake)

    @cached_property
    def z(self) -> Tensor:
        """θ's noise z, standard normal."""
        return self.noise.normal("z", self.space.state_shape)

    @cached_property
    def generator_input(self) -> Point:
        """What θ's k-th call is given; without gradient to the calls before it."""
        with torch.no_grad():
            return self.generator.input_of(self.fake, self.given, self.noise, *self.calls)

    @cached_property
    def e_fake(self) -> Tensor:
        """e = G_θ(c_fake, z) as the losses see it: a leaf in the generator's role, a constant in ψ's."""
        if self.role == "estimator":
            with torch.no_grad():
                return self._call(GENERATOR, self.generator_input).x0
        return self._leaf(self._call(GENERATOR, self.generator_input).x0)

    @cached_property
    def e_real(self) -> Tensor:
        """E(x_real), exactly the frozen embedding."""
        with torch.no_grad():
            return self.space.embed(self.real)

    @property
    def leaves(self) -> list[Tensor]:
        """What θ computed in its own update, as the objectives see it."""
        return [leaf for _, leaf in self._roots]

    def backward(self, loss: Tensor) -> None:
        """Send a loss's gradient to the parameters that this update trains.

        In θ's role what is not finite at θ's outputs does not reach θ (SiD).
        """
        if loss.requires_grad:
            torch.autograd.backward(loss)
        # The last first: a later output may have been computed from an earlier one.
        for root, leaf in reversed(self._roots):
            if leaf.grad is not None:
                torch.autograd.backward(root, leaf.grad.nan_to_num(nan=0.0, posinf=1e5, neginf=-1e5))

    def _evaluate(self, request: Request) -> Denoised:
        if request.network is GENERATOR and request.state == GeneratorInput() and request.guidance == 1.0:
            return Denoised(self.e_fake)
        point = self.point(request.state)
        trains = trained_in(self.role, request.network)
        graph = torch.set_grad_enabled(trains or request.gradient > Gradient.CONSTANT)
        with graph, self._precision(request.state):
            found = self._guided(request, point)
        if trains and self.role == "generator":
            return replace(found, x0=self._leaf(found.x0))
        return found

    def _precision(self, state: State) -> AbstractContextManager[object]:
        """Return the precision of the evaluations at a state: float32 where several networks are compared.

        f_φ − f_ψ begins at 0 and stays small. Half precision rounds each of the two by more than that.
        """
        if not compared(self._plan.values(), state):
            return nullcontext()
        return torch.autocast(self.fake.tokens_BL.device.type, enabled=False)

    def _guided(self, request: Request, point: Point) -> Denoised:
        kappa = request.guidance
        if kappa == 1.0:
            return self._call(request.network, point, request)
        network = self.networks[request.network]
        if isinstance(network, Denoiser) and network.takes_guidance:
            return self._call(request.network, point, request, guidance=kappa)
        null = self.space.encode(self.space.null_condition(point.batch))
        pinned = self.space.pin(point.e_t, self.space.embed_condition(null), null)
        without = self._call(request.network, replace(point, e_t=pinned, batch=null))
        with_c = self._call(request.network, point, request)
        return replace(with_c, x0=without.x0 + kappa * (with_c.x0 - without.x0))

    def _call(
        self, network: Network, point: Point, request: Request | None = None, **inputs: float
    ) -> Denoised:
        """Make one evaluation, passing only what is wanted: a network takes the arguments it knows."""
        wanted: dict[str, Any] = {**inputs}
        if request and -1 in request.features:
            wanted["features"] = True
        if request and (layers := tuple(layer for layer in request.features if layer != -1)):
            wanted["layers"] = layers
        if request and request.tokens:
            wanted["tokens"] = True
        if point.s_B is not None:
            wanted["s_B"] = point.s_B
        module = self.networks[network]
        if isinstance(module, ScoreEstimator):
            return module.estimate(point.e_t, point.t_B, point.batch, **wanted)
        if isinstance(module, DiffusionGenerator):
            if point.previous is not None:
                wanted["previous"] = point.previous
            found = module.network.denoise(point.e_t, point.t_B, point.batch, **wanted)
            given = self.given if point.batch is self.fake else self.space.embed_condition(point.batch)
            return replace(found, x0=self.space.pin(found.x0, given, point.batch))
        return cast(Denoiser, module).evaluate(point.e_t, point.t_B, point.batch, **wanted)

    def _leaf(self, root: Tensor) -> Tensor:
        leaf = root.detach().requires_grad_()
        self._roots.append((root, leaf))
        return leaf
