"""LangFlow's tokens: BERT's, or GPT-2's, whose one marker begins, ends and fills a sequence."""

from collections.abc import Sequence
from typing import Self

import tokenizers

from dlmone.core import InputError
from dlmone.plugins.bert.tokenizer import CLS, PAD, SEP, Tokenizer, without_markers

GPT2_MARKER = "<|endoftext|>"


class Vocabulary:
    """Text to ids without markers, and back; the numbers of the markers.

    Args:
        backend: a tokenizer with BERT's markers, or with GPT-2's.

    Raises:
        InputError: it has neither.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self.backend = backend
        markers = (CLS, SEP, PAD) if backend.token_to_id(PAD) is not None else (GPT2_MARKER,) * 3
        ids = [token for marker in markers if (token := backend.token_to_id(marker)) is not None]
        if len(ids) < len(markers):
            raise InputError(f"this tokenizer has neither BERT's markers nor {GPT2_MARKER}")
        self.start, self.end, self.pad = ids
        self._bert = Tokenizer(backend) if markers[0] == CLS else None

    @property
    def size(self) -> int:
        size: int = self.backend.get_vocab_size()
        return size

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, markers left out."""
        if self._bert is not None:
            return without_markers(self._bert.decode(tokens))
        text: str = self.backend.decode(tokens, skip_special_tokens=True)
        return text.replace(GPT2_MARKER, " ").strip()

    def encode_lines(self, text: str) -> list[int]:
        """Return the tokens of running text: a marker stands where a line breaks.

        GPT-2's tokens have line breaks of their own.
        """
        if self._bert is None:
            return self.encode(text.strip())
        first, *others = text.split("\n")
        lines = [self.encode(first.strip()), *([self.start, *self.encode(line.strip())] for line in others)]
        return [token for line in lines for token in line]

    def decode_lines(self, tokens: Sequence[int]) -> str:
        """Return the text of a row, undoing `encode_lines`; the row's own markers are left out."""
        if self._bert is None:
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
        data: bytes = self.backend.to_str().encode()
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild what `to_bytes` gave.

        Raises:
            InputError: the bytes are something else.
        """
        try:
            backend = tokenizers.Tokenizer.from_str(data.decode())
        except Exception as error:  # the library raises nothing more specific
            raise InputError(f"this is no tokenizer: {error}") from None
        return cls(backend)
