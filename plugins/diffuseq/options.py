"""Options of the DiffuSeq teacher and of its samplers; the defaults are the released configuration."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dlmone.registry import TokenizerChoice

#: [CLS] and the two [SEP] between condition and target, [CLS] and [SEP] around it, and one token.
MIN_SEQ_LEN = 6


class DiffuSeqOptions(BaseModel):
    """A DiffuSeq teacher.

    Attributes:
        seq_len: tokens of condition and target together.
        hidden_dim: width of the embeddings that are diffused.
        hidden_t_dim: width of the sinusoidal time embedding.
        width, layers, heads, feedforward: the encoder's sizes; feedforward is 4·width by default.
        dropout, attention_dropout: dropout rates in training.
        max_positions: rows of the position table, at least seq_len.
        diffusion_steps, noise_schedule: the forward diffusion.
        time_sampler: distribution of training times: by their past losses, uniform, or nine of ten from
            ``noisy_from`` on ("noisy"; without importance weights, so these times count for more).
        noisy_from: first of the frequent times with "noisy".
        clean_target: predict the clean embedding, as the released QQP model does, instead of x0.
        loss_positions: positions that the loss counts: "all", as in the official code, or "generated".
        length_groups: number of groups of like length that a batch is trained in, each without its common
            padding. 1, as in the official code, keeps the full length.
        tokenizer: a tokenizer plugin, as "words" (all words of the training data) or "bpe:4000", a table
            with its options, or where a trained one lies: a folder, "package:NAME", or a name of the
            Hugging Face hub.
        init_from: a BERT-type encoder to start from, in the same three places.
        init_embedding: take its word embeddings too, projected to hidden_dim (`pretrained/embedding.py`).
        train_embedding: train the embedding, as the official code does; otherwise it stays fixed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seq_len: int = Field(default=128, ge=MIN_SEQ_LEN, le=65_536)
    hidden_dim: int = Field(default=128, ge=1, le=100_000)
    hidden_t_dim: int = Field(default=128, ge=2, le=100_000)
    width: int = Field(default=768, ge=1, le=100_000)
    layers: int = Field(default=12, ge=1, le=1_000)
    heads: int = Field(default=12, ge=1, le=1_000)
    feedforward: int | None = Field(default=None, ge=1, le=400_000)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    max_positions: int = Field(default=512, ge=1, le=1_000_000)
    diffusion_steps: int = Field(default=2000, ge=2, le=1_000_000)
    noise_schedule: Literal["sqrt", "linear", "cosine"] = "sqrt"
    time_sampler: Literal["lossaware", "uniform", "noisy"] = "lossaware"
    noisy_from: int = Field(default=700, ge=0, le=1_000_000)
    clean_target: bool = False
    loss_positions: Literal["all", "generated"] = "all"
    length_groups: int = Field(default=1, ge=1, le=1_000)
    tokenizer: TokenizerChoice = Field(default="bert-base-uncased", validate_default=True)
    init_from: str | None = None
    init_embedding: bool = False
    train_embedding: bool = True

    @property
    def feedforward_width(self) -> int:
        return self.feedforward or 4 * self.width

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.seq_len > self.max_positions:
            raise ValueError(f"seq_len {self.seq_len} is more than max_positions {self.max_positions}")
        if self.init_embedding and self.init_from is None:
            raise ValueError("init_embedding takes the word embeddings of init_from, which names no encoder")
        if self.time_sampler == "noisy" and self.noisy_from >= self.diffusion_steps:
            raise ValueError(
                f"noisy_from {self.noisy_from} is not below diffusion_steps {self.diffusion_steps}"
            )
        return self


class SamplerOptions(BaseModel):
    """An official sampler.

    Attributes:
        rounding: replace each prediction by the nearest embeddings before it is used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rounding: bool = True


class DDPMOptions(SamplerOptions):
    """The ancestral sampler.

    Attributes:
        clamp_step: the earliest time at which predictions are rounded.
    """

    clamp_step: int = Field(default=0, ge=0, le=1_000_000)
