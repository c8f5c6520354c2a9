"""A contextual space: the state of a token depends on its neighbours, given ones among them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, InputError, Space

from .schedule import LogisticSchedule

PAD, SEP, END = "<pad>", "<sep>", "<end>"


class ContextSpace(Space):
    """Rows ``source <sep>`` (given) and ``target <end> <pad>…`` (generated). States are [B, L, D].

    A state is √D·(row + context·neighbours): rows have length 1 and neighbours at most that, so the nearest
    row is the token's.
    """

    conditional = True
    schedule: LogisticSchedule

    def __init__(self, words: Sequence[str], length: int, width: int, context: float) -> None:
        super().__init__()
        self.words = tuple(words)
        self.token_of = {word: token for token, word in enumerate(self.words)}
        self.hidden_token = self.token_of[PAD]
        self.state_shape = (length, width)
        self.context = context
        self.schedule = LogisticSchedule()
        self.raw_rows = nn.Parameter(torch.randn(len(self.words), width))
        self.neighbours = nn.Conv1d(width, width, 5, padding=2)

    # -- texts and tokens ------------------------------------------------------------------------------

    def collate(self, examples: Sequence[Example]) -> Batch:
        length, _ = self.state_shape
        tokens_BL = torch.full((len(examples), length), self.token_of[PAD])
        target_BL = torch.ones(len(examples), length, dtype=torch.bool)
        for row, example in enumerate(examples):
            given, target = [*example.source.lower().split(), SEP], example.target.lower().split()
            if len(given) > length - 2:
                raise InputError(f"example {example.id}: its source is longer than {length - 3} words")
            text = [*given, *target[: length - len(given) - 1], END]
            tokens_BL[row, : len(text)] = torch.tensor([self._token(word, example) for word in text])
            target_BL[row, : len(given)] = False
        return Batch(tuple(example.id for example in examples), tokens_BL, target_BL)

    def _token(self, word: str, example: Example) -> int:
        if word not in self.token_of:
            raise InputError(f"example {example.id}: no training text has the word {word!r}")
        return self.token_of[word]

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        return self._texts(tokens_BL, batch.target_BL)

    def source_text(self, batch: Batch) -> list[str]:
        return self._texts(batch.tokens_BL, ~batch.target_BL)

    def _texts(self, tokens_BL: Tensor, where_BL: Tensor) -> list[str]:
        texts = []
        for tokens_L, where_L in zip(tokens_BL.cpu(), where_BL.cpu(), strict=True):
            words = [self.words[token] for token in tokens_L[where_L].tolist()]
            words = words[: words.index(END)] if END in words else words
            texts.append(" ".join(word for word in words if word not in (PAD, SEP)))
        return texts

    def null_condition(self, batch: Batch) -> Batch:
        pad, given_BL = self.token_of[PAD], ~batch.target_BL
        return replace(batch, tokens_BL=batch.tokens_BL.masked_fill(given_BL, pad), encoded={})

    # -- tokens and states -----------------------------------------------------------------------------

    def rows(self) -> Tensor:
        """Return the rows [V, D], of length √D."""
        return math.sqrt(self.state_shape[1]) * functional.normalize(self.raw_rows, dim=1)

    def embed(self, batch: Batch) -> Tensor:
        rows_BLD = functional.embedding(batch.tokens_BL, self.rows())
        return rows_BLD + self.context * self.moved(rows_BLD)

    def moved(self, rows_BLD: Tensor) -> Tensor:
        """Return what a token's neighbours add to its state, no longer than a row, [B, L, D]."""
        return torch.tanh(self.neighbours(rows_BLD.mT).mT)

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        tokens_BL = (state @ self.rows().T).argmax(-1)  # all rows have one length
        return torch.where(batch.target_BL, tokens_BL, batch.tokens_BL)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[..., None]
