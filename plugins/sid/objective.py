"""SiD (Zhou et al. 2024): θ minimises the Fisher divergence to the teacher, Eq. 4."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dlmone.core import ESTIMATOR, Chart, Gradient, Noised, Request, ScoreDistillation
from dlmone.core.step.losses import sid_loss
from dlmone.core.step.request import Role

from .dropped import Dropped
from .options import SiDOptions


class SiD(ScoreDistillation):
    """Score identity distillation. The generator's gradient runs through the inputs of both φ and ψ.

    With ``mu_lag`` μ adapts to ψ's lag (`dlmone.core.step.losses.estimator_lag`). Eq. 4 takes ψ for the
    generator's score. Its value is w·(1 − μ − lag)·‖d‖², so where μ + lag > 1 a wider gap makes the loss
    smaller. The measured lag lowers μ, which comes back as ψ catches up.

    A negative lag lowers nothing and raises nothing: it is measured while ψ has hardly left φ, as after
    ψ ← φ. Then d is a small part of the true gap, and μ would rise by tens.

    Guidance (Zhou et al. 2024, SiD-LSG): f_φ and f_ψ are f(∅) + κ·(f(c) − f(∅)), and so is what ψ's loss
    regresses onto e, each with a κ of its own. With one κ for ψ in both losses its guided prediction is still
    the best answer E[e | e_t], and f_ψ(c) comes to lie nearer to f_ψ(∅). The lag is defined for that case.
    """

    charts = (*ScoreDistillation.charts[:1], Chart("ψ's lag, and μ", ("estimator_lag", "mu")))
    gradient = Gradient.INPUT

    def __init__(self, options: SiDOptions) -> None:
        super().__init__(options.weighting, options.dsm_weighting)
        self.phi = replace(self.phi, guidance=options.teacher_guidance)
        self.psi = replace(self.psi, guidance=options.estimator_guidance)
        drops = options.guides_estimator and options.condition_dropout > 0
        state = Dropped(options.condition_dropout) if drops else Noised()
        self.dsm = Request(ESTIMATOR, state, guidance=options.dsm_guidance)
        self.options = options
        # Tensors of one entry, from the first update on, where that is computed.
        self.lag: float | Tensor = 0.0
        self.observed: int | Tensor = 0

    @property
    def mu(self) -> float | Tensor:
        """μ of the next update, never above the option's."""
        return self.options.mu - self.options.mu_lag * self.lag

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        return sid_loss(e, f_phi, f_psi, mask, self.mu, weight_B)

    def observe(self, role: Role, means: Mapping[str, Tensor]) -> Mapping[str, float | Tensor]:
        logged = super().observe(role, means)
        if "estimator_lag" not in logged:
            return logged
        # Without a gap there is no lag to learn from.
        seen = means["gap_weighted"] != 0
        self.observed = self.observed + seen
        # Clamped before it is averaged: otherwise the first values would mask later ones for a long time.
        lag = torch.as_tensor(logged["estimator_lag"]).clamp(min=0.0)
        # The plain mean of the first values, an exponential average from then on.
        memory = torch.as_tensor(self.observed).clamp(1, self.options.mu_memory)
        self.lag = self.lag + torch.where(seen, (lag - self.lag) / memory, 0.0)
        return {**logged, "mu": self.mu}

    def state(self) -> Mapping[str, float | Tensor]:
        return {"lag": float(self.lag), "observed": int(self.observed)}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:
        self.lag, self.observed = float(state["lag"]), int(state["observed"])
