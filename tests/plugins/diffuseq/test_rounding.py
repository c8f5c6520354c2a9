"""The best row of a table for each state: the CPU's path and the Triton kernels against float64.

The kernels run on the GPU where there is one, and otherwise under Triton's interpreter.
"""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlmone.plugins.diffuseq import rounding
from dlmone.plugins.diffuseq.rounding import best_logit, nearest_row

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Best = Callable[[Tensor, Tensor, Tensor | None], Tensor]
FORMATS = [torch.float32, torch.bfloat16]
on_both_paths = pytest.mark.parametrize("path", ["vectorised", "kernel"])


def by_cpu(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    return nearest_row(x_ND, table_VD) if bias_V is None else best_logit(x_ND, table_VD, bias_V)


def by_kernel(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if DEVICE == "cpu" and version("triton").startswith("3.2."):
        pytest.skip("the interpreter of Triton 3.2, which PyTorch 2.6 has, can't run these kernels")
    from dlmone.plugins.diffuseq.kernels import best_row

    bias_V = None if bias_V is None else bias_V.to(DEVICE)
    return best_row(x_ND.to(DEVICE), table_VD.to(DEVICE), bias_V).cpu()


PATHS: dict[str, Best] = {"vectorised": by_cpu, "kernel": by_kernel}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small inputs reach past a tile, and past a pass over the states."""
    monkeypatch.setattr(rounding, "STATES", 7)
    monkeypatch.setattr(rounding, "TILE", 7 * 2 * rounding.GROUP)
    monkeypatch.setattr(rounding, "RESCORED", 3)
    if find_spec("triton") is not None:
        from dlmone.plugins.diffuseq import kernels

        monkeypatch.setattr(kernels, "_STATES", 16)
        monkeypatch.setattr(kernels, "_PASS", 19)


def scores_in_float64(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    x_ND, table_VD = x_ND.double(), table_VD.double()
    if bias_V is None:
        return -(x_ND[:, None] - table_VD).square().sum(2)
    return x_ND @ table_VD.T + bias_V.double()


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check(
    path: str, seed: int, states: int, rows: int, width: int, format: torch.dtype, biased: bool, spread: float
) -> None:
    """Rows lie ``spread`` apart, around one point: bfloat16 cannot tell them apart where that is little."""
    table_VD = (numbers(seed, 1, width) + spread * numbers(seed + 1, rows, width)).to(format)
    x_ND, bias_V = numbers(seed + 2, states, width).to(format), spread * numbers(seed + 3, rows)
    expected_NV = scores_in_float64(x_ND, table_VD, bias_V if biased else None)
    found_N = PATHS[path](x_ND, table_VD, bias_V if biased else None)
    assert found_N.dtype == torch.int64
    # Equal scores in float64 may differ in their last bit, depending on the order of the sum.
    found_score_N = expected_NV.gather(1, found_N[:, None])[:, 0]
    torch.testing.assert_close(found_score_N, expected_NV.amax(1), rtol=1e-12, atol=1e-12)


problems = {
    "seed": st.integers(0, 2**32),
    "format": st.sampled_from(FORMATS),
    "biased": st.booleans(),
    "spread": st.sampled_from([1.0, 1e-2, 1e-4]),
}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.integers(1, 30), rows=st.integers(1, 150), width=st.integers(1, 40), **problems)
def test_the_vectorised_path_finds_what_float64_finds(**problem: object) -> None:
    check("vectorised", **problem)  # type: ignore[arg-type]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.integers(1, 3), rows=st.integers(1, 300), width=st.integers(1, 40), **problems)
@example(states=20, rows=140, width=16, seed=0, format=torch.float32, biased=False, spread=1e-2)
@example(states=2, rows=33, width=150, seed=0, format=torch.bfloat16, biased=True, spread=1.0)
def test_the_kernels_find_what_float64_finds(**problem: object) -> None:
    check("kernel", **problem)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", FORMATS)
def test_either_format_of_the_screen_gives_float64s_rows(
    monkeypatch: pytest.MonkeyPatch, format: torch.dtype
) -> None:
    monkeypatch.setattr(rounding, "bfloat16_pays", lambda device: format is torch.bfloat16)
    for seed, spread in enumerate([1.0, 1e-2, 1e-4] * 3):
        check("vectorised", seed, 20, 200, 24, torch.float32, seed % 2 == 0, spread)


@on_both_paths
def test_the_first_of_equal_rows_wins(path: str) -> None:
    rows = torch.arange(200) % 70  # rows v, v + 70 and v + 140 are equal, in different groups and tiles
    x_ND, table_VD, bias_V = numbers(0, 5, 8), numbers(1, 70, 8)[rows], numbers(2, 70)[rows]
    for offset_V in (None, bias_V):
        expected_NV = scores_in_float64(x_ND, table_VD[:70], None if offset_V is None else offset_V[:70])
        assert torch.equal(PATHS[path](x_ND, table_VD, offset_V), expected_NV.argmax(1))
    same_VD = torch.ones(40, 8)
    assert PATHS[path](x_ND[:2], same_VD, None).tolist() == [0, 0]


@on_both_paths
def test_what_else_is_in_the_batch_changes_nothing(path: str) -> None:
    table_VD = 1e-3 * numbers(0, 150, 16) + 1
    x_ND = numbers(1, 21, 16)
    together_N = PATHS[path](x_ND, table_VD, None)
    for row in (0, 6, 20):
        assert torch.equal(PATHS[path](x_ND[row : row + 1], table_VD, None), together_N[row : row + 1])


@on_both_paths
def test_no_states_and_states_that_are_not_finite(path: str) -> None:
    table_VD, bias_V = numbers(0, 50, 8), numbers(1, 50)
    assert PATHS[path](torch.empty(0, 8), table_VD, bias_V).shape == (0,)
    x_ND = numbers(2, 3, 8)
    x_ND[1, 3] = torch.nan
    found = PATHS[path](x_ND, table_VD, bias_V)
    assert found[1] == 0
    assert torch.equal(found[[0, 2]], scores_in_float64(x_ND, table_VD, bias_V)[[0, 2]].argmax(1))


@on_both_paths
def test_views_are_read_as_they_are(path: str) -> None:
    x_ND, table_VD, bias_V = numbers(0, 8, 4).T, numbers(1, 8, 60).T, numbers(2, 120)[::2]
    expected_N = scores_in_float64(x_ND, table_VD, bias_V).argmax(1)
    assert torch.equal(PATHS[path](x_ND, table_VD, bias_V), expected_N)


def test_a_changed_table_is_read_anew() -> None:
    x_ND, table_VD = torch.randn(9, 8), torch.randn(40, 8)
    for change in (table_VD.neg_, lambda: table_VD[3:5].copy_(x_ND[:2]), table_VD.zero_):
        nearest_row(x_ND, table_VD)
        change()
        nearest = torch.cdist(x_ND.double(), table_VD.double()).argmin(1)
        assert torch.equal(nearest_row(x_ND, table_VD), nearest)
    table = torch.nn.Embedding(40, 8)
    nearest_row(x_ND, table.weight)
    table.to(torch.float64)
    assert torch.equal(nearest_row(x_ND, table.weight), torch.cdist(x_ND.double(), table.weight).argmin(1))


def test_tables_are_forgotten_with_their_tensors() -> None:
    before = len(rounding._TABLES)
    for _ in range(3):
        nearest_row(torch.randn(2, 8), torch.randn(40, 8))
    assert len(rounding._TABLES) == before
