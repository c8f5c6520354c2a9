"""Provide data with a known score and analytic teachers, to check samplers and objectives."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone.core import Batch, Denoised, Denoiser, Example, NoiseSchedule, Space
from dlmone.core.model.schedule import expand


class NumberSpace(Space):
    """States of ``length`` numbers, which are the tokens themselves; rounding goes to the nearest integer."""

    conditional = True

    def __init__(self, schedule: NoiseSchedule, length: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.state_shape = (length,)

    def collate(self, examples: Sequence[Example]) -> Batch:
        raise NotImplementedError("numbers have no text: make the batch with `numbers`")

    def embed(self, batch: Batch) -> Tensor:
        return batch.tokens_BL.float()

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        return state.round().long()

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        raise NotImplementedError("numbers have no text")

    def source_text(self, batch: Batch) -> list[str]:
        raise NotImplementedError("numbers have no text")

    def round(self, state: Tensor) -> Tensor:
        return state.round()


def numbers(size: int, length: int, token: int = 0, given: int = 0) -> Batch:
    """Return a batch of one repeated token, of which the first ``given`` positions are the condition."""
    target_BL = torch.arange(length).expand(size, -1) >= given
    return Batch(tuple(f"example-{i}" for i in range(size)), torch.full((size, length), token), target_BL)


def gaussian_x0(
    schedule: NoiseSchedule, mean: float | Tensor, std: float | Tensor, e_t: Tensor, t_B: Tensor
) -> Tensor:
    """Return E[e | e_t] for independent e ~ N(mean, std²): m + α·s²/(α²s² + σ²)·(e_t − α·m)."""
    alpha, sigma = expand(schedule.alpha(t_B), e_t), expand(schedule.sigma(t_B), e_t)
    gain = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
    return mean + gain * (e_t - alpha * mean)


class Gaussian(Denoiser):
    """The exact x0 prediction for data N(mean, std²); it has nothing to learn."""

    def __init__(self, schedule: NoiseSchedule, mean: float, std: float) -> None:
        super().__init__()
        self.schedule, self.mean, self.std = schedule, mean, std

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        return Denoised(gaussian_x0(self.schedule, self.mean, self.std, e_t, t_B))


class Coin(Denoiser):
    """The exact x0 prediction for data that is +1 or −1, as likely: tanh(α·e_t/σ²)."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.schedule = schedule

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        alpha, sigma = expand(self.schedule.alpha(t_B), e_t), expand(self.schedule.sigma(t_B), e_t)
        return Denoised(torch.tanh(alpha * e_t / sigma**2))
