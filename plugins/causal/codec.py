"""Tokenise text for a causal language model: ``condition separator | generated tokens, padding``."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from dlmone.core import Batch, Codec, Example, InputError, Reading

from .options import CausalOptions


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used here."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: list[int]) -> str: ...


class Utf8:
    """Tokenise text into UTF-8 bytes, for models with random weights, which have no tokenizer."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, tokens: list[int]) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")


class CausalCodec(Codec):
    """Rows of ``max_source + max_tokens`` positions; all that follows the separator is generated.

    Args:
        tokenizer: text to ids and back.
        options: the lengths, and the separator.
        pad_id: the padding token.
        end_id: the end-of-text token, if the model has one.
    """

    conditional = True

    def __init__(
        self, tokenizer: Tokenizer, options: CausalOptions, pad_id: int, end_id: int | None = None
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.options = options
        self.pad_id = pad_id
        self.end_id = end_id
        self.separator = tokenizer.encode(options.separator)

    def collate(self, examples: Sequence[Example]) -> Batch:
        length = self.options.max_source + self.options.max_tokens
        tokens_BL = torch.full((len(examples), length), self.pad_id)
        target_BL = torch.ones(len(examples), length, dtype=torch.bool)
        for row, example in enumerate(examples):
            source = self._source(example)
            target = self.tokenizer.encode(example.target)[: self.options.max_tokens]
            if self.end_id is not None:
                target = [*target[: self.options.max_tokens - 1], self.end_id]
            tokens_BL[row, : len(source) + len(target)] = torch.tensor(source + target)
            target_BL[row, : len(source)] = False
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, target_BL, examples=tuple(examples))

    def reference_text(self, batch: Batch) -> list[str]:
        if not batch.examples:
            return super().reference_text(batch)
        encode, decode = self.tokenizer.encode, self.tokenizer.decode
        return [decode(encode(example.target)).strip() for example in batch.examples]

    def reading(self, example: Example, alone: bool = False) -> Reading:
        source, target = self._source(example), self.tokenizer.encode(example.target)
        room = self.options.max_tokens - (self.end_id is not None)
        return Reading(len(source) - len(self.separator) + len(target), target_cut=max(0, len(target) - room))

    def _source(self, example: Example) -> list[int]:
        source = [*self.tokenizer.encode(example.source), *self.separator]
        if len(source) > self.options.max_source:
            raise InputError(
                f"example {example.id}: its source has {len(source)} tokens with the separator, "
                f"more than max_source {self.options.max_source}"
            )
        return source

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        return [
            self.tokenizer.decode(self._written(row)).strip() for row in _parts(tokens_BL, batch.target_BL)
        ]

    def source_text(self, batch: Batch) -> list[str]:
        rows = _parts(batch.tokens_BL, ~batch.target_BL)
        return [self.tokenizer.decode(row[: -len(self.separator)]) for row in rows]

    def _written(self, tokens: list[int]) -> list[int]:
        """Cut a row at its end marker, or before its padding."""
        stops = {self.pad_id, self.end_id}
        return tokens[: next((i for i, token in enumerate(tokens) if token in stops), None)]


def _parts(tokens_BL: Tensor, where_BL: Tensor) -> list[list[int]]:
    rows = zip(tokens_BL.cpu(), where_BL.cpu(), strict=True)
    return [tokens_L[where_L].tolist() for tokens_L, where_L in rows]
