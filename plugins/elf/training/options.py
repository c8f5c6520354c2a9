"""Options of ELF's own objectives."""

from pydantic import BaseModel, ConfigDict, Field


class ProgressiveOptions(BaseModel):
    """ELF's progressive distillation, one round of it.

    Attributes:
        steps: N, the sampling steps that θ learns to take: 16, 8, 4, 2 and 1 in the five official rounds.
        substeps: K, the teacher's Euler steps for one of θ's: 64/N in the official rounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=1, ge=1, le=10_000)
    substeps: int = Field(default=4, ge=1, le=10_000)


class DecoderOptions(BaseModel):
    """The decoding mode's loss.

    Attributes:
        noise: standard deviation of the noise in states, the teacher's ``decoder_noise``: 1 with a condition
            as released, 5 without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    noise: float = Field(default=1.0, ge=0)
