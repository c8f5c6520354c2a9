"""LangFlow's tokens: text to ids without markers, and back."""

from collections.abc import Sequence
from typing import Self

import tokenizers

from dlmone.plugins.bert.tokenizer import Tokenizer


class Vocabulary:
    """Text to ids without markers, and back; the numbers of the markers.

    GPT-2's one marker begins, ends and fills a sequence.

    Args:
        backend: a tokenizer; the markers that it lacks are added.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self.tokenizer = Tokenizer(backend)
        self.backend = self.tokenizer.backend
        self.start, self.end, self.pad = (
            self.tokenizer.cls_id,
            self.tokenizer.sep_id,
            self.tokenizer.pad_id,
        )

    @property
    def size(self) -> int:
        return self.tokenizer.size

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)[1:-1]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, markers left out."""
        return self.tokenizer.text(tokens)

    def encode_lines(self, text: str) -> list[int]:
        """Return the tokens of running text: a marker stands where a line breaks.

        GPT-2's tokens have line breaks of their own.
        """
        if self.start == self.end:
            return self.encode(text.strip())
        first, *others = text.split("\n")
        lines = [self.encode(first.strip()), *([self.start, *self.encode(line.strip())] for line in others)]
        return [token for line in lines for token in line]

    def decode_lines(self, tokens: Sequence[int]) -> str:
        """Return the text of a row, undoing `encode_lines`; the row's own markers are left out."""
        if self.start == self.end:
            return self.decode(tokens)
        kept = [token for token in tokens if token != self.pad]
        kept = kept[kept[:1] == [self.start] :]
        kept = kept[: len(kept) - (kept[-1:] == [self.start])]
        ends = [place for place, token in enumerate(kept) if token == self.start]
        starts = [0, *(place + 1 for place in ends)]
        return "\n".join(
            self.decode(kept[start:end]) for start, end in zip(starts, [*ends, len(kept)], strict=True)
        )

    def to_bytes(self) -> bytes:
        return self.tokenizer.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild what `to_bytes` gave.

        Raises:
            InputError: the bytes are something else.
        """
        return cls(Tokenizer.from_bytes(data).backend)
