"""Triton kernels that find the best row for each state; ``rounding.py`` has the algorithm and the CPU path.

Scores are screened in bfloat16 on tensor cores and summed in float32. They stay on the chip; only one number
for each state and group of rows is written to memory.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import torch
import triton
import triton.language as tl
from torch import Tensor

from .rounding import float32_slack

#: Rows of a group, which share one number, and groups of a tile of the product.
_GROUP, _GROUPS = 32, 4
#: States of a tile.
_STATES = 128
#: States up to this width are held whole; wider ones are multiplied this many entries at a time.
_WHOLE, _ENTRIES = 128, 64
#: States of one pass: bounds what the screen writes to 32 MB for a vocabulary of 30,522.
_PASS = 8192
#: Programs per multiprocessor: enough to overlap one's loads with another's products.
_PROGRAMS = 8


@triton.jit
def _prepare_kernel(
    table_ptr, bias_ptr, fast_ptr, offset_ptr, bounds_ptr, rows, width, slack,
    NEAREST: tl.constexpr, GROUP: tl.constexpr, ENTRIES: tl.constexpr,
):  # fmt: skip
    """Write one group's rows in bfloat16, their offsets, and the bounds that the screen's error needs.

    Bounds are [3, groups]: the greatest ‖E‖, the greatest ‖E − Ê‖ (Ê is E in bfloat16), and the error of the
    offsets, with what float32's sums can add.
    """
    group, groups = tl.program_id(0), tl.num_programs(0)
    slots_R = group * GROUP + tl.arange(0, GROUP)
    # Rows past the end repeat the last one, which cannot beat itself.
    rows_R = tl.minimum(slots_R, rows - 1).to(tl.int64)
    square_R = tl.zeros((GROUP,), tl.float32)
    lost_R = tl.zeros((GROUP,), tl.float32)
    for start in range(0, width, ENTRIES):
        entries_D = start + tl.arange(0, ENTRIES)
        inside_RD = (entries_D < width)[None, :] & (rows_R >= 0)[:, None]
        table_RD = tl.load(
            table_ptr + rows_R[:, None] * width + entries_D[None, :], mask=inside_RD, other=0.0
        ).to(tl.float32)
        fast_RD = table_RD.to(tl.bfloat16)
        away_RD = table_RD - fast_RD.to(tl.float32)
        square_R += tl.sum(table_RD * table_RD, axis=1)
        lost_R += tl.sum(away_RD * away_RD, axis=1)
        places_RD = slots_R.to(tl.int64)[:, None] * width + entries_D[None, :]
        tl.store(fast_ptr + places_RD, fast_RD, mask=inside_RD)
    offset_R = -square_R / 2 if NEAREST else tl.load(bias_ptr + rows_R).to(tl.float32)
    tl.store(offset_ptr + slots_R, offset_R)
    norm = tl.sqrt(tl.max(square_R, axis=0))
    bounds_ptr += group
    tl.store(bounds_ptr, norm)
    tl.store(bounds_ptr + groups, tl.sqrt(tl.max(lost_R, axis=0)) + slack * norm)
    tl.store(bounds_ptr + 2 * groups, slack * tl.max(tl.abs(offset_R), axis=0))


@triton.jit
def _load_fast(places, inside, FORMAT: tl.constexpr):
    """Load states as the screen multiplies them: bfloat16 numbers, held in a format that may be wider."""
    return tl.load(places, mask=inside, other=0.0).to(tl.float32).to(tl.bfloat16).to(FORMAT)


@triton.jit
def _screen_kernel(
    x_ptr, fast_ptr, offset_ptr, greatest_ptr, states, width, groups, tiles,
    STATES: tl.constexpr, GROUP: tl.constexpr, GROUPS: tl.constexpr, ENTRIES: tl.constexpr,
    WHOLE: tl.constexpr, FORMAT: tl.constexpr,
):  # fmt: skip
    """Write the greatest score of each group for some states; each program has ``tiles`` tiles of groups.

    ``WHOLE``: a state fits into one product and stays on the chip for all of them. ``FORMAT``: the format in
    which bfloat16 numbers are multiplied.
    """
    states_N = tl.program_id(0) * STATES + tl.arange(0, STATES)
    x_N1 = x_ptr + states_N.to(tl.int64)[:, None] * width
    entries_D = tl.arange(0, ENTRIES)
    if WHOLE:
        inside_ND = (states_N < states)[:, None] & (entries_D < width)[None, :]
        whole_ND = _load_fast(x_N1 + entries_D[None, :], inside_ND, FORMAT)
    for tile in range(tl.program_id(1) * tiles, (tl.program_id(1) + 1) * tiles):
        first = tile * GROUPS
        slots_R = first * GROUP + tl.arange(0, GROUPS * GROUP)
        real_R = slots_R < groups * GROUP
        fast_1R = fast_ptr + slots_R.to(tl.int64)[None, :] * width
        score_NR = tl.zeros((STATES, GROUPS * GROUP), tl.float32)
        if WHOLE:
            inside_DR = (entries_D < width)[:, None] & real_R[None, :]
            fast_DR = tl.load(fast_1R + entries_D[:, None], mask=inside_DR, other=0.0)
            score_NR = tl.dot(whole_ND, fast_DR.to(FORMAT), score_NR)
        else:
            for start in range(0, width, ENTRIES):
                entries_D = start + tl.arange(0, ENTRIES)
                inside_ND = (states_N < states)[:, None] & (entries_D < width)[None, :]
                x_ND = _load_fast(x_N1 + entries_D[None, :], inside_ND, FORMAT)
                inside_DR = (entries_D < width)[:, None] & real_R[None, :]
                fast_DR = tl.load(fast_1R + entries_D[:, None], mask=inside_DR, other=0.0)
                score_NR = tl.dot(x_ND, fast_DR.to(FORMAT), score_NR)
        score_NR += tl.load(offset_ptr + slots_R, mask=real_R, other=0.0)[None, :]
        greatest_NG = tl.max(tl.reshape(score_NR, (STATES, GROUPS, GROUP)), axis=2)
        groups_G = first + tl.arange(0, GROUPS)
        tl.store(
            greatest_ptr + states_N.to(tl.int64)[:, None] * groups + groups_G[None, :],
            greatest_NG,
            mask=(states_N < states)[:, None] & (groups_G < groups)[None, :],
        )


@triton.jit
def _rescore_kernel(
    x_ptr, table_ptr, bias_ptr, greatest_ptr, bounds_ptr, best_ptr, rows, width, groups,
    NEAREST: tl.constexpr, GROUP: tl.constexpr, ALL_GROUPS: tl.constexpr, ENTRIES: tl.constexpr,
):  # fmt: skip
    """Score the groups that could hold one state's best row again, in float64, and write that row."""
    state = tl.program_id(0).to(tl.int64)
    x_ptr += state * width
    lost = tl.zeros((ENTRIES,), tl.float32)
    held = tl.zeros((ENTRIES,), tl.float32)
    for start in range(0, width, ENTRIES):
        entries_D = start + tl.arange(0, ENTRIES)
        x_D = tl.load(x_ptr + entries_D, mask=entries_D < width, other=0.0).to(tl.float32)
        held_D = x_D.to(tl.bfloat16).to(tl.float32)
        lost += (x_D - held_D) * (x_D - held_D)
        held += held_D * held_D
    x_lost, x_held = tl.sqrt(tl.sum(lost, axis=0)), tl.sqrt(tl.sum(held, axis=0))

    groups_G = tl.arange(0, ALL_GROUPS)
    real_G = groups_G < groups
    greatest_G = tl.load(greatest_ptr + state * groups + groups_G, mask=real_G, other=float("-inf"))
    bounds_ptr += groups_G
    error_G = tl.load(bounds_ptr, mask=real_G, other=0.0) * x_lost
    error_G += tl.load(bounds_ptr + groups, mask=real_G, other=0.0) * x_held
    error_G += tl.load(bounds_ptr + 2 * groups, mask=real_G, other=0.0)
    least = tl.max(greatest_G - error_G, axis=0)
    could_win_G = real_G & (greatest_G + error_G >= least)
    left_G = tl.where(could_win_G, groups_G, ALL_GROUPS)

    best = tl.full((), float("-inf"), tl.float64)
    best_row = tl.full((), 0, tl.int64)
    group = tl.min(left_G, axis=0)
    while group < ALL_GROUPS:
        rows_R = tl.minimum(group * GROUP + tl.arange(0, GROUP), rows - 1).to(tl.int64)
        score_R = tl.zeros((GROUP,), tl.float64)
        for start in range(0, width, ENTRIES):
            entries_D = start + tl.arange(0, ENTRIES)
            inside_D = entries_D < width
            x_D = tl.load(x_ptr + entries_D, mask=inside_D, other=0.0).to(tl.float64)
            table_RD = tl.load(
                table_ptr + rows_R[:, None] * width + entries_D[None, :], mask=inside_D[None, :], other=0.0
            ).to(tl.float64)
            if NEAREST:
                away_RD = table_RD - x_D[None, :]
                score_R -= tl.sum(away_RD * away_RD, axis=1)
            else:
                score_R += tl.sum(table_RD * x_D[None, :], axis=1)
        if not NEAREST:
            score_R += tl.load(bias_ptr + rows_R).to(tl.float64)
        top = tl.max(score_R, axis=0)
        # Groups come in ascending order: only a greater score takes the place of an earlier row.
        first = tl.min(tl.where(score_R == top, rows_R, rows), axis=0)
        best_row = tl.where(top > best, first, best_row)
        best = tl.maximum(top, best)
        left_G = tl.where(left_G == group, ALL_GROUPS, left_G)
        group = tl.min(left_G, axis=0)
    tl.store(best_ptr + state, best_row)


