"""Provide one update's inputs: batches, keyed noise, and the evaluations that its objectives request."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import PluginError
from ..model.denoiser import Denoised, Denoiser
from ..model.estimator import ScoreEstimator
from ..model.generator import DiffusionGenerator
from ..model.space import Batch, Space
from ..model.times import Times
from .noise import Noise
from .request import (
    GENERATOR,
    OUTPUT,
    Gradient,
    Network,
    Point,
    Request,
    Role,
    State,
    merged,
    needs_float32,
    trained_in,
)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Freeze the modules' parameters within the context; gradient still flows to their inputs."""
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

    ``step[request]`` is an evaluation. It is computed on first read and cached. Requests for the same
    network, state and guidance share one pass.

    In θ's own update, θ's outputs are detached: objectives receive leaf tensors (`leaves`). The gradient of
    each term is taken there, and `backward` propagates the sum through θ.

    Args:
        role: the role updated.
        space: the space that all networks share.
        networks: by their `Network`; in the generator's role the caller has frozen all but θ.
        requests: those of all objectives active in this role.
        fake: the batch with the conditions c_fake for which θ generates.
        noise: keyed random numbers for it (``z``, ``t``, ``epsilon``).
        times: this role's distribution of t; one t per sample, shared by real and fake.
        real: returns the batch of real pairs; called only if a request needs it.
        real_noise: keyed random numbers for it (``epsilon``); in the paper ε_real is independent of ε_fake.
        calls: (k, K): θ's output is that of the k-th of K network calls; (1, 1) for a one-step student.
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
        with torch.no_grad():  # a space is frozen in distillation
            self.fake = space.encode(fake)
        self.noise = noise
        self.times = times
        self.real_noise = real_noise
        self.calls = calls
        self._real = real
        self._plan = merged(requests)
        self._points: dict[State, Point] = {}
        self._evaluations: dict[tuple[Network, State, float], Denoised] = {}
        # By identity; the batch is kept, so that no other one takes its id.
        self._given: dict[int, tuple[Batch, Tensor]] = {}
        # θ's outputs and their leaves, those of one pass together.
        self._roots: list[list[tuple[Tensor, Tensor]]] = []

    def __getitem__(self, request: Request) -> Denoised:
        """Return an evaluation; if requested as a constant, it carries no gradient.

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
        """Return a state and its time, built on first use."""
        if state not in self._points:
            # The state is cached, so build its graph even if it is first read under no_grad.
            with torch.set_grad_enabled(self.role == "generator"):
                self._points[state] = state.build(self)
        return self._points[state]

    def module(self, network: Network) -> nn.Module:
        """Return a network itself, for an objective that calls it directly (e.g. a discriminator head)."""
        return self.networks[network]

    @property
    def generator(self) -> DiffusionGenerator:
        """θ."""
        return cast(DiffusionGenerator, self.networks[GENERATOR])

    @cached_property
    def real(self) -> Batch:
        """The batch of real pairs."""
        with torch.no_grad():
            return self.space.encode(self._real())

    @cached_property
    def t_B(self) -> Tensor:
        """t from the stage's distribution for this role, one per sample, [B]."""
        return self.times.sample(self.space.schedule, self.noise.uniform("t"))

    def times_of(self, times: Times) -> Tensor:
        """Return t from another distribution with its own random numbers, one per sample, [B]."""
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

    @property
    def given(self) -> Tensor:
        """The fake batch's embedded condition."""
        return self.given_of(self.fake)

    def given_of(self, batch: Batch) -> Tensor:
        """Return the embedded condition of a batch of this step; the reference is hidden in embedding."""
        if id(batch) not in self._given:
            with torch.no_grad():
                self._given[id(batch)] = batch, self.space.embed_condition(batch)
        return self._given[id(batch)][1]

    @cached_property
    def z(self) -> Tensor:
        """θ's noise z, standard normal."""
        return self.noise.normal("z", self.space.state_shape)

    @cached_property
    def generator_input(self) -> Point:
        """Input of θ's k-th call; no gradient flows to the earlier calls."""
        with torch.no_grad():
            return self.generator.input_of(self.fake, self.given, self.noise, *self.calls)

    @cached_property
    def e_fake(self) -> Tensor:
        """e = G_θ(c_fake, z) as the losses see it: a leaf in the generator's role, a constant in ψ's."""
        return self._output.x0

    @cached_property
    def _output(self) -> Denoised:
        with torch.set_grad_enabled(self.role == "generator"):
            found = self._call(GENERATOR, self.generator_input, self._plan.get(OUTPUT.key))
        return self._leaves(found) if self.role == "generator" else found

    @cached_property
    def e_real(self) -> Tensor:
        """E(x_real), exactly the frozen embedding."""
        with torch.no_grad():
            return self.space.embed(self.real)

    @property
    def leaves(self) -> list[Tensor]:
        """The detached outputs of θ at which each term's gradient is taken."""
        return [leaf for of_pass in self._roots for _, leaf in of_pass]

    def backward(self, loss: Tensor, before_last: Callable[[], None] | None = None) -> None:
        """Backpropagate a loss to the parameters that this update trains.

        In θ's role, non-finite gradients at θ's outputs are replaced before they reach θ (SiD).

        Args:
            loss: a number.
            before_last: called before the last call of autograd, after which the gradients are complete; not
                called where no gradient reaches the parameters.
        """
        if loss.requires_grad:
            if before_last and not self._roots:
                before_last()
            torch.autograd.backward(loss)
        # In reverse order: a later output may depend on an earlier one.
        for of_pass in reversed(self._roots):
            slopes = [(root, leaf.grad) for root, leaf in of_pass if leaf.grad is not None]
            if slopes:
                if before_last and of_pass is self._roots[0]:
                    before_last()
                torch.autograd.backward(
                    [root for root, _ in slopes],
                    [slope.nan_to_num(nan=0.0, posinf=1e5, neginf=-1e5) for _, slope in slopes],
                )

    def _evaluate(self, request: Request) -> Denoised:
        if request.key == OUTPUT.key:
            return self._output
        point = self.point(request.state)
        trains = trained_in(self.role, request.network)
        graph = torch.set_grad_enabled(trains or request.gradient > Gradient.CONSTANT)
        with graph, self._precision(request):
            found = self._guided(request, point)
        return self._leaves(found) if trains and self.role == "generator" else found

    def _precision(self, request: Request) -> AbstractContextManager[object]:
        """Return the precision of an evaluation: float32 where its difference from another is taken.

        f_φ − f_ψ starts at 0 and stays small, below the rounding error of either in half precision.
        """
        device = self.fake.tokens_BL.device.type
        if torch.is_autocast_enabled(device) and needs_float32(request, self._plan.values()):
            return torch.autocast(device, enabled=False)
        return nullcontext()

    def _guided(self, request: Request, point: Point) -> Denoised:
        kappa = request.guidance
        if kappa == 1.0:
            return self._call(request.network, point, request)
        if getattr(self.networks[request.network], "takes_guidance", False):
            return self._call(request.network, point, request, guidance=kappa)
        with torch.no_grad():
            null = self.space.encoded_null(point.batch)
        pinned = self.space.pin(point.e_t, self.given_of(null), null)
        without = self._call(request.network, replace(point, e_t=pinned, batch=null))
        with_c = self._call(request.network, point, request)
        return replace(with_c, x0=without.x0 + kappa * (with_c.x0 - without.x0))

    def _call(
        self, network: Network, point: Point, request: Request | None = None, **inputs: float
    ) -> Denoised:
        """Run one evaluation. Only requested keywords are passed, as a network need not accept others."""
        wanted: dict[str, Any] = {**inputs}
        if request:
            layers = tuple(layer for layer in request.features if layer != -1)
            asked = {"features": -1 in request.features, "layers": layers, "tokens": request.tokens}
            wanted |= {name: value for name, value in asked.items() if value}
        module = self.networks[network]
        if isinstance(module, DiffusionGenerator):
            found = module.call(point, **wanted)
            return replace(found, x0=self.space.pin(found.x0, self.given_of(point.batch), point.batch))
        wanted = {**point.inputs_of(module), **wanted}
        if isinstance(module, ScoreEstimator):
            return module.estimate(point.e_t, point.t_B, point.batch, **wanted)
        denoiser = cast(Denoiser, module)
        if point.previous is not None and denoiser.self_conditioning:
            return point.denoise(denoiser, **wanted)
        return denoiser.evaluate(point.e_t, point.t_B, point.batch, **wanted)

    def _leaves(self, found: Denoised) -> Denoised:
        """Detach what θ computed in one pass: x0, and logits where they were requested."""
        roots = [root for root in (found.x0, found.logits_BLV) if root is not None]
        leaves = [root.detach().requires_grad_() for root in roots]
        self._roots.append(list(zip(roots, leaves, strict=True)))
        return Denoised(leaves[0], logits_BLV=leaves[1] if leaves[1:] else None)
