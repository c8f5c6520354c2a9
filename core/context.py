"""What one update sees: batches, networks, keyed noise, and evaluations that all objectives share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn

from .denoiser import Denoiser
from .estimator import Estimate, ScoreEstimator
from .generator import DiffusionGenerator
from .noise import Noise
from .objective import Needs, Role, Route
from .space import Batch, Space


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

    Evaluations are computed when first read and kept, so that objectives share them. In the generator's
    role `e_fake` is a leaf cut off from θ: per-term gradients are taken there, and the engine then sends
    their sum through θ (`root`). In the estimator's role it carries no gradient.

    Args:
        role: whose update this is.
        space: the space that all networks share.
        teacher: φ, its parameters frozen.
        estimator: ψ; frozen by the caller in the generator's role.
        generator: θ.
        needs: the union of what the recipe's objectives need in this role.
        fake: the batch whose conditions c_fake the generator writes for.
        noise: keyed draws for it (``z``, ``t``, ``epsilon``).
        t_range: [t_min, t_max), in times of the schedule; one t a sample, shared by real and fake.
        real: returns the batch of real pairs; called only if an objective reads it.
        real_noise: keyed draws for it (``epsilon``); the paper draws ε_real independently of ε_fake.
        calls: (k, K): the fake is the k-th output of a student that writes in K calls. One step is (1, 1).
        start: θ as it was when the stage began, for objectives that need it.
    """

    def __init__(
        self,
        role: Role,
        space: Space,
        teacher: Denoiser,
        estimator: ScoreEstimator,
        generator: DiffusionGenerator,
        needs: Needs,
        fake: Batch,
        noise: Noise,
        t_range: tuple[float, float],
        real: Callable[[], Batch],
        real_noise: Noise,
        calls: tuple[int, int] = (1, 1),
        start: DiffusionGenerator | None = None,
    ) -> None:
        self.role = role
        self.space = space
        self.teacher = teacher
        self.estimator = estimator
        self.generator = generator
        self.needs = needs
        self.fake = fake
        self.noise = noise
        self.t_range = t_range
        self._real = real
        self.real_noise = real_noise
        self.calls = calls
        self.start = start

    @cached_property
    def real(self) -> Batch:
        """The batch of real pairs."""
        return self._real()

    @cached_property
    def t_B(self) -> Tensor:
        """t ~ U[t_min, t_max), one a sample."""
        return self.space.schedule.sample(self.noise.uniform("t"), *self.t_range)

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
    def root(self) -> Tensor:
        """e = G_θ(c_fake, z), with its graph to θ's last call in the generator's role."""
        with torch.set_grad_enabled(self.role == "generator"):
            return self.generator.roll_out(self.fake, self.noise, *self.calls)

    @cached_property
    def e_fake(self) -> Tensor:
        """The generator's output as the losses see it."""
        return self.root.detach().requires_grad_(self.role == "generator")

    @cached_property
    def e_start(self) -> Tensor:
        """What the stage's first θ writes for the same z, in one call and without gradient."""
        assert self.start is not None, "an objective reads e_start without needing it"
        with torch.no_grad():
            return self.start.one_step(self.fake, self.noise.normal("z", self.space.state_shape))

    @cached_property
    def e_t(self) -> Tensor:
        """e_t = α_t·e + σ_t·ε_fake with the condition pinned; differentiable in `e_fake`."""
        epsilon = self.noise.normal("epsilon", self.space.state_shape)
        # A pass without a graph may be the first to read it; those with one must find it whole.
        with torch.set_grad_enabled(self.role == "generator"):
            return self._diffuse(self.e_fake, self.fake, epsilon)

    @cached_property
    def f_phi(self) -> Tensor:
        """ê_φ(e_t, t, c_fake)."""
        with torch.set_grad_enabled(self.needs.teacher is Route.DIFFERENTIABLE), self._precision():
            return self.teacher.denoise(self.e_t, self.t_B, self.fake).x0

    @cached_property
    def estimate(self) -> Estimate:
        """ê_ψ(e_t, t, c_fake) and, where someone needs them, D_ψ's logits, from one pass."""
        wanted = self.role == "estimator" or self.needs.estimator is Route.DIFFERENTIABLE
        with torch.set_grad_enabled(wanted or self.needs.fake_logits), self._precision():
            return self.estimator.estimate(self.e_t, self.t_B, self.fake, logits=self.needs.fake_logits)

    @cached_property
    def fake_logits(self) -> Tensor:
        """D_ψ(e_t, t, c_fake), [B, K]."""
        logits = self.estimate.logits_BK
        assert logits is not None, "an objective reads fake_logits without needing them"
        return logits

    @cached_property
    def e_real(self) -> Tensor:
        """E(x_real), exactly the frozen embedding."""
        with torch.no_grad():
            return self.space.embed(self.real)

    @cached_property
    def real_logits(self) -> Tensor:
        """D_ψ(α_t·E(x_real) + σ_t·ε_real, t, c_real), [B, K], at the t of the fake batch."""
        epsilon = self.real_noise.normal("epsilon", self.space.state_shape)
        e_t = self._diffuse(self.e_real, self.real, epsilon)
        logits = self.estimator.estimate(e_t, self.t_B, self.real, logits=True).logits_BK
        assert logits is not None
        return logits

    def _precision(self) -> AbstractContextManager[object]:
        """Return the precision of φ's and ψ's passes at e_t: float32 in θ's update, else the caller's.

        θ learns from f_φ − f_ψ, which begins at 0 and stays small. Half precision rounds each of the two by
        more than that.
        """
        if self.role == "estimator":
            return nullcontext()
        return torch.autocast(self.fake.tokens_BL.device.type, enabled=False)

    def _diffuse(self, e: Tensor, batch: Batch, epsilon: Tensor) -> Tensor:
        noisy = self.space.schedule.diffuse(e, self.t_B, epsilon)
        return self.space.pin(noisy, self.space.embed(batch).detach(), batch)
