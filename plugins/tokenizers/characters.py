"""A vocabulary of single characters, for any script."""

from collections import Counter
from collections.abc import Iterable

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from dlmone.core import InputError
from dlmone.core.text.tokenizer import TokenizerBuilder
from dlmone.plugins.bert.tokenizer import MARKERS, UNK

from .normal import normalizer
from .options import CharactersOptions


class Characters(TokenizerBuilder):
    """The characters of the texts, the most frequent first."""

    def __init__(self, options: CharactersOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        one_space = normalizers.Replace(Regex(r"\s+"), " ")
        clean = normalizers.Sequence([normalizer(self.options), one_space, normalizers.Strip()])
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(clean.normalize_str(text))
        if not counts:
            raise InputError("tokenizer: the training texts have no characters to build a vocabulary of")
        ordered = sorted(counts, key=lambda character: (-counts[character], character))
        kept = [character for character in ordered if counts[character] >= self.options.min_count]
        vocabulary = {token: number for number, token in enumerate([*MARKERS, *kept])}
        backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
        backend.normalizer = clean
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m)."), "isolated")
        backend.decoder = decoders.Fuse()
        backend.add_special_tokens([*MARKERS])
        return backend.to_str()
