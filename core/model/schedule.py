"""Noise schedules: α(t) and σ(t) of the forward diffusion e_t = α(t)·e + σ(t)·ε (section 3.1).

Nothing here assumes a variance-preserving process: the discrete schedules are (α² + σ² = 1), flow
matching is not (α = 1 − σ), and σ may exceed 1. Everything is computed in float64.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..earlier import Renamed
from ..errors import InputError
from ..transfer import PerDevice, to_device


@dataclass(frozen=True, slots=True)
class TimePoint:
    """A time named in one of three ways: by index (or continuous time), by σ/α, or by quantile.

    σ/α is what carries over from one schedule to another: DLM-One's t_init 1490 and t_max 1976 are the
    DiffuSeq times with the σ/α of SiD-LSG's 625 and 980.
    """

    time: float | None = None
    ratio: float | None = None
    quantile: float | None = None


def expand(values_B: Tensor, like: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, …] so that it multiplies ``like`` [B, …], in ``like``'s dtype."""
    return values_B.to(like.dtype).view(-1, *([1] * (like.dim() - 1)))


class NoiseSchedule(Renamed, ABC):
    """α and σ as functions of time, over the range of times that a teacher was trained on."""

    renamed = MappingProxyType({"first": "min_time", "last": "max_time"})

    #: The trained range, both ends included.
    min_time: float
    max_time: float
    #: Whether times are whole numbers.
    discrete: bool

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Return α(t) in float64, of ``t``'s shape."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Return σ(t) in float64, of ``t``'s shape."""

    @abstractmethod
    def time_of_ratio(self, ratio: float) -> float:
        """Return the time whose σ/α is (nearest to) ``ratio``, unchecked against the trained range."""

    @abstractmethod
    def network_time(self, t: Tensor) -> Tensor:
        """Return what the teacher's network takes as its time input, float32, of ``t``'s shape."""

    def ratio(self, t: Tensor) -> Tensor:
        """Return σ(t)/α(t), the inverse square root of the signal-to-noise ratio, in float64."""
        return self.sigma(t) / self.alpha(t)

    def time_of_quantile(self, quantile: float) -> float:
        """Return the time below which the share ``quantile`` of the trained range lies."""
        time = self.min_time + quantile * (self.max_time - self.min_time)
        return round(time) if self.discrete else time

    def resolve(self, point: TimePoint, name: str = "time") -> float:
        """Turn a time point into a time of this schedule.

        Raises:
            InputError: the point lies outside the trained range; the sentence names the range.
        """
        if point.ratio is not None:
            # A tenth of tolerance: a ratio is met by the nearest index, not exactly.
            low, high = (float(self.ratio(self.tensor(end, 1))) for end in (self.min_time, self.max_time))
            if not low * 0.9 <= point.ratio <= high * 1.1:
                raise InputError(
                    f"{name}: σ/α = {point.ratio:g} is outside the trained range of this schedule, "
                    f"which goes from {low:.4g} to {high:.4g}"
                )
            return min(max(self.time_of_ratio(point.ratio), self.min_time), self.max_time)
        if point.quantile is not None:
            if not 0 <= point.quantile <= 1:
                raise InputError(f"{name}: a quantile lies between 0 and 1, not at {point.quantile:g}")
            return self.time_of_quantile(point.quantile)
        assert point.time is not None
        if not self.min_time <= point.time <= self.max_time:
            raise InputError(
                f"{name}: time {point.time:g} is outside the trained range of this schedule, "
                f"which goes from {self.min_time:g} to {self.max_time:g}"
            )
        if self.discrete and point.time != int(point.time):
            raise InputError(
                f"{name}: this schedule counts time in whole steps, so {point.time:g} is no time"
            )
        return point.time

    def sample(self, uniform_B: Tensor, low: float, high: float) -> Tensor:
        """Map uniform draws in [0, 1) to times in [low, high), upper end excluded as in SiD-LSG.

        Discrete schedules give int64, continuous ones float64.
        """
        if not self.discrete:
            # A draw just below 1 rounds up to ``high`` itself.
            return (low + uniform_B.double() * (high - low)).clamp(max=math.nextafter(high, low))
        span = max(int(high) - int(low), 1)
        return int(low) + (uniform_B.double() * span).floor().clamp(max=span - 1).long()

    def tensor(self, time: float, size: int, device: torch.device | str = "cpu") -> Tensor:
        """Return one time for a whole batch, [size] in the schedule's dtype: a view of one number.

        A network sees by the stride of 0 that the time is one, and can embed it once.
        """
        return torch.full((), time, dtype=self._dtype, device=device).expand(size)

    def tensors(self, times: Sequence[float], device: torch.device | str = "cpu") -> Tensor:
        """Return times as a tensor, [N] in the schedule's dtype; a GPU fetches it while the host goes on."""
        return to_device(torch.tensor(times, dtype=self._dtype), device)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.int64 if self.discrete else torch.float64

    def diffuse(self, e: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """e_t = α_t·e + σ_t·ε, the forward diffusion of section 3.1. Shapes [B, …], dtype of ``e``."""
        return expand(self.alpha(t_B), e) * e + expand(self.sigma(t_B), e) * noise


class DiscreteSchedule(NoiseSchedule):
    """A variance-preserving chain of T steps, given by its β_t (DiffuSeq's arrays, all float64).

    Args:
        betas: [T] float64.
        network_steps: the network is fed t·network_steps/T (DiffuSeq's rescaled timesteps: 1000).
    """

    discrete = True

    def __init__(self, betas: Tensor, network_steps: float | None = 1000.0) -> None:
        if betas.dim() != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas <= 1)).all()):
            raise InputError("a discrete noise schedule needs at least two β between 0 and 1")
        self.betas = betas.double()
        self.alphas_cumprod = torch.cumprod(1 - self.betas, 0)
        alpha_T, sigma_T = self.alphas_cumprod.sqrt(), (1 - self.alphas_cumprod).sqrt()
        self._alpha_sigma_2T = PerDevice(torch.stack([alpha_T, sigma_T]))
        self._beta_alpha_bar_2T = PerDevice(torch.stack([self.betas, self.alphas_cumprod]))
        self.steps = len(betas)
        self.min_time, self.max_time = 0, self.steps - 1
        self.network_scale = 1.0 if network_steps is None else network_steps / self.steps

    def alpha(self, t: Tensor) -> Tensor:
        return self._alpha_sigma_2T.on(t.device)[0][t.long()]

    def sigma(self, t: Tensor) -> Tensor:
        return self._alpha_sigma_2T.on(t.device)[1][t.long()]

    def beta(self, t: Tensor) -> Tensor:
        """Return β_t in float64, of ``t``'s shape."""
        return self._beta_alpha_bar_2T.on(t.device)[0][t.long()]

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Return ᾱ_t = α_t² in float64, of ``t``'s shape."""
        return self._beta_alpha_bar_2T.on(t.device)[1][t.long()]

    def time_of_ratio(self, ratio: float) -> float:
        ratios = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        return int((ratios - ratio).abs().argmin())

    def network_time(self, t: Tensor) -> Tensor:
        return t.to(torch.float32) * self.network_scale


