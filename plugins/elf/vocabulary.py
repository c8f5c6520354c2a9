"""ELF's tokens: T5's, or all words of the training data with T5's markers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from dlmone.core import InputError

PAD, EOS, UNK = MARKERS = ("<pad>", "</s>", "<unk>")


class Vocabulary:
    """Text to ids without markers, and back; the numbers of the markers.

    Raises:
        InputError: the backend is no tokenizer of T5's type.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.pad, self.eos = self._marker(PAD), self._marker(EOS)

    def _marker(self, marker: str) -> int:
        token: int | None = self.backend.token_to_id(marker)
        if token is None:
            raise InputError(f"this tokenizer is not of T5's type: its vocabulary has no {marker}")
        return token

    @property
    def size(self) -> int:
        size: int = self.backend.get_vocab_size()
        return size

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, markers left out."""
        text: str = self.backend.decode(tokens, skip_special_tokens=True)
        return text.strip()

    @classmethod
    def words(cls, texts: Iterable[str]) -> Self:
        """Build a vocabulary of all words of the texts, the most frequent first."""
        # Accents and the marks of voiced kana are kept.
        clean = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
        split = pre_tokenizers.BertPreTokenizer()
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(word for word, _ in split.pre_tokenize_str(clean.normalize_str(text)))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        numbers = {word: number for number, word in enumerate([*MARKERS, *ordered])}
        backend = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token=UNK))
        backend.normalizer, backend.pre_tokenizer = clean, split
        backend.add_special_tokens([*MARKERS])
        return cls(backend)

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
