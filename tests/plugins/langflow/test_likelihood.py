"""plugins/langflow/likelihood.py: official bounds; and the benchmark that prints one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch
from dlmone.plugins.langflow.likelihood import Bound, SelfConditioning, quantiles
from dlmone.plugins.langflow.teacher import LangFlowTeacher

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "teachers"))
from likelihood import bound_of

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[[Tensor], Batch]


@pytest.mark.parametrize(
    ("name", "method", "self_conditioning", "masked"),
    [
        ("heun2_self", "heun", "detached", False),
        ("euler_self", "euler", "detached", False),
        ("heun2_noself", "heun", "none", False),
        ("heun2_self_masked", "heun", "detached", True),
        ("heun2_chain_rule", "heun", "followed", False),
    ],
)
def test_the_bound_along_the_flow_is_official(
    small: LangFlowTeacher,
    official: Official,
    batch_of: BatchOf,
    name: str,
    method: Literal["euler", "heun"],
    self_conditioning: SelfConditioning,
    masked: bool,
) -> None:
    wanted = official("nll")
    grid = wanted["euler_self.sqrt_snr_grid" if method == "euler" else "heun2_self.sqrt_snr_grid"]
    times = small.space.schedule.time_of_gamma(-2 * grid.double().log()).tolist()
    counted_BL = wanted["attention_mask"] if masked else None
    bound = Bound(small.network, small.space, batch_of(wanted["input_ids"]), counted_BL, self_conditioning)
    found = bound.by_flow(wanted["eps"], iter(wanted["u"]), times, method)
    # The first part is a few thousandths of a nat, of float32 sums.
    torch.testing.assert_close(found.reconstruction_B, wanted[f"{name}.reconst_nll"], rtol=0, atol=1e-5)
    for key, values_B in (("int_nll", found.path_B), ("prior_nll", found.prior_B), ("nll", found.nll_B)):
        torch.testing.assert_close(values_B, wanted[f"{name}.{key}"], rtol=1e-5, atol=0)
    tokens_B = bound.counted_BL1.sum((1, 2))
    assert torch.equal(tokens_B.long(), wanted[f"{name}.num_valid_tokens"])


def test_the_bound_of_the_sde_is_official(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf
) -> None:
    wanted = official("nll")
    bound = Bound(small.network, small.space, batch_of(wanted["input_ids"]))
    draws = list(zip(wanted["sde.q"], wanted["u"], strict=False))
    found = bound.by_diffusion(wanted["eps"], draws)
    torch.testing.assert_close(found.reconstruction_B, wanted["sde.reconst_nll"], rtol=0, atol=1e-5)
    for key, values_B in (("int_nll", found.path_B), ("prior_nll", found.prior_B), ("nll", found.nll_B)):
        torch.testing.assert_close(values_B, wanted[f"sde.{key}"], rtol=1e-5, atol=0)


def test_the_grid_is_the_official_one(small: LangFlowTeacher, official: Official) -> None:
    times = quantiles(small.space, 4)
    s_N = 1 / small.space.schedule.ratio(torch.tensor(times, dtype=torch.float64))
    # Both ends are off by the official code's float32.
    torch.testing.assert_close(s_N.float()[1:-1], official("nll")["heun2_self.sqrt_snr_grid"][1:-1])
    assert times == [1e-5, 0.25, 0.5, 0.75, 1 - 1e-5]


@pytest.mark.parametrize("by", ["flow", "diffusion"])
def test_the_benchmarks_bound_of_a_row_depends_on_the_row_alone(
    small: LangFlowTeacher, official: Official, by: Literal["flow", "diffusion"]
) -> None:
    ids_BL = official("nll")["input_ids"]
    names = tuple(str(row) for row in range(len(ids_BL)))
    batch = Batch(names, ids_BL, torch.ones_like(ids_BL, dtype=torch.bool))
    whole_B = bound_of(small, batch, by, 3, seed=5).nll_B
    alone = [bound_of(small, batch[row : row + 1], by, 3, seed=5).nll_B for row in range(len(names))]
    torch.testing.assert_close(torch.cat(alone), whole_B, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(bound_of(small, batch, by, 3, seed=6).nll_B, whole_B)
