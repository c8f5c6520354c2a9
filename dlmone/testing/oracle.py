"""Distillation where everything is known: Gaussian data, the exact teacher, the student's exact score."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    Denoiser,
    DiffusionGenerator,
    Noise,
    NoiseSchedule,
    Objective,
    ScoreEstimator,
    Space,
    StepContext,
    UniformTimes,
)

from .known import Gaussian, NumberSpace, gaussian_x0, numbers

#: SiD's weight averages over the entries of a sample: a single one would make it a function of its error.
BATCH, ENTRIES = 64, 16


class AffineStudent(Denoiser):
    """θ: a·z + b, from z itself; starts narrow and in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.2)), nn.Parameter(torch.tensor(-0.5))

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        return Denoised(self.a * e_t + self.b)


class ExactEstimator(ScoreEstimator):
    """ψ: the optimal x0 prediction for θ's current outputs; θ's parameters, a and b, are constants here."""

    def __init__(self, schedule: NoiseSchedule, student: AffineStudent) -> None:
        super().__init__()
        self.schedule, self.student = schedule, student

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        mean, std = self.student.b.detach(), self.student.a.detach()
        return Denoised(gaussian_x0(self.schedule, mean, std, e_t, t_B))


class BatchNoise(Noise):
    """The draws of a whole batch at once: a key a sample would take most of the time here."""

    def __init__(self, seed: int) -> None:
        super().__init__(keys=())
        self.seed = seed

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        return torch.randn(BATCH, *shape, generator=self._draws(name))

    def uniform(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        return torch.rand(BATCH, *shape, generator=self._draws(name), dtype=torch.float64)

    def _draws(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))


def distil_gaussian(
    objective: Objective,
    schedule: NoiseSchedule,
    mean: float,
    std: float,
    *,
    estimator: Callable[[AffineStudent], ScoreEstimator] | None = None,
    teacher: Denoiser | None = None,
    space: Space | None = None,
    batch: Batch | None = None,
    steps: int = 500,
    learning_rate: float = 2e-2,
) -> tuple[float, float]:
    """Train an affine one-step student by θ's term alone; return its mean and standard deviation.

    Args:
        objective: the real one, on a real step.
        schedule: of the diffusion; t is uniform on all but its last hundredth.
        mean: of the data.
        std: of the data.
        estimator: makes ψ for a student; the exact one if None.
        teacher: φ; the exact one if None.
        space: of the networks; that of plain numbers if None.
        batch: the conditions; none if None.
        steps: updates of θ.
        learning_rate: of Adam.
    """
    student, space = AffineStudent(), space or NumberSpace(schedule, ENTRIES)
    networks = {
        TEACHER: teacher or Gaussian(schedule, mean, std),
        ESTIMATOR: estimator(student) if estimator else ExactEstimator(schedule, student),
        GENERATOR: DiffusionGenerator(student, space, schedule.time_of_quantile(0.75), unit_input=True),
    }
    requests = objective.requests("generator")
    assert requests is not None
    conditions = numbers(BATCH, ENTRIES) if batch is None else batch
    times = UniformTimes(schedule.min_time, schedule.time_of_quantile(0.99))
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate, betas=(0.0, 0.999))
    for seed in range(steps):
        step = StepContext(
            role="generator",
            space=space,
            networks=networks,
            requests=requests,
            fake=conditions,
            noise=BatchNoise(seed),
            times=times,
            real=lambda: conditions,
            real_noise=BatchNoise(seed),
        )
        step.backward(objective.generator_loss(step).loss_B.mean())
        optimizer.step()
        optimizer.zero_grad()
    return student.b.item(), abs(student.a.item())
