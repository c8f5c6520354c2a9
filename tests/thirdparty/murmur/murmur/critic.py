"""An adversarial objective with a critic of its own, which reads states without noise."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import OUTPUT, Auxiliary, Objective, Request, StepContext, Teacher, Term
from dlmone.core.step.request import Role

from .options import CriticOptions


class StateCritic(nn.Module):
    """One score for the generated entries of a state [B, L, D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.read_in = nn.Conv1d(width, hidden, 3, padding=1)
        self.score = nn.Linear(hidden, 1)

    def forward(self, state: Tensor, mask: Tensor) -> Tensor:
        hidden_BLH = torch.tanh(self.read_in((state * mask).mT).mT) * mask
        scores_B1: Tensor = self.score(hidden_BLH.sum(1) / mask.sum(1))
        return scores_B1[:, 0]


class Critic(Objective):
    """Hinge losses. θ's is weighted by the running share of samples that the critic tells apart.

    A critic at chance has nothing to teach; the share is a tensor, to be checkpointed as one.
    """

    shown = ("share",)

    def __init__(self, options: CriticOptions) -> None:
        self.options = options
        self.share = torch.tensor(0.5, dtype=torch.float64)
        self.critic = Auxiliary("critic", self._new)
        self.auxiliaries = (self.critic,)

    def _new(self, teacher: Teacher) -> nn.Module:
        return StateCritic(teacher.space.state_shape[-1], self.options.hidden)

    def requests(self, role: Role) -> Sequence[Request]:
        return (OUTPUT,)

    def generator_loss(self, step: StepContext) -> Term:
        weight = 2 * (self.share - 0.5).abs().float()
        return Term(-(weight + 0.1) * self._score(step, step.e_fake, step.mask), {})

    def estimator_loss(self, step: StepContext) -> Term:
        real_B = self._score(step, step.e_real, step.space.generated(step.real))
        fake_B = self._score(step, step.e_fake, step.mask)
        right_B = ((real_B > 0).double() + (fake_B < 0).double()) / 2
        return Term(functional.relu(1 - real_B) + functional.relu(1 + fake_B), {"right": right_B})

    def _score(self, step: StepContext, state: Tensor, mask: Tensor) -> Tensor:
        scores_B: Tensor = step.module(self.critic)(state, mask)
        return scores_B

    def observe(self, role: Role, means: Mapping[str, float]) -> Mapping[str, float]:
        if role == "estimator":
            self.share = self.options.memory * self.share + (1 - self.options.memory) * means["right"]
        return {"share": float(self.share)}

    def state(self) -> Mapping[str, Tensor]:
        return {"share": self.share}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:
        self.share = torch.as_tensor(state["share"], dtype=torch.float64)
