"""BERT-type tokenizers: built from the training data, trained on it, or loaded."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from dlmone.core import InputError

from .folders import model_folder, read_object

PAD, UNK, CLS, SEP = MARKERS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK = "[MASK]"
#: How WordPiece marks a piece that goes on with a word.
CONTINUED = "##"
#: Characters a trained vocabulary starts from; words with a rarer one do not take part in the training.
ALPHABET_SIZE = 1000
#: What the official decoding (transformers 4.22.2) turns back to ordinary spacing, in this order.
CLEAN_UP = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'"}
CLEAN_UP |= {" n't": "n't", " 'm": "'m", " 's": "'s", " 've": "'ve", " 're": "'re"}


class Tokenizer:
    """Text to ids ``[CLS] … [SEP]`` and back.

    Raises:
        InputError: the backend's vocabulary lacks one of BERT's markers.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.pad_id, _, self.cls_id, self.sep_id = (self._marker(marker) for marker in MARKERS)

    def _marker(self, marker: str) -> int:
        token = self.backend.token_to_id(marker)
        if token is None:
            raise InputError(f"this tokenizer is not of BERT's type: its vocabulary has no {marker}")
        return token

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
        for spaced, close in CLEAN_UP.items():
            text = text.replace(spaced, close)
        return text

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
    def words(cls, texts: Iterable[str]) -> Self:
        """Build a vocabulary of all words of the texts, the most frequent first."""
        counts = count_words(texts)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        vocabulary = {word: number for number, word in enumerate([*MARKERS, *ordered])}
        return cls(bert_pipeline(models.WordLevel(vocabulary, unk_token=UNK)))

    @classmethod
    def wordpiece(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """Train a WordPiece vocabulary; equal texts give equal vocabularies.

        The trainer numbers the ``##`` forms of characters in the order of a randomised hash table, and
        breaks ties by number; named up front, as if they were markers, their numbers are fixed.
        """
        counts = count_words(texts)
        frequency: Counter[str] = Counter()
        for word, count in counts.items():
            frequency.update(dict.fromkeys(word, count))
        alphabet = sorted(frequency, key=lambda character: (-frequency[character], character))[:ALPHABET_SIZE]

        kept = frozenset(alphabet)

        def repeated() -> Iterator[list[str]]:
            for word, count in counts.items():
                if kept.issuperset(word):
                    yield [word] * count

        trained = bert_pipeline(models.WordPiece(unk_token=UNK))
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=[*MARKERS, *(CONTINUED + character for character in sorted(alphabet))],
            show_progress=False,
        )
        trained.train_from_iterator(repeated(), trainer)
        return cls(bert_pipeline(models.WordPiece(trained.get_vocab(), unk_token=UNK)))

    @classmethod
    def load(cls, name: str) -> Self:
        """Load ``tokenizer.json`` or ``vocab.txt`` from a folder, an installed package or the hub.

        Raises:
            InputError: there is no such folder, it holds neither file, or one that cannot be read.
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
            raise InputError("vocab_min_count cuts WordPiece tokenizers, and this is another kind")
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self.backend.encode(text, add_special_tokens=False).tokens)
        letters = {letter for piece in counts for letter in piece.removeprefix(CONTINUED)}
        kept = {*MARKERS, *letters, *(CONTINUED + letter for letter in letters)}
        kept |= {piece for piece, count in counts.items() if count >= min_count}
        numbers = self.backend.get_vocab()
        ordered = sorted(kept & numbers.keys(), key=numbers.__getitem__)
        vocabulary = {piece: number for number, piece in enumerate(ordered)}
        backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNK))
        backend.normalizer, backend.pre_tokenizer = self.backend.normalizer, self.backend.pre_tokenizer
        backend.decoder = self.backend.decoder
        backend.add_special_tokens([*MARKERS])
        return type(self)(backend)


def tokenizer_for(name: str, texts: Iterable[str], vocab_size: int, vocab_min_count: int) -> Tokenizer:
    """Return the tokenizer that a teacher's options name.

    Args:
        name: "words" (all words of the texts), "wordpiece" (trained on them), or where one lies.
        texts: the training texts.
        vocab_size: for "wordpiece".
        vocab_min_count: of a loaded one, keep the pieces that occur so often in the texts; 0 keeps all.
    """
    if name == "words":
        return Tokenizer.words(texts)
    if name == "wordpiece":
        return Tokenizer.wordpiece(texts, vocab_size)
    tokenizer = Tokenizer.load(name)
    return tokenizer.cut(texts, vocab_min_count) if vocab_min_count else tokenizer


def load_backend(name: str) -> tuple[Path, tokenizers.Tokenizer]:
    """Read ``tokenizer.json`` or ``vocab.txt``, of a tokenizer of any kind; return the file too.

    Raises:
        InputError: there is no such folder, it holds neither file, or one that cannot be read.
    """
    folder = model_folder(name, ("tokenizer.json", "vocab.txt", "tokenizer_config.json"))
    readers: dict[str, Callable[[str], tokenizers.Tokenizer]] = {
        "tokenizer.json": tokenizers.Tokenizer.from_file,
        "vocab.txt": partial(read_vocabulary, lowercase=is_uncased(folder)),
    }
    for file, read in readers.items():
        if (path := folder / file).is_file():
            try:
                return path, read(str(path))
            except Exception as error:  # the library raises nothing more specific
                raise InputError(f"{path} is no tokenizer: {error}") from None
    raise InputError(f"tokenizer {name!r}: {folder} holds neither tokenizer.json nor vocab.txt")


def read_vocabulary(path: str, lowercase: bool) -> tokenizers.Tokenizer:
    """Return BERT's tokenizer with the vocabulary of a ``vocab.txt``."""
    return bert_pipeline(models.WordPiece(models.WordPiece.read_file(path), unk_token=UNK), lowercase)


def bert_pipeline(model: models.Model, lowercase: bool = True) -> tokenizers.Tokenizer:
    """Return a tokenizer around ``model`` that cleans and splits text as BERT's does."""
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if isinstance(model, models.WordPiece):
        backend.decoder = tokenizers.decoders.WordPiece()
    # A marker is one token wherever a text spells it out.
    known = [marker for marker in (*MARKERS, MASK) if backend.token_to_id(marker) is not None]
    backend.add_special_tokens(known)
    return backend


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of BERT's normaliser and pre-tokeniser."""
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    return counts


def is_uncased(folder: Path) -> bool:
    """Return whether the tokenizer in a folder lower-cases; BERT's does where nothing is said."""
    config = folder / "tokenizer_config.json"
    return not config.is_file() or bool(read_object(config).get("do_lower_case", True))


def without_markers(text: str) -> str:
    """Return ``text`` without [CLS], [SEP], [PAD] and superfluous white space."""
    return " ".join(re.sub("|".join(map(re.escape, (CLS, SEP, PAD))), " ", text).split())
