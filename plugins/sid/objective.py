"""SiD (Zhou et al. 2024): θ minimises the Fisher divergence to the teacher, Eq. 4."""

from collections.abc import Mapping

from torch import Tensor

from dlmone.core import Route, ScoreDistillation
from dlmone.core.losses import sid_loss
from dlmone.core.objective import Role

from .options import SiDOptions


class SiD(ScoreDistillation):
    """Score identity distillation. The generator's gradient runs through the inputs of both φ and ψ.

    With ``mu_lag`` μ adapts. Eq. 4 takes ψ for the generator's score, and leans on it the more the larger μ
    is: its value is w·(1 − μ − lag)·‖d‖², and where μ + lag > 1 a wider gap makes it smaller. So μ is lowered
    by the measured lag, and comes back as ψ catches up.
    """

    route = Route.DIFFERENTIABLE

    def __init__(self, options: SiDOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)
        self.options = options
        self.lag = 0.0
        self.observed = 0

    @property
    def mu(self) -> float:
        """μ as the lag has it now."""
        return self.options.mu - self.options.mu_lag * self.lag

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return sid_loss(e, f_phi, f_psi, mask, self.mu, weight_B)

    def observe(self, role: Role, means: Mapping[str, float]) -> Mapping[str, float]:
        noted = super().observe(role, means)
        if "estimator_lag" not in noted:
            return noted
        self.observed += 1
        # The plain mean of the first values, an exponential average from then on.
        self.lag += (noted["estimator_lag"] - self.lag) / min(self.observed, self.options.mu_memory)
        return {**noted, "mu": self.mu}

    def state(self) -> Mapping[str, float]:
        return {"lag": self.lag, "observed": self.observed}

    def load_state(self, state: Mapping[str, float]) -> None:
        self.lag, self.observed = state["lag"], int(state["observed"])
