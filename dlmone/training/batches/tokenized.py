"""Serve the training split as token batches, tokenising each example once, on first use."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from dlmone.core import Batch, Example, PluginError, Space


class TokenizedExamples:
    """A split whose tokens are cached in memory: 5 bytes per position (int32 and bool).

    A space's batches all have one length, and a row depends on its example alone (checked by
    `dlmone.testing`). A batch of cached rows therefore equals the result of `Space.collate`, bit for bit.
    Rows are tokenised on first use, so that training starts at once and unused examples cost nothing.

    Args:
        space: the space that tokenises.
        examples: the split.
    """

    def __init__(self, space: Space, examples: Sequence[Example]) -> None:
        self.space = space
        self.examples = examples
        self._tokens_NL: Tensor | None = None
        self._target_NL = torch.empty(0, 0, dtype=torch.bool)
        self._known = bytearray(len(examples))
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the examples at these indices of the split as a batch on the CPU; any thread may call it.

        Raises:
            InputError: an example does not fit; the message names it.
            PluginError: the space returns rows of different lengths.
        """
        with self._lock:
            if new := sorted({row for row in rows if not self._known[row]}):
                self._keep(new)
        assert self._tokens_NL is not None
        rows_B = torch.tensor(rows)
        ids = tuple(self.examples[row].id for row in rows)
        return Batch(ids, self._tokens_NL[rows_B].long(), self._target_NL[rows_B])

    def _keep(self, rows: list[int]) -> None:
        new = self.space.collate([self.examples[row] for row in rows])
        length = new.tokens_BL.shape[1]
        if self._tokens_NL is None:
            self._tokens_NL = torch.zeros(len(self), length, dtype=torch.int32)
            self._target_NL = torch.zeros(len(self), length, dtype=torch.bool)
        if length != (before := self._tokens_NL.shape[1]):
            raise PluginError(
                f"{type(self.space).__name__}.collate() gave rows of {before} and of {length} tokens; "
                "a space must give rows of one length"
            )
        self._tokens_NL[rows] = new.tokens_BL.int()
        self._target_NL[rows] = new.target_BL
        for row in rows:
            self._known[row] = True
