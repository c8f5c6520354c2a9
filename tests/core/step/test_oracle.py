"""Score distillation where everything is known: 1-D Gaussian data, exact teacher, exact score of the student.

The student e = a·z + b must become the data's N(MEAN, STD²), whatever μ and prefactor. The real objectives
run through a real StepContext; only the two networks are formulas.
"""

from dataclasses import replace

import pytest

from dlmone.core import Gradient, Objective
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.diff_instruct.objective import DMD2, DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions, DMD2Options
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.testing.oracle import distil_gaussian

MEAN, STD = 1.5, 0.7
SCHEDULE = discrete_schedule("sqrt", 2000)

SETTINGS: dict[str, Objective] = {
    **{f"sid, mu {mu}": SiD(SiDOptions(mu=mu)) for mu in (0.0, 0.5, 1.0, 1.2, 1.5)},
    **{f"sid, weight {name}": SiD(SiDOptions(mu=1.0, weighting=name)) for name in ("one", "score", "snr")},
    "diff-instruct": DiffInstruct(DiffInstructOptions()),
    "dmd2": DMD2(DMD2Options()),
}


def distil(objective: Objective) -> tuple[float, float]:
    return distil_gaussian(objective, SCHEDULE, MEAN, STD)


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
