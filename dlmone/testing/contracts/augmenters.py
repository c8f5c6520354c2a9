"""The Augmenter contract: other conditions in the same shape, each a function of its sample's key alone."""

import torch

from dlmone.core import Augmenter, Batch, Noise, Teacher

from ..claims import require
from ..toy import EXAMPLES, toy_teacher

#: Draws among which an augmenter that does anything varies something.
SEEDS = range(20)


def check_augmenter(augmenter: Augmenter, *, teacher: Teacher | None = None) -> None:
    """Check an augmenter against its contract.

    Args:
        augmenter: the one to check, set so that it varies conditions often.
        teacher: one whose space collates the toy's examples (the toy itself by default).

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    space = (teacher or toy_teacher()).space
    batch = space.collate(EXAMPLES)
    kept = Batch(batch.ids, batch.tokens_BL.clone(), batch.target_BL.clone())

    def augment(rows: slice, seed: int) -> Batch:
        part = batch[rows]
        return augmenter.augment(part, space, Noise([(seed, id) for id in part.ids]))

    varied = False
    for seed in SEEDS:
        answer = augment(slice(None), seed)
        require(_same(batch, kept), "augment() must not change the batch in place")
        _check_batch(answer, batch)
        require(_same(answer, augment(slice(None), seed)), "the same noise gave other conditions")
        for row in range(len(batch)):
            rows = slice(row, row + 1)
            alone = augment(rows, seed)
            require(
                _same(alone, answer[rows]), "a condition depends on its batch mates; key all draws by sample"
            )
        varied = varied or not _same(answer, batch)
    require(varied, f"augment() varied no condition in {len(SEEDS)} draws")


def _check_batch(answer: Batch, batch: Batch) -> None:
    require(answer.ids == batch.ids, "augment() must keep ids and order")
    for name in ("tokens_BL", "target_BL"):
        found, wanted = getattr(answer, name), getattr(batch, name)
        fits = found.shape == wanted.shape and found.dtype == wanted.dtype
        require(fits, f"{name} must stay {tuple(wanted.shape)} of {wanted.dtype}")
    require(bool(answer.target_BL.any(1).all()), "augment() left a row without a position to generate")


def _same(first: Batch, second: Batch) -> bool:
    pairs = ((first.tokens_BL, second.tokens_BL), (first.target_BL, second.target_BL))
    return first.ids == second.ids and all(torch.equal(one, other) for one, other in pairs)
