"""Store token lists as arrays of integers: one vocabulary, sequences stored end to end.

A sequence is a span of one flat array in which every sequence is followed by one `PAD`. Nothing is padded
until sequences of like length meet in a tile, and a group of consecutive sequences is a span too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlmone.core.errors import InputError, MissingError

if TYPE_CHECKING:
    import torch

#: Stands after each sequence and wherever a tile reaches past one; no token has this id.
PAD = -1
#: Sequences whose lengths, rounded up to a multiple of this, are the same share a tile.
_STEP = 4

#: numpy, which spares users torch's start-up; torch in Triton's kernels alone.
Array = TypeVar("Array", "NDArray[Any]", "torch.Tensor")


@dataclass(frozen=True, slots=True)
class Sequences(Generic[Array]):
    """S token sequences: sequence s is ``tokens_T[starts_S[s] : starts_S[s] + lengths_S[s]]``.

    ``tokens_T`` holds int32 ids and one `PAD` after each sequence; starts and lengths are int64.
    """

    tokens_T: Array
    starts_S: Array
    lengths_S: Array

    def pooled(self, size: int) -> Sequences[Array]:
        """Return every ``size`` consecutive sequences as one; S is a multiple of ``size``.

        The `PAD` between two of them stays, so that no n-gram runs from one into the next.
        """
        starts_G = self.starts_S[::size]
        ends_G = self.starts_S[size - 1 :: size] + self.lengths_S[size - 1 :: size]
        return Sequences(self.tokens_T, starts_G, ends_G - starts_G)


def encode(sequences: Iterable[Sequence[str]]) -> Sequences[NDArray[Any]]:
    """Number the tokens of sequences: equal tokens, and only those, get equal ids."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    flat: list[int] = []
    lengths: list[int] = []
    for sequence in sequences:
        flat.extend(map(ids.__getitem__, sequence))
        flat.append(PAD)
        lengths.append(len(sequence))
    lengths_S = np.array(lengths, np.int64)
    return Sequences(np.array(flat, np.int32), np.cumsum(lengths_S + 1) - lengths_S - 1, lengths_S)


def encode_pairs(
    outputs: Sequence[str], references: Sequence[str], tokens: Callable[[str], Sequence[str]]
) -> tuple[Sequences[NDArray[Any]], NDArray[np.int64]]:
    """Return the tokens of all texts, each different text once, and the pairs [P, 2] of their numbers.

    Raises:
        InputError: the numbers of outputs and references differ.
    """
    if len(outputs) != len(references):
        raise InputError(f"There are {len(outputs)} outputs but {len(references)} references to compare.")
    numbers = {text: number for number, text in enumerate(dict.fromkeys(chain(outputs, references)))}
    sides = [np.fromiter(map(numbers.__getitem__, side), np.int64) for side in (outputs, references)]
    return encode(map(tokens, numbers)), np.stack(sides, axis=1)


def encode_groups(
    groups: Sequence[Sequence[str]], tokens: Callable[[str], Sequence[str]]
) -> tuple[Sequences[NDArray[Any]], NDArray[np.int64]]:
    """Return the tokens of G groups of K texts, group after group, and the pairs i < j within each.

    The pairs are [G · K (K - 1) / 2, 2] numbers of sequences, a group's in the order (0, 1), (0, 2), ...

    Raises:
        InputError: the groups are not all of one size.
    """
    sizes = sorted(set(map(len, groups)))
    if len(sizes) > 1:
        raise InputError(f"Texts are compared within groups of one size; these groups have {sizes}.")
    size = sizes[0] if sizes else 0
    pairs_P2 = np.stack(np.triu_indices(size, 1), axis=1)
    pairs_GP2 = size * np.arange(len(groups))[:, None, None] + pairs_P2
    return encode(map(tokens, chain.from_iterable(groups))), pairs_GP2.reshape(-1, 2)


def kernel_device(name: str) -> torch.device | None:
    """Return the device of a name if it is there and Triton's kernels run on it; None where the CPU counts.

    The counts are the same, so a recipe that names a GPU is good on a machine without one.
    """
    if name == "cpu":
        return None
    from dlmone.core.accelerator import runs_kernels
    from dlmone.registry.fields.device import resolve_device

    try:
        device = resolve_device(name)
    except MissingError:
        return None
    return device if runs_kernels(device) else None


def on_device(
    device: torch.device | str, sequences: Sequences[NDArray[Any]], *pairs_P2: NDArray[Any]
) -> tuple[Any, ...]:
    """Copy sequences, and what comes with them, to a device, for Triton's kernels."""
    import torch

    arrays = (sequences.tokens_T, sequences.starts_S, sequences.lengths_S, *pairs_P2)
    tokens_T, starts_S, lengths_S, *pairs = (torch.from_numpy(array).to(device) for array in arrays)
    return Sequences(tokens_T, starts_S, lengths_S), *pairs


def buckets(*lengths: NDArray[Any], cells: int) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of lengths [N], given for each side of a tile, in groups that are alike on all sides.

    A group has as many members as keep their lengths together, all sides added, within ``cells``: so many
    that numpy's calls cost little, so few that what is held for them stays in a core's cache.
    """
    rounded = [-(-side // _STEP) * _STEP for side in lengths]
    order = np.lexsort(rounded)
    changes = np.any([np.diff(side[order]) for side in rounded], axis=0)
    for alike in np.split(order, np.flatnonzero(changes) + 1):
        members = max(1, cells // max(1, sum(int(side[n]) for side in rounded for n in alike[:1])))
        for start in range(0, len(alike), members):
            yield alike[start : start + members]


def places(sequences: Sequences[NDArray[Any]], rows_N: NDArray[Any]) -> NDArray[np.intp]:
    """Return where the tokens of some sequences stand in ``tokens_T``, [L, N], L the longest of them.

    Positions past a sequence's end point to the last place of all, which holds a `PAD`.
    """
    lengths_N = sequences.lengths_S[rows_N]
    offsets_L1 = np.arange(lengths_N.max(initial=0))[:, None]
    last = len(sequences.tokens_T) - 1
    return np.where(offsets_L1 < lengths_N, sequences.starts_S[rows_N] + offsets_L1, last)
