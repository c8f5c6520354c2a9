"""The space: states hold the target alone; the condition is outside, in an encoder's states of the source."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, InputError, Space

from .schedule import LearnedSchedule

PAD, NONE = "<pad>", "<none>"
#: Tokens of a source (year, month, day), and of a target at most.
SOURCE, TARGET = 3, 6


class DateSpace(Space):
    """States are [B, TARGET, D]: a learned row of length √D for each token of the target.

    Args:
        words: the tokens, `PAD` and `NONE` among them.
        state: D, the width of a state.
        width: width of the encoder.
        heads: its attention heads.
    """

    conditional = True
    schedule: LearnedSchedule

    def __init__(self, words: Sequence[str], state: int, width: int, heads: int) -> None:
        super().__init__()
        self.words = tuple(words)
        self.token_of = {word: token for token, word in enumerate(self.words)}
        self.hidden_token = self.token_of[PAD]
        self.state_shape = (TARGET, state)
        self.schedule = LearnedSchedule()
        self.raw_rows = nn.Parameter(torch.randn(len(self.words), state))
        self.source_table = nn.Embedding(len(self.words), width)
        self.places = nn.Parameter(0.1 * torch.randn(SOURCE, width))
        self.encoder = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )

    # -- texts and tokens ------------------------------------------------------------------------------

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokens_BL = torch.tensor([self._row(example) for example in examples])
        target_BL = torch.zeros_like(tokens_BL, dtype=torch.bool)
        target_BL[:, SOURCE:] = True
        return Batch(tuple(example.id for example in examples), tokens_BL, target_BL)

    def _row(self, example: Example) -> list[int]:
        source, target = split_date(example.source), example.target.split()
        if len(source) != SOURCE or len(target) > TARGET:
            raise InputError(
                f"example {example.id}: expected a date such as 2024-03-07, not {example.source!r}"
            )
        words = [*source, *target, *[PAD] * (TARGET - len(target))]
        if unknown := [word for word in words if word not in self.token_of]:
            raise InputError(f"example {example.id}: no training text has {unknown[0]!r}")
        return [self.token_of[word] for word in words]

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        rows = ((self.words[token] for token in row) for row in tokens_BL[:, SOURCE:].tolist())
        return [" ".join(word for word in row if word not in (PAD, NONE)) for row in rows]

    def source_text(self, batch: Batch) -> list[str]:
        rows = batch.tokens_BL[:, :SOURCE].tolist()
        return ["-".join(self.words[token].rstrip("md") for token in row) for row in rows]

    # -- the condition ---------------------------------------------------------------------------------

    def encode(self, batch: Batch) -> Batch:
        """Return the batch with the encoder's states of its source, [B, SOURCE, width]."""
        hidden_BSH = self.source_table(batch.tokens_BL[:, :SOURCE]) + self.places
        return replace(batch, encoded={"source": self.encoder(hidden_BSH)})

    def null_condition(self, batch: Batch) -> Batch:
        tokens_BL = batch.tokens_BL.masked_fill(~batch.target_BL, self.token_of[NONE])
        return Batch(batch.ids, tokens_BL, batch.target_BL)

    # -- tokens and states -----------------------------------------------------------------------------

    def rows(self) -> Tensor:
        """Return the states of all tokens, [V, D], of length √D."""
        return math.sqrt(self.state_shape[1]) * functional.normalize(self.raw_rows, dim=1)

    def mixture(self, probabilities_BTV: Tensor) -> Tensor:
        """Return the mean state of token probabilities, [B, TARGET, D], in float32 under autocast too."""
        with torch.autocast(probabilities_BTV.device.type, enabled=False):
            return probabilities_BTV @ self.rows()

    def embed(self, batch: Batch) -> Tensor:
        return functional.embedding(batch.tokens_BL[:, SOURCE:], self.rows())

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        target_BT = (state @ self.rows().T).argmax(-1)  # the nearest row, as all have one length
        return torch.cat([batch.tokens_BL[:, :SOURCE], target_BT], 1)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[:, -1:, None]  # everything in a state is generated


def split_date(source: str) -> list[str]:
    """Return year, month and day as tokens: a day of the source is no word of a target."""
    return [f"{part}{kind}" for part, kind in zip(source.split("-"), ("", "m", "d"), strict=False)]
