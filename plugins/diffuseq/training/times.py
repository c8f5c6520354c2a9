"""Distributions of training times: uniform, by past losses, or mostly noisy times."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlmone.core.transfer import PerDevice

Probabilities = npt.NDArray[np.float64]


class UniformTimes:
    """Uniform times 0 … steps − 1."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._table_2T: PerDevice | None = None

    def probabilities(self) -> Probabilities:
        """Return the probability of each time, [steps] float64."""
        return np.full(self.steps, 1 / self.steps)

    def draw(self, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform draws in [0, 1) to times (int64) and importance weights 1/(steps·p) (float32), [B].

        The weights keep the mean loss unbiased. Times are the inverse of the cumulative distribution,
        which is what numpy's ``choice`` computes.
        """
        if self._table_2T is None:
            p = self.probabilities()
            cumulative = p.cumsum()
            table_2T = np.stack([cumulative / cumulative[-1], 1 / (self.steps * p)])
            self._table_2T = PerDevice(torch.from_numpy(table_2T))
        cumulative_T, weight_T = self._table_2T.on(uniform_B.device)
        t_B = torch.searchsorted(cumulative_T, uniform_B, right=True)
        return t_B, weight_T[t_B].float()

    def observe(self, t_B: Tensor, loss_B: Tensor) -> None:
        """Record unweighted losses, in the given order."""

    def state(self) -> dict[str, Tensor]:
        """Return what has been recorded, for the checkpoint."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""


class LossAwareTimes(UniformTimes):
    """Importance sampling by the second moment of the loss (Nichol & Dhariwal 2021, section 3.3).

    Uniform until every time has a full history of losses.

    Args:
        history: losses kept for each time.
        uniform_prob: share of times that are drawn uniformly.
    """

    def __init__(self, steps: int, history: int = 10, uniform_prob: float = 0.001) -> None:
        super().__init__(steps)
        self.history = history
        self.uniform_prob = uniform_prob
        self.losses = np.zeros((steps, history))
        self.counts = np.zeros(steps, dtype=np.int64)

    def weights(self) -> Probabilities:
        """Return the weight of each time, [steps]: ones before the histories are full, then summing to 1."""
        if (self.counts < self.history).any():
            return np.ones(self.steps)
        moments = np.sqrt(np.square(self.losses).mean(axis=1))
        weights: Probabilities = moments / moments.sum() * (1 - self.uniform_prob)
        return weights + self.uniform_prob / self.steps

    def probabilities(self) -> Probabilities:
        weights = self.weights()
        p: Probabilities = weights / weights.sum()
        return p

    def observe(self, t_B: Tensor, loss_B: Tensor) -> None:
        self._table_2T = None
        for t, loss in zip(t_B.tolist(), loss_B.tolist(), strict=True):
            if np.isfinite(loss):  # a single NaN would spoil every later draw
                self.losses[t, self.counts[t] % self.history] = loss
                self.counts[t] += 1

    def state(self) -> dict[str, Tensor]:
        return {"losses": torch.tensor(self.losses), "counts": torch.tensor(self.counts)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._table_2T = None
        self.losses[:] = state["losses"].cpu().numpy()
        self.counts[:] = state["counts"].cpu().numpy()


class NoisyTimes(UniformTimes):
    """Draw nine times of ten uniformly from ``start`` on, and the tenth from those before it.

    At earlier times a wide embedding still shows its token through the noise, and the loss teaches little.
    There are no importance weights: noisy times count for more from the first step on, whereas
    `LossAwareTimes` first needs ten losses of every time.

    Args:
        start: the first of the frequent times.
        share: probability of these times together.
    """

    def __init__(self, steps: int, start: int, share: float = 0.9) -> None:
        super().__init__(steps)
        self.start = start
        self.share = share if start else 1.0

    def probabilities(self) -> Probabilities:
        p = np.full(self.steps, self.share / (self.steps - self.start))
        p[: self.start] = (1 - self.share) / max(1, self.start)
        return p

    def draw(self, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
        t_B, weight_B = super().draw(uniform_B)
        return t_B, torch.ones_like(weight_B)
