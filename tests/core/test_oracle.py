"""Score distillation where everything is known: 1-D Gaussian data, exact teacher, exact score of the student.

The student e = a·z + b must become the data's N(MEAN, STD²), whatever μ and prefactor. The real objectives
run through a real StepContext; only the two networks are formulas.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
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
    Gradient,
    Noise,
    Objective,
    ScoreEstimator,
    StepContext,
    UniformTimes,
)
from dlmone.core.schedule import discrete_schedule
from dlmone.plugins.diff_instruct.objective import DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.testing.known import Gaussian, NumberSpace, gaussian_x0, numbers

MEAN, STD = 1.5, 0.7
SCHEDULE = discrete_schedule("sqrt", 2000)
# SiD's weight averages over the entries of a sample: a single one would make it a function of its error.
BATCH, ENTRIES, STEPS, LEARNING_RATE = 64, 16, 500, 2e-2


class Affine(Denoiser):
    """θ: a·z + b, from z itself; starts narrow and in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.2)), nn.Parameter(torch.tensor(-0.5))

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        return Denoised(self.a * e_t + self.b)


class StudentScore(ScoreEstimator):
    """ψ: the best x0 prediction for what θ writes now; its parameters, a and b, are constants here."""

    def __init__(self, student: Affine) -> None:
        super().__init__()
        self.student = student

    def estimate(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        mean, std = self.student.b.detach(), self.student.a.detach()
        return Denoised(gaussian_x0(SCHEDULE, mean, std, e_t, t_B))


class Draws(Noise):
    """The draws of a whole batch at once: a key a sample would take most of the time here."""

    def __init__(self, seed: int) -> None:
        super().__init__(keys=())
        self.draws = torch.Generator().manual_seed(seed)

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        return torch.randn(BATCH, *shape, generator=self.draws)

    def uniform(self, name: str) -> Tensor:
        return torch.rand(BATCH, generator=self.draws, dtype=torch.float64)


def distil(objective: Objective) -> tuple[float, float]:
    """Return mean and standard deviation of the trained student."""
    student, space = Affine(), NumberSpace(SCHEDULE, ENTRIES)
    generator = DiffusionGenerator(student, space, t_init=1490, unit_input=True)
    networks = {
        TEACHER: Gaussian(SCHEDULE, MEAN, STD),
        ESTIMATOR: StudentScore(student),
        GENERATOR: generator,
    }
    requests = objective.requests("generator")
    assert requests is not None
    batch = numbers(BATCH, ENTRIES)
    optimiser = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE, betas=(0.0, 0.999))
    for seed in range(STEPS):
        step = StepContext(
            role="generator",
            space=space,
            networks=networks,
            requests=requests,
            fake=batch,
            noise=Draws(seed),
            times=UniformTimes(0, 1976),
            real=lambda: batch,
            real_noise=Draws(seed),
        )
        step.backward(objective.generator_loss(step).loss_B.mean())
        optimiser.step()
        optimiser.zero_grad()
    return student.b.item(), abs(student.a.item())


SETTINGS: dict[str, Objective] = {
    **{f"sid, mu {mu}": SiD(SiDOptions(mu=mu)) for mu in (0.0, 0.5, 1.0, 1.2, 1.5)},
    **{f"sid, weight {name}": SiD(SiDOptions(mu=1.0, weighting=name)) for name in ("one", "score", "snr")},
    "diff-instruct": DiffInstruct(DiffInstructOptions()),
}


@pytest.mark.parametrize("objective", SETTINGS.values(), ids=SETTINGS)
def test_the_student_becomes_the_data(objective: Objective) -> None:
    assert distil(objective) == pytest.approx((MEAN, STD), abs=0.01)


class Cut(SiD):
    """SiD with the path through one network's input cut off."""

    def __init__(self, path: str) -> None:
        super().__init__(SiDOptions(mu=1.0))
        setattr(self, path, replace(getattr(self, path), gradient=Gradient.CONSTANT))


@pytest.mark.parametrize(("path", "low", "high"), [("phi", 0.0, 0.6), ("psi", 0.8, 2.0)])
def test_with_a_path_cut_the_student_is_too_narrow_or_too_wide(path: str, low: float, high: float) -> None:
    mean, std = distil(Cut(path))
    assert mean == pytest.approx(MEAN, abs=0.01)
    assert low < std < high
