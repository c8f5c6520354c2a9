"""Vocabularies of whole words and of word pieces, split as BERT splits."""

from collections import Counter
from collections.abc import Iterable, Iterator

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from dlmone.core import InputError
from dlmone.core.text.tokenizer import TokenizerBuilder
from dlmone.plugins.bert.tokenizer import CONTINUED, MARKERS, UNK

from .normal import Text, normalizer
from .options import WordPieceOptions, WordsOptions

#: Characters a trained vocabulary starts from, besides Chinese ones; words with a rarer one do not take part
#: in the training.
ALPHABET_SIZE = 1000
#: Scripts without spaces between words, and their punctuation.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\u3000-\u303f\u30fc\uff00-\uffef]"
#: Full stops and the like of those scripts, which no space comes before.
STOPS = r"[\u3001\u3002\uff01\uff09\uff0c\uff1a\uff1b\uff1f]"
_HAN = range(0x4E00, 0xA000)


class Words(TokenizerBuilder):
    """All words of the texts, the most frequent first."""

    def __init__(self, options: WordsOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        return words(texts, self.options).to_str()


class WordPiece(TokenizerBuilder):
    """A WordPiece vocabulary trained on the texts."""

    def __init__(self, options: WordPieceOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        return wordpiece(texts, self.options).to_str()

    def size(self) -> int:
        return self.options.vocab_size


def words(texts: Iterable[str], options: WordsOptions | None = None) -> tokenizers.Tokenizer:
    """Return a tokenizer of all words of the texts, the most frequent first."""
    options = options or WordsOptions()
    counts = count_words(texts, options)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    kept = [word for word in ordered if counts[word] >= options.min_count]
    vocabulary = {word: number for number, word in enumerate([*MARKERS, *kept])}
    return pipeline(models.WordLevel(vocabulary, unk_token=UNK), options)


def wordpiece(texts: Iterable[str], options: WordPieceOptions | None = None) -> tokenizers.Tokenizer:
    """Return a WordPiece tokenizer trained on the texts; equal texts give equal vocabularies.

    The trainer numbers the ``##`` forms of characters in the order of a randomised hash table, and breaks
    ties by number; named up front, as if they were markers, their numbers are fixed.
    """
    options = options or WordPieceOptions()
    counts = count_words(texts, options)
    alphabet = frequent_characters(counts, options.vocab_size // 2)
    kept = frozenset(alphabet)

    def repeated() -> Iterator[list[str]]:
        for word, count in counts.items():
            if kept.issuperset(word):
                yield [word] * count

    # A Chinese character is a word, so it never goes on with one.
    within = sorted(character for character in alphabet if ord(character) not in _HAN)
    trained = pipeline(models.WordPiece(unk_token=UNK), options)
    trainer = trainers.WordPieceTrainer(
        vocab_size=options.vocab_size,
        special_tokens=[*MARKERS, *(CONTINUED + character for character in within)],
        show_progress=False,
    )
    trained.train_from_iterator(repeated(), trainer)
    return pipeline(models.WordPiece(trained.get_vocab(), unk_token=UNK), options)


def frequent_characters(counts: Counter[str], most_han: int) -> list[str]:
    """Return the most frequent characters of words, and those that are Chinese up to ``most_han``."""
    frequency: Counter[str] = Counter()
    for word, count in counts.items():
        frequency.update(dict.fromkeys(word, count))
    ordered = sorted(frequency, key=lambda character: (-frequency[character], character))
    han = [character for character in ordered if ord(character) in _HAN]
    others = [character for character in ordered if ord(character) not in _HAN]
    return others[:ALPHABET_SIZE] + han[:most_han]


def pipeline(model: models.Model, options: Text) -> tokenizers.Tokenizer:
    """Return a tokenizer around ``model`` that splits as BERT's does.

    It joins Chinese and Japanese again when it decodes.
    """
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = _clean(options)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    gap = decoders.Replace(Regex(f"(?<={UNSPACED}) (?={UNSPACED})| (?={STOPS})"), "")
    backend.decoder = decoders.Sequence([decoders.WordPiece(cleanup=False), decoders.Fuse(), gap])
    # A marker is one token wherever a text spells it out.
    backend.add_special_tokens([marker for marker in MARKERS if backend.token_to_id(marker) is not None])
    return backend


def count_words(texts: Iterable[str], options: Text) -> Counter[str]:
    """Count the words of the texts.

    Raises:
        InputError: there are none.
    """
    clean, splitter = _clean(options), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(clean.normalize_str(text)))
    if not counts:
        raise InputError("tokenizer: the training texts have no words to build a vocabulary of")
    return counts


def _clean(options: Text) -> normalizers.Normalizer:
    # Its own case and accents are left out: it takes the marks off kana too.
    cleaner = normalizers.BertNormalizer(strip_accents=False, lowercase=False)
    return normalizers.Sequence([cleaner, normalizer(options)])
