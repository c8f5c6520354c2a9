"""core/model/schedule.py against the official arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dlmone.core.model.schedule import discrete_schedule

OFFICIAL = {
    name: torch.from_numpy(array)
    for name, array in np.load(Path(__file__).parents[2] / "data" / "diffuseq" / "schedules.npz").items()
}


@pytest.mark.parametrize("name", ["sqrt", "linear", "cosine"])
def test_betas_are_the_official_ones(name: str) -> None:
    torch.testing.assert_close(
        discrete_schedule(name, 2000).betas, OFFICIAL[f"betas_{name}"], atol=1e-15, rtol=1e-12
    )


def test_alpha_and_sigma_are_the_official_ones() -> None:
    schedule, every_t = discrete_schedule("sqrt", 2000), torch.arange(2000)
    # The official code recomputes the betas once more, which moves the last bits.
    tolerance = {"atol": 1e-13, "rtol": 1e-11}
    torch.testing.assert_close(schedule.alphas_cumprod, OFFICIAL["alphas_cumprod"], **tolerance)
    torch.testing.assert_close(schedule.alpha(every_t), OFFICIAL["sqrt_alphas_cumprod"], **tolerance)
    torch.testing.assert_close(
        schedule.sigma(every_t), OFFICIAL["sqrt_one_minus_alphas_cumprod"], **tolerance
    )
