"""−ln p of the tokens of texts under a causal language model."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dlmone.core import InputError
from dlmone.core.transfer import to_device

from .loading import load_pretrained
from .options import PerplexityOptions
from .protocols import PROTOCOLS


class ScoredText(NamedTuple):
    """What a model read of a text, and −ln p (nats) of all of it but the first token."""

    tokens: tuple[int, ...]
    losses: tuple[float, ...]


class Scorer:
    """A causal language model that reads texts by a protocol.

    Raises:
        InputError: there is no such model, or it lacks a token that the protocol needs.
    """

    def __init__(self, options: PerplexityOptions) -> None:
        self.options, self.protocol = options, PROTOCOLS[options.protocol]
        self.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = self.protocol.dtype(self.device)
        network, self.tokenizer = load_pretrained(options.model, dtype)
        self.network: Any = network.requires_grad_(False).eval().to(self.device)
        end = self.tokenizer.eos_token_id
        if end is None:
            raise InputError(f"{options.model}: its tokenizer has no end token, which pads a batch")
        begin = self.tokenizer.bos_token_id
        self.begin, self.end = end if begin is None else begin, end
        self.most = min(options.max_tokens, getattr(network.config, "max_position_embeddings", 1 << 30))

    @property
    def size(self) -> int:
        """The size of the vocabulary."""
        return int(self.network.config.vocab_size)

    def score(self, texts: Sequence[str]) -> list[ScoredText]:
        """Score texts, in batches of their order."""
        return [
            one for start in range(0, len(texts), self.options.batch) for one in self._batch(texts, start)
        ]

    def _batch(self, texts: Sequence[str], start: int) -> Iterator[ScoredText]:
        part = texts[start : start + self.options.batch]
        rows = [self.protocol.tokens(self.encode(text), self.begin, self.end, self.most) for text in part]
        counts = self.protocol.counts([len(row) for row in rows])
        longest = max(map(len, rows))
        if longest < 2:
            yield from (ScoredText((), ()) for _ in rows)
            return
        tokens_BL = torch.full((len(rows), longest), self.end)
        mask_BL = torch.zeros(len(rows), longest, dtype=torch.long)
        for tokens_L, mask_L, row in zip(tokens_BL, mask_BL, rows, strict=True):
            tokens_L[: len(row)], mask_L[: len(row)] = torch.tensor(row, dtype=torch.long), 1
        there_BL = to_device(tokens_BL, self.device)
        with torch.no_grad():
            answer = self.network(
                input_ids=there_BL, attention_mask=to_device(mask_BL, self.device), use_cache=False
            )
            losses = token_losses(answer.logits, there_BL, counts)
        for tokens_L, count, own in zip(tokens_BL, counts, losses, strict=True):
            yield ScoredText(tuple(tokens_L[: count + 1 if count else 0].tolist()), own)

    def frame(self, text: str) -> str:
        """Return the text as the protocol frames it."""
        return self.protocol.frame(text, self.options.marker)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of the framed text, cut."""
        encoded: list[int] = self.tokenizer.encode(self.frame(text), add_special_tokens=False)
        return encoded[: self.most]


def token_losses(logits_BLV: Tensor, tokens_BL: Tensor, counts: Sequence[int]) -> list[tuple[float, ...]]:
    """Return −ln p(token | tokens before) of each row's first ``counts`` tokens after the first."""
    losses_BT = functional.cross_entropy(
        logits_BLV[:, :-1].float().transpose(1, 2), tokens_BL[:, 1:], reduction="none"
    )
    return [tuple(row_T[:count]) for row_T, count in zip(losses_BT.tolist(), counts, strict=True)]
