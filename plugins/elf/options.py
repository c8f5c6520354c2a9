"""What a recipe can say about ELF; the defaults are the released configuration for XSum (ELF-B)."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dlmone.registry import Spacing


class T5Sizes(BaseModel):
    """A T5 encoder, in the words of its own ``config.json``; the defaults are t5-small's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    vocab_size: int = Field(default=32128, ge=4, le=10_000_000)
    d_model: int = Field(default=512, ge=1, le=100_000)
    d_kv: int = Field(default=64, ge=1, le=100_000)
    d_ff: int = Field(default=2048, ge=1, le=400_000)
    num_layers: int = Field(default=6, ge=1, le=1_000)
    num_heads: int = Field(default=8, ge=1, le=1_000)
    feed_forward_proj: str = "relu"
    layer_norm_epsilon: float = Field(default=1e-6, gt=0)
    relative_attention_num_buckets: int = Field(default=32, ge=2, le=65_536)
    relative_attention_max_distance: int = Field(default=128, ge=2, le=1_000_000)


class ElfOptions(BaseModel):
    """An ELF teacher.

    Attributes:
        length: tokens of a row, condition included.
        source_length: the condition's tokens at most; what is longer is cut. None is a model without one.
        width, layers, heads: of the transformer; its SwiGLUs are 2⅔·width wide.
        bottleneck: width between states and transformer.
        time_tokens, guidance_tokens, mode_tokens: how many tokens before the text tell these three.
        padding: what fills a row after its end: ``eos``, which is learned like any token, or ``pad``, which
            no loss counts.
        latent_std: states are the encoder's divided by this.
        decoder_noise: standard deviation of the noise in states that the decoding mode is trained on.
        decoder_rate: the share of training samples that train the decoding mode.
        self_conditioning_rate: the share of the others that read an estimate of their own, made in a pass of
            its own, and are guided by it.
        condition_dropout: the share of training samples without their condition, for guidance by two calls.
        student_guidance: the scale of self-conditioning guidance that a student is called with.
        encoder: T5, which makes the states: a folder, "package:NAME" or a name of the Hugging Face hub, with
            its tokenizer. "random" is an untrained one of the sizes ``t5``, to try ELF without a download.
        tokenizer: "words" (all words of the training data), or where a T5 tokenizer lies; the encoder's
            if None.
        t5: sizes of a random encoder; its vocabulary is the tokenizer's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    length: int = Field(default=1088, ge=2, le=65_536)
    source_length: int | None = Field(default=1024, ge=1, le=65_536)
    width: int = Field(default=768, ge=2, le=100_000)
    layers: int = Field(default=12, ge=1, le=1_000)
    heads: int = Field(default=12, ge=1, le=1_000)
    bottleneck: int = Field(default=128, ge=1, le=100_000)
    time_tokens: int = Field(default=4, ge=1, le=1_000)
    guidance_tokens: int = Field(default=4, ge=1, le=1_000)
    mode_tokens: int = Field(default=4, ge=1, le=1_000)
    padding: Literal["eos", "pad"] = "eos"
    latent_std: float = Field(default=0.2, gt=0)
    decoder_noise: float = Field(default=1.0, ge=0)
    decoder_rate: float = Field(default=0.2, ge=0, le=1)
    self_conditioning_rate: float = Field(default=0.5, ge=0, le=1)
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)
    student_guidance: float = Field(default=1.0, ge=0)
    encoder: str = "google-t5/t5-small"
    tokenizer: str | None = None
    t5: T5Sizes = T5Sizes()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of 2·heads ({2 * self.heads})")
        if self.source_length is not None and self.source_length >= self.length:
            raise ValueError(
                f"source_length {self.source_length} leaves no room for a target in length {self.length}"
            )
        if self.source_length is None and self.condition_dropout:
            raise ValueError("condition_dropout is for a model with a condition, of some source_length")
        if self.encoder == "random" and self.tokenizer is None:
            raise ValueError('encoder = "random" has no tokenizer; name one, as tokenizer = "words"')
        return self

    @property
    def conditional(self) -> bool:
        """Whether rows have a condition."""
        return self.source_length is not None


class SamplerOptions(BaseModel):
    """ELF's sampler.

    Attributes:
        method: ``ode`` (Euler steps), or ``sde``, which before each step but the last goes back towards the
            noise with fresh noise.
        gamma: how far an ``sde`` step goes back: from t to (1 − γ·h)·t, for a step of h.
        guidance: w, the scale of self-conditioning guidance, an input of the network: no further calls.
        condition_guidance: of a model trained with condition_dropout: x0 without the condition plus so many
            times the difference that it makes. 1 is none; others take two network calls a step.
        spacing: of the times: ``logit_normal``, drawn for each sample as in training; ``time``, evenly
            (officially "uniform"); ``ratio``, ``log_snr``, or the times after the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Literal["ode", "sde"] = "ode"
    gamma: float = Field(default=1.5, ge=0)
    guidance: float = Field(default=1.0, ge=0)
    condition_guidance: float = Field(default=1.0, ge=0)
    spacing: Literal["logit_normal"] | Spacing = "logit_normal"