class FlowSchedule(NoiseSchedule):
    """Flow matching: α = 1 − σ with σ = t in [min_time, max_time], a continuous time in (0, 1]."""

    discrete = False

    def __init__(self, min_time: float = 0.001, max_time: float = 1.0) -> None:
        self.min_time, self.max_time = min_time, max_time

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t.double()

    def sigma(self, t: Tensor) -> Tensor:
        return t.double()

    def time_of_ratio(self, ratio: float) -> float:
        return 1 - 1 / (1 + ratio)  # so that an infinite ratio is pure noise, t = 1

    def network_time(self, t: Tensor) -> Tensor:
        return t.to(torch.float32)


def betas_of(alpha_bar: Callable[[float], float], steps: int, limit: float = 0.999) -> Tensor:
    """Discretise a continuous ᾱ(s), s in [0, 1]: β_i = min(1 − ᾱ((i+1)/T)/ᾱ(i/T), limit)."""
    values = [min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), limit) for i in range(steps)]
    return torch.tensor(values, dtype=torch.float64)


def sqrt_betas(steps: int = 2000) -> Tensor:
    """DiffuSeq's (and Diffusion-LM's) schedule: ᾱ(s) = 1 − √(s + 10⁻⁴)."""
    return betas_of(lambda s: 1 - math.sqrt(s + 1e-4), steps)


def cosine_betas(steps: int = 2000) -> Tensor:
    """Nichol & Dhariwal's schedule: ᾱ(s) = cos²(π/2·(s + 0.008)/1.008)."""
    return betas_of(lambda s: math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2, steps)


def linear_betas(steps: int = 2000) -> Tensor:
    """Ho et al.'s schedule, β from 10⁻⁴ to 0.02 at 1,000 steps, scaled so that any T ends alike."""
    scale = 1000 / steps
    return torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64)


DISCRETE_SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "sqrt": sqrt_betas,
    "linear": linear_betas,
    "cosine": cosine_betas,
}


def discrete_schedule(name: str, steps: int, network_steps: float | None = 1000.0) -> DiscreteSchedule:
    """Build a discrete schedule by name.

    Raises:
        InputError: there is no schedule of this name.
    """
    if name not in DISCRETE_SCHEDULES:
        raise InputError(f"there is no noise schedule {name!r}; there are {', '.join(DISCRETE_SCHEDULES)}")
    return DiscreteSchedule(DISCRETE_SCHEDULES[name](steps), network_steps)
