"""A tokenizer trained elsewhere."""

from collections.abc import Iterable

from dlmone.core.text.tokenizer import TokenizerBuilder
from dlmone.plugins.bert.files import load_backend
from dlmone.plugins.bert.tokenizer import Tokenizer

from .options import PretrainedOptions

#: Sizes of tokenizers that need not be at hand for an estimate.
SIZES = {"bert-base-uncased": 30522}


class Pretrained(TokenizerBuilder):
    """A ``tokenizer.json``, ``vocab.txt`` or DiffuSeq's ``vocab.json``, whole or cut to what occurs."""

    def __init__(self, options: PretrainedOptions) -> None:
        self.options = options

    def build(self, texts: Iterable[str]) -> str:
        path, minimum = self.options.path, self.options.min_count
        if minimum:
            return Tokenizer.load(path).cut(texts, minimum).backend.to_str()
        return load_backend(path)[1].to_str()

    def size(self) -> int:
        return SIZES.get(self.options.path) or Tokenizer.load(self.options.path).size
