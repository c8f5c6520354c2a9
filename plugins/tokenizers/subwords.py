"""SentencePiece's two models, for any script: byte-pair encoding and the unigram model."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from dlmone.core import InputError
from dlmone.core.text.tokenizer import TokenizerBuilder
from dlmone.plugins.bert.tokenizer import MARKERS, UNK

from .normal import normalizer
from .options import SubwordOptions

#: Decimal places of a piece's log-probability.
DIGITS = 6
#: What the trainer puts between the scores of characters that it had to keep.
GAP = 1e-4


class Bpe(TokenizerBuilder):
    """Pieces merged by frequency (Sennrich et al., 2016), over text with its spaces."""

    def __init__(self, options: SubwordOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        trainer = trainers.BpeTrainer(
            vocab_size=self.options.vocab_size,
            special_tokens=[*MARKERS],
            limit_alphabet=max(1, self.options.vocab_size // 2),
            show_progress=False,
        )
        return _trained(models.BPE(unk_token=UNK), trainer, texts, self.options)

    def size(self) -> int:
        return self.options.vocab_size


class Unigram(TokenizerBuilder):
    """The pieces that make the texts likeliest (Kudo, 2018), over text with its spaces."""

    def __init__(self, options: SubwordOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        trainer = trainers.UnigramTrainer(
            vocab_size=self.options.vocab_size,
            special_tokens=[*MARKERS],
            unk_token=UNK,
            show_progress=False,
        )
        trained = json.loads(_trained(models.Unigram(), trainer, texts, self.options))
        markers, pieces = trained["model"]["vocab"][: len(MARKERS)], trained["model"]["vocab"][len(MARKERS) :]
        trained["model"]["vocab"] = [*markers, *_in_fixed_order(pieces)]
        return json.dumps(trained, ensure_ascii=False)

    def size(self) -> int:
        return self.options.vocab_size


def _in_fixed_order(pieces: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return pieces as any run of the trainer could have given them, the likeliest first.

    It reads randomised hash tables in their order: sums differ in their last digits, and the characters that
    it had to keep get the lowest scores, `GAP` apart, in any order; here, in the alphabet's.
    """
    scores = {piece: round(score, DIGITS) for piece, score in pieces}
    rising = sorted((score, piece) for piece, score in scores.items() if len(piece) == 1)
    end = 1
    while end < len(rising) and rising[end][0] - rising[end - 1][0] < 1.05 * GAP:
        end += 1
    kept = rising[:end]
    scores |= dict(zip(sorted(piece for _, piece in kept), (score for score, _ in kept), strict=True))
    return sorted(scores.items(), key=lambda piece: (-piece[1], piece[0]))


def _trained(
    model: models.Model, trainer: trainers.Trainer, texts: Iterable[str], options: SubwordOptions
) -> str:
    backend = tokenizers.Tokenizer(model)
    one_space = normalizers.Replace(Regex(r"\s+"), " ")
    backend.normalizer = normalizers.Sequence([normalizer(options), one_space, normalizers.Strip()])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    # Sorted, so that their order and the tables that the trainer makes of it do not count.
    counts = Counter(map(backend.normalizer.normalize_str, texts))
    if not any(counts):
        raise InputError("tokenizer: the training texts are empty")
    backend.train_from_iterator((text for text in sorted(counts) for _ in range(counts[text])), trainer)
    return backend.to_str()
