"""Find the best row of a table for each state without the [states × rows] matrix of scores.

The best row is argmax_v x·E_v + o_v: with the bias as offset it is the arg max of the logits, and with
o_v = −|E_v|²/2 the row nearest in Euclidean distance. It is found in two passes:

1. Screen: all scores are computed in a fast format, a tile at a time. For each group of rows only the
   greatest score and a bound on its error are kept.
2. Rescore: the groups that could hold the best row, given the bounds, are scored again in float64.

So the result is that of float64, in whichever format the screen runs. It does not depend on the rest of the
batch, and the first of equal rows wins. The Triton kernels in ``kernels.py`` use the same algorithm.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from dlmone.core.accelerator import bfloat16_pays, runs_kernels

#: Rows of the table that share one score in the screen.
GROUP = 16
#: States and scores that are screened at a time: a tile fits in a core's cache.
STATES, TILE = 1024, 1 << 20
#: Groups that are rescored at a time.
RESCORED = 128


def nearest_row(x_ND: Tensor, table_VD: Tensor) -> Tensor:
    """Return the row nearest to each state in Euclidean distance, [N] int64; row 0 for a state with a NaN."""
    return _best_row(x_ND, table_VD, None)


def best_logit(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor) -> Tensor:
    """Return argmax_v x·E_v + b_v of each state, [N] int64; row 0 for a state with a NaN."""
    return _best_row(x_ND, table_VD, bias_V)


def float32_slack(width: int) -> float:
    """Return the error bound of a float32 sum of ``width`` products, relative to ‖x‖·‖E_v‖ and to |o_v|.

    It covers sums that are truncated instead of rounded, as on tensor cores, and norms that are float32 sums
    themselves.
    """
    return (width + 8) * 2.0**-22


@torch.no_grad()
def _best_row(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    if runs_kernels(x_ND.device):
        from .kernels import best_row as kernel

        return kernel(x_ND, table_VD, bias_V)
    parts = [x_ND.new_empty(0, dtype=torch.int64)]
    with torch.autocast(x_ND.device.type, enabled=False):
        for part_ND in torch.split(x_ND, STATES) if len(x_ND) else ():
            greatest_GN, error_GN = _screen(part_ND.float(), _prepared(table_VD), bias_V)
            least_N = (greatest_GN - error_GN).amax(0)
            groups_P, states_P = greatest_GN.add_(error_GN).ge_(least_N).nonzero(as_tuple=True)
            parts.append(_rescore(part_ND.double(), table_VD, bias_V, groups_P, states_P))
    return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as the screen reads it: rows in the fast format, and their norms in float32."""

    state: tuple[int, int, torch.dtype]
    rows_VD: Tensor
    norm_V: Tensor


#: Tables seen before, each until it is freed, so that a frozen model's is cast and measured once.
_TABLES: MutableMapping[Tensor, _Table] = WeakIdKeyDictionary()


def _prepared(table_VD: Tensor) -> _Table:
    """Return a table as the screen reads it, cached until the table or its memory changes."""
    fast = torch.bfloat16 if bfloat16_pays(table_VD.device) else torch.float32
    if table_VD.is_inference():  # inference tensors have no version, so changes cannot be seen
        return _Table((0, 0, fast), table_VD.to(fast), table_VD.float().norm(dim=1))
    state = (table_VD.data_ptr(), table_VD._version, fast)
    known = _TABLES.get(table_VD)
    if known is None or known.state != state:
        known = _Table(state, table_VD.detach().to(fast), table_VD.float().norm(dim=1))
        _TABLES[table_VD] = known
    return known


