"""What the evaluators of this plugin can be told, checked before any of them is imported."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: sacreBLEU's tokenisers; ``none`` splits at white space. Those of Japanese and Korean need packages of
#: sacreBLEU's own (``pip install "sacrebleu[ja]"``), and flores200 a download.
SacreTokenizer = Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200", "none"]
#: Those that need neither, and words by Unicode: of scripts without spaces each character is one.
Tokenizer = Literal["13a", "intl", "char", "zh", "none", "unicode"]
Orders = Annotated[tuple[Annotated[int, Field(ge=1, le=1_000)], ...], Field(min_length=1)]


class Options(BaseModel):
    """No evaluator takes a key that it does not know."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SacreBleuOptions(Options):
    """sacreBLEU's own defaults."""

    #: How texts are split into tokens, by sacreBLEU's names.
    tokenize: SacreTokenizer = "13a"
    #: Whether case is ignored.
    lowercase: bool = False


class ChrfOptions(Options):
    """``word_order = 2`` is chrF++."""

    #: The longest n-grams of words that count beside those of characters; 2 is chrF++.
    word_order: int = Field(default=0, ge=0, le=1_000)
    #: Whether case is ignored.
    lowercase: bool = False


class TerOptions(Options):
    """``normalized`` splits off punctuation, ``no_punct`` drops it; case is ignored unless asked for."""

    #: Whether punctuation is split off from words.
    normalized: bool = False
    #: Whether punctuation is dropped.
    no_punct: bool = False
    #: Whether words that differ in case alone differ.
    case_sensitive: bool = False


class IBleuOptions(SacreBleuOptions):
    """``alpha`` is the weight of the references; its rest is the weight of the source."""

    #: Weight of BLEU against the references; 1 − alpha is that of BLEU against the source.
    alpha: float = Field(default=0.8, ge=0, le=1)


class SariOptions(Options):
    """The defaults of both EASSE and Hugging Face's ``evaluate``."""

    #: How texts are split into tokens: sacreBLEU's names, or unicode, which knows all scripts.
    tokenize: Tokenizer = "13a"
    #: Whether case is ignored.
    lowercase: bool = True


class RougeOptions(Options):
    """``use_stemmer`` stems words of more than three letters (Porter); ``unicode`` knows all scripts."""

    #: Whether words of more than three letters are stemmed (Porter).
    use_stemmer: bool = False
    #: Which characters make words: a-z and 0-9, as in the original, or letters of all scripts.
    tokenize: Literal["a-z0-9", "unicode"] = "a-z0-9"


class RatioOptions(Options):
    """Distinct n-grams of each of ``orders``, as a share of all n-grams or of all words."""

    #: Lengths of the n-grams, a score each.
    orders: Orders = (1, 2)
    #: What distinct n-grams are a share of.
    per: Literal["ngrams", "words"] = "ngrams"
    #: How texts are split into tokens: sacreBLEU's names, or unicode, which knows all scripts.
    tokenize: Tokenizer = "13a"


class DistinctOptions(RatioOptions):
    """``level`` says over what n-grams are pooled: all outputs together, or each output by itself."""

    #: Whether n-grams are pooled over all outputs, or counted in each output and averaged.
    level: Literal["corpus", "output"] = "corpus"


class DivNOptions(RatioOptions):
    """n-grams are pooled over the first ``candidates`` outputs for one source."""

    #: Lengths of the n-grams, a score each.
    orders: Orders = (1, 2, 4)
    #: How many of a source's first outputs are pooled.
    candidates: int = Field(default=3, ge=2, le=10_000)


class SelfBleuOptions(Options):
    """BLEU of n-grams up to ``order`` among the first ``candidates`` outputs for one source."""

    #: The longest n-grams of BLEU.
    order: int = Field(default=4, ge=1, le=1_000)
    #: How many of a source's first outputs are compared.
    candidates: int = Field(default=3, ge=2, le=10_000)
    #: How texts are split into tokens: sacreBLEU's names, or unicode, which knows all scripts.
    tokenize: Tokenizer = "13a"
