"""Text to token ids and back, for diffusion models: any tokenizer, with its markers."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import tokenizers
from tokenizers import models

from dlmone.core import InputError

from .files import load_backend


class Markers(NamedTuple):
    """The tokens that are no text. One token may play several parts."""

    pad: str
    unknown: str
    start: str
    end: str


BERT = Markers("[PAD]", "[UNK]", "[CLS]", "[SEP]")
#: In the order in which a vocabulary is looked through, by the marker that ends a text.
FAMILIES = (
    BERT,
    Markers("[PAD]", "[UNK]", "[START]", "[END]"),  # DiffuSeq's own vocabularies
    Markers("<pad>", "<unk>", "<s>", "</s>"),  # SentencePiece
    Markers(*("<|endoftext|>",) * 4),  # GPT-2
)
PAD, UNK, CLS, SEP = MARKERS = BERT
#: How WordPiece marks a piece that goes on with a word.
CONTINUED = "##"
#: What the official decoding (transformers 4.22.2) turns back to ordinary spacing, in this order.
CLEAN_UP = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'"}
CLEAN_UP |= {" n't": "n't", " 'm": "'m", " 's": "'s", " 've": "'ve", " 're": "'re"}


class Tokenizer:
    """Text to ids ``[CLS] … [SEP]`` and back.

    Markers that the backend lacks are added to it, BERT's where it has none at all: padding, and the start
    and end of a text. An unknown token is not: a vocabulary of bytes needs none.

    Raises:
        InputError: the vocabulary's ids are not 0, 1, 2, …
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        backend.no_truncation()
        backend.no_padding()
        check_ids(backend)
        self.backend = backend
        known = [family for family in FAMILIES if backend.token_to_id(family.end) is not None]
        self.markers = markers = known[0] if known else BERT
        needed = (markers.pad, markers.end) if known else markers
        missing = [marker for marker in dict.fromkeys(needed) if backend.token_to_id(marker) is None]
        backend.add_special_tokens(missing)
        self.pad_id, self.sep_id = (_number(backend, marker) for marker in (markers.pad, markers.end))
        start = backend.token_to_id(markers.start)
        #: T5's has no marker for the start.
        self.cls_id: int = self.sep_id if start is None else start
        unknown = backend.token_to_id(markers.unknown)
        self.unk_id: int | None = None if unknown == self.sep_id else unknown
        #: The token that stands for anything unknown, if there is one.
        self.unknown = None if self.unk_id is None else markers.unknown
        #: Whether spaces around punctuation are lost, so that decoding puts the usual ones back.
        self.is_spaced = (
            markers is BERT
            and isinstance(backend.model, models.WordPiece | models.WordLevel)
            and str(backend.decoder) != "Fuse()"  # characters, spaces among them
        )

    @property
    def size(self) -> int:
        return self.backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return [self.cls_id, *self.backend.encode(text, add_special_tokens=False).ids, self.sep_id]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the official string: trailing [PAD]s cut, other markers kept, spaces cleaned up."""
        end = len(tokens)
        while end and tokens[end - 1] == self.pad_id:
            end -= 1
        text = self.backend.decode(tokens[:end], skip_special_tokens=False)
        if self.is_spaced:
            for spaced, close in CLEAN_UP.items():
                text = text.replace(spaced, close)
        return text

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without markers and superfluous white space; unknown tokens stay."""
        return self.without_markers(self.decode(tokens))

    def without_markers(self, text: str) -> str:
        """Return a decoded text without its markers."""
        pad, _, start, end = self.markers
        return " ".join(re.sub("|".join(map(re.escape, {pad, start, end})), " ", text).split())

    def read_back(self, text: str) -> str:
        """Return a text as a model that wrote it would show it."""
        return self.text(self.encode(text))

    def to_bytes(self) -> bytes:
        return self.backend.to_str().encode()

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

    @classmethod
    def load(cls, name: str) -> Self:
        """Load a tokenizer file from a path, an installed package or the hub (`load_backend`).

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path, backend = load_backend(name)
        try:
            return cls(backend)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def cut(self, texts: Iterable[str], min_count: int) -> Self:
        """Return this WordPiece tokenizer with the pieces that occur ``min_count`` times in the texts.

        The characters that occur stay too, at the beginning of words and within: what has lost its piece is
        spelled with smaller ones.

        Raises:
            InputError: it is no WordPiece tokenizer.
        """
        if not isinstance(self.backend.model, models.WordPiece):
            raise InputError("min_count cuts WordPiece tokenizers, and this is another kind")
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self.backend.encode(text, add_special_tokens=False).tokens)
        letters = {letter for piece in counts for letter in piece.removeprefix(CONTINUED)}
        kept = {*self.markers, *letters, *(CONTINUED + letter for letter in letters)}
        kept |= {piece for piece, count in counts.items() if count >= min_count}
        numbers = self.backend.get_vocab()
        ordered = sorted(kept & numbers.keys(), key=numbers.__getitem__)
        vocabulary = {piece: number for number, piece in enumerate(ordered)}
        backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNK))
        backend.normalizer, backend.pre_tokenizer = self.backend.normalizer, self.backend.pre_tokenizer
        backend.decoder = self.backend.decoder
        backend.add_special_tokens([*self.markers])
        return type(self)(backend)


def _number(backend: tokenizers.Tokenizer, marker: str) -> int:
    number = backend.token_to_id(marker)
    assert number is not None, "missing markers were added"
    return number


def check_ids(backend: tokenizers.Tokenizer) -> None:
    """Check that the ids of a vocabulary number the rows of a table.

    Raises:
        InputError: one is missing, or two tokens share one.
    """
    tokens = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    for number, (token, found) in enumerate(tokens):
        if found < number:
            other = tokens[number - 1][0]
            raise InputError(f"its tokens {other!r} and {token!r} have the same id, {found}")
        if found > number:
            raise InputError(
                f"its {len(tokens)} tokens need the ids 0 to {len(tokens) - 1}, "
                f"but none has the id {number}, and {tokens[-1][0]!r} has {tokens[-1][1]}"
            )