#: Triton's interpreter treats bfloat16 as integers in matrix products.
_FORMAT = tl.bfloat16 if isinstance(_screen_kernel, triton.JITFunction) else tl.float32


def best_row(x_ND: Tensor, table_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    """Return argmax_v x·E_v + b_v of each state, or the nearest row where there is no bias, [N] int64."""
    x_ND, table_VD = x_ND.contiguous(), table_VD.contiguous()
    bias_V = None if bias_V is None else bias_V.contiguous()
    rows, width = table_VD.shape
    groups = triton.cdiv(rows, _GROUP)
    entries = max(16, triton.next_power_of_2(width)) if width <= _WHOLE else _ENTRIES
    row_of_N = torch.empty(len(x_ND), dtype=torch.int64, device=x_ND.device)
    fast_VD = table_VD.new_empty(groups * _GROUP, width, dtype=torch.bfloat16)
    offset_V = table_VD.new_empty(groups * _GROUP, dtype=torch.float32)
    bounds_3G = table_VD.new_empty(3, groups, dtype=torch.float32)
    with torch.cuda.device_of(x_ND):
        _prepare_kernel[(groups,)](
            table_VD, bias_V, fast_VD, offset_V, bounds_3G, rows, width, float32_slack(width),
            NEAREST=bias_V is None, GROUP=_GROUP, ENTRIES=entries, num_warps=8,
        )  # fmt: skip
        for start in range(0, len(x_ND), _PASS):
            part_ND = x_ND[start : start + _PASS]
            states = len(part_ND)
            greatest_NG = x_ND.new_empty(states, groups, dtype=torch.float32)
            blocks, all_tiles = triton.cdiv(states, _STATES), triton.cdiv(groups, _GROUPS)
            tiles = triton.cdiv(all_tiles, max(1, _programs(x_ND.device) // blocks))
            _screen_kernel[blocks, triton.cdiv(all_tiles, tiles)](
                part_ND, fast_VD, offset_V, greatest_NG, states, width, groups, tiles,
                STATES=_STATES, GROUP=_GROUP, GROUPS=_GROUPS, ENTRIES=entries, WHOLE=width <= entries,
                FORMAT=_FORMAT, num_warps=8, num_stages=2,
            )  # fmt: skip
            _rescore_kernel[(states,)](
                part_ND, table_VD, bias_V, greatest_NG, bounds_3G, row_of_N[start:], rows, width, groups,
                NEAREST=bias_V is None, GROUP=_GROUP, ALL_GROUPS=triton.next_power_of_2(groups),
                ENTRIES=entries,
            )  # fmt: skip
    return row_of_N


def _programs(device: torch.device) -> int:
    """Return the number of programs that keep the device busy."""
    if device.type != "cuda":
        return 1
    return _PROGRAMS * torch.cuda.get_device_properties(device).multi_processor_count
