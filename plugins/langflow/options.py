"""What a recipe can say about LangFlow; the defaults are the released configuration (lm1b)."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from dlmone.registry import Spacing, Time, TokenizerChoice

from .naming.options import ChainOptions

#: A marker before, one after, and a token between.
MIN_LENGTH = 4
#: Places that a target keeps however long its source is: one token and the marker that ends it.
MIN_TARGET = 2
#: What options are validated with that are a trained teacher's.
TRAINED = {"trained": True}


class LangFlowOptions(BaseModel):
    """A LangFlow teacher.

    Attributes:
        length: tokens of a row, condition included.
        width: of the states, and of the transformer; a multiple of 2·heads.
        condition: width of the noise level's embedding.
        layers, heads: of the transformer; its MLPs are 4·width wide.
        dropout: in both halves of each block.
        bayes: whether the logits have their Bayes term.
        tied: whether the network's own logits are products with the table's rows too, and not of a matrix
            of its own. That is cheaper, and where rows come from a pretrained encoder they say which words
            are alike.
        frequencies: whether the logits' bias starts at the log frequencies of tokens in the training data.
            With the Bayes term, an untrained network then is Bayes' rule for independent tokens. From zero
            the first updates are spent on frequencies; in an encoder with LayerNorm after each part they
            made all positions alike, which it did not recover from.
        normalised: whether rows of the table are scaled to norm √width.
        train_embedding: train the table, as the paper does; otherwise it stays as `init_from` gave it.
        loc, scale, entropy: where the schedule's learned parameters start. Without them, entropy is that of
            the tokens at each position of the training data, and loc = ln(width/entropy).
        schedule_lr: the peak learning rate of loc, scale and entropy in pretraining, without weight decay;
            that of the network by default (the published one is not known).
        cutoff: how much of the schedule's distribution is left out at each end.
        self_conditioning: whether the network reads an earlier estimate of x0.
        self_conditioning_rate: the share of training samples that read one, made in a pass of its own.
        bayes_ramp: updates over which the Bayes term of the logits rises from 0 to its full size.
        conditional: rows have a condition, which stays clean, and generated positions are numbered; the
            variant of dlmone's own.
        source_length: tokens of a condition at most, its two markers included; two thirds of the row by
            default. What is too long of a source is cut, and counted.
        condition_dropout: the share of training samples whose condition is blanked out, for guidance.
        tokenizer: a tokenizer plugin, as "words" (all words of the training data) or "bpe:4000", a table
            with its options, or where a trained one lies: a folder, "package:NAME", or a name of the
            Hugging Face hub.
        encoder_width: if given, a BERT-type encoder of this width, with `layers` and `heads`, stands in the
            place of LangFlow's own blocks.
        init_from: a BERT-type encoder, in the same three places, whose word embeddings the table starts
            from; with encoder_width, its layers too.
        pairs: how many pairs of neighbouring tokens are counted in the training data and kept, the most
            frequent ones, for `chain`.
        triples: the same of triples, whose counts are not kept, at ten bits each.
        chain: how teacher and students name a sequence's tokens together; each by itself by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    length: int = Field(default=128, ge=MIN_LENGTH, le=65_536)
    width: int = Field(default=768, ge=2, le=100_000)
    condition: int = Field(default=128, ge=1, le=100_000)
    layers: int = Field(default=12, ge=1, le=1_000)
    heads: int = Field(default=12, ge=1, le=1_000)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    bayes: bool = True
    tied: bool = False
    frequencies: bool = True
    normalised: bool = True
    train_embedding: bool = True
    loc: float | None = None
    scale: float = Field(default=0.852, gt=0)
    entropy: float | None = Field(default=None, gt=0)
    schedule_lr: float | None = Field(default=None, gt=0)
    cutoff: float = Field(default=1e-5, gt=0, lt=0.1)
    self_conditioning: bool = True
    self_conditioning_rate: float = Field(default=0.25, ge=0, le=1)
    bayes_ramp: int = Field(default=5000, ge=0, le=10**9)
    conditional: bool = False
    source_length: int | None = Field(default=None, ge=3, le=65_536)
    condition_dropout: float = Field(default=0.0, ge=0, lt=1)
    tokenizer: TokenizerChoice = Field(default="bert-base-uncased", validate_default=True)
    encoder_width: int | None = Field(default=None, ge=1, le=100_000)
    init_from: str | None = None
    pairs: int = Field(default=0, ge=0, le=10**8)
    triples: int = Field(default=0, ge=0, le=10**7)
    chain: ChainOptions | None = None

    @model_validator(mode="after")
    def _agree(self, info: ValidationInfo) -> Self:
        if self.encoder_width is not None and self.encoder_width % self.heads:
            raise ValueError(f"encoder_width {self.encoder_width} is not a multiple of heads {self.heads}")
        if self.encoder_width is None and self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of 2·heads ({2 * self.heads})")
        if self.source_length is not None and not self.conditional:
            raise ValueError("source_length is for conditional = true")
        if self.conditional and self.longest_source > self.length - MIN_TARGET:
            raise ValueError(
                f"source_length {self.longest_source} leaves no room for a target in a row of {self.length} "
                f"tokens: it may be {self.length - MIN_TARGET} at most"
            )
        # Trained, it needs no start.
        if not (self.train_embedding or self.init_from or info.context == TRAINED):
            raise ValueError("train_embedding = false needs init_from, a table to start from")
        if self.condition_dropout and not self.conditional:
            raise ValueError("condition_dropout is for conditional = true")
        if self.chain is not None and not self.conditional:
            for name in ("copy_penalty", "copy_floor", "coverage"):
                if getattr(self.chain, name) != ChainOptions.model_fields[name].default:
                    raise ValueError(f"chain.{name} is for conditional = true")
        lacking = self.chain and self.chain.lacking(self.pairs > 0, self.triples > 0)
        if lacking:
            raise ValueError("chain.{} needs {}, how many are kept of the training data".format(*lacking))
        return self

    @property
    def longest_source(self) -> int:
        """Tokens of a condition at most, with its markers."""
        return self.source_length or max(3, self.length * 2 // 3)


class SamplerOptions(BaseModel):
    """LangFlow's sampler.

    Attributes:
        temperature: x0 = softmax(logits/temperature)·E; 1 is the official sampler.
        guidance: of a conditional teacher trained with condition_dropout. The logits are those without the
            condition plus so many times the difference that it makes; 1 is no guidance. Others take two
            network calls a step.
        spacing: how the calls are spread over times: ``time``, evenly in quantiles, is the official sampler;
            ``ratio``, ``log_snr``, or the times after the first.
        until: the time of the last of several calls, by default the cleanest. Where it is not reached, a
            chain still has several tokens to choose from.
        chain: how the tokens are named: as the model says (``model``), by another chain, or each by itself
            (false).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: float = Field(default=1.0, gt=0)
    guidance: float = Field(default=1.0, ge=0)
    spacing: Spacing = "time"
    until: Time | None = None
    chain: ChainOptions | Literal["model"] | None = "model"


class SequenceOptions(BaseModel):
    """Sequence-level distillation.

    Attributes:
        texts: what θ learns to say: φ's texts, or the references of the data (``data``), which ask for no
            call of φ. φ saw them at all times, θ's own time but seldom.
        chain: how φ's call names tokens: as the model says (``model``), by another chain, or each by itself
            (false).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: Literal["teacher", "data"] = "teacher"
    chain: ChainOptions | Literal["model"] | None = "model"