def _screen(x_ND: Tensor, table: _Table, bias_V: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the greatest score of each group and its error bound, both [G, N] float32.

    |x·E − x̂·Ê| ≤ ‖x − x̂‖·‖E‖ + ‖x̂‖·‖E − Ê‖, hats marking what the fast format holds.
    """
    fast, slack = table.rows_VD.dtype, float32_slack(table.rows_VD.shape[1])
    unit = 0.51 * torch.finfo(fast).eps
    states, groups = len(x_ND), -(-len(table.rows_VD) // GROUP)
    tile = min(groups, max(1, TILE // (GROUP * states)))
    fast_DN = x_ND.to(fast).T
    scores_RN = fast_DN.new_empty(tile * GROUP, states)
    greatest_GN = fast_DN.new_empty(groups, states)
    norm_G, lost_G = x_ND.new_empty(2, groups)
    shift = x_ND.new_zeros(())
    for start in range(0, groups, tile):
        part = slice(start, min(start + tile, groups))
        rows_RD, norm_R = _rows(table.rows_VD, part), _rows(table.norm_V, part)
        offset_R = norm_R.square() / -2 if bias_V is None else _rows(bias_V, part).float()
        # The common part of the offsets decides nothing, and would use up the format's few digits.
        shift = shift if start else offset_R.mean()
        shifted_R = offset_R - shift
        # Rounded are the offset, its sum with the product, and possibly the product before (see below).
        lost_R = slack * offset_R.abs() + (slack + 2 * unit) * shifted_R.abs()
        norm_G[part], lost_G[part] = (value_R.view(-1, GROUP).amax(1) for value_R in (norm_R, lost_R))
        scores_RN = scores_RN[: len(rows_RD)]
        torch.addmm(shifted_R.to(fast)[:, None], rows_RD, fast_DN, out=scores_RN)
        torch.amax(scores_RN.view(-1, GROUP, states), 1, out=greatest_GN[part])
    held_ND = fast_DN.T.float()
    reach_N = (x_ND - held_ND).norm(dim=1) + (unit + slack) * held_ND.norm(dim=1)
    error_GN = torch.outer(norm_G, reach_N).add_(lost_G[:, None])
    greatest_GN = greatest_GN.float()
    return greatest_GN, error_GN.add_(greatest_GN.abs(), alpha=2 * unit)


def _rescore(
    x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None, groups_P: Tensor, states_P: Tensor
) -> Tensor:
    """Return the best row of each state among those of the groups paired with it, [N].

    Args:
        x_ND: states in float64.
        groups_P: the group of each pair, in ascending order.
        states_P: the state of each pair.
    """
    within = torch.arange(GROUP, device=x_ND.device)
    scores, rows = [], []
    for pairs_C2 in torch.split(torch.stack([groups_P, states_P], 1), RESCORED):
        groups_C, states_C = pairs_C2.unbind(1)
        row_R = (groups_C[:, None] * GROUP + within).clamp_(max=len(table_VD) - 1).flatten()
        rows_CGD = table_VD.index_select(0, row_R).double().view(-1, GROUP, table_VD.shape[1])
        x_C1D = x_ND[states_C, None]
        if bias_V is None:
            score_CG = rows_CGD.sub_(x_C1D).square_().sum(2).neg_()
        else:
            score_CG = rows_CGD.mul_(x_C1D).sum(2).add_(bias_V[row_R].view(-1, GROUP))
        best_C, which_C = score_CG.max(1)
        scores.append(best_C)
        rows.append(row_R.view(-1, GROUP).gather(1, which_C[:, None])[:, 0])
    score_P, row_P = torch.cat(scores), torch.cat(rows)
    best_N = x_ND.new_full((len(x_ND),), -torch.inf)
    best_N.scatter_reduce_(0, states_P, score_P, "amax")
    wins_P = score_P == best_N[states_P]
    nowhere = len(table_VD)
    row_N = torch.full((len(x_ND),), nowhere, device=x_ND.device)
    row_N.scatter_reduce_(0, states_P[wins_P], row_P[wins_P], "amin")
    return row_N.where(row_N < nowhere, 0)


def _rows(values_V: Tensor, part: slice) -> Tensor:
    """Return the rows of some groups, padded with the last row, which cannot beat itself."""
    rows = values_V[part.start * GROUP : part.stop * GROUP]
    missing = (part.stop - part.start) * GROUP - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows
